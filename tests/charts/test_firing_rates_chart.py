"""Firing rates by template and order: what is drawn where, and what is left out."""

from typing import Any

import polars as pl

from svt.charts.firing_rates import MOST_FIRINGS, MOST_GROUPS, firing_rates
from svt.charts.style import specification
from tests.charts.frames import rows_of, subtitle

LONG = (
    "At the end of a long and rather windy day {A} and {B} met, and then {B} <gave> a {object} to"
)


def rates_frame(rows: list[tuple[int, str | None, str, float]]) -> pl.DataFrame:
    """(head of layer 4, the role it attends to from end, group, rate), of groups of ten prompts."""
    return pl.DataFrame(
        [
            (4, head, "end", src, group, 10, round(10 * rate), rate, 0.9)
            for head, src, group, rate in rows
        ],
        schema=[
            "layer", "head", "dest_role", "src_role", "prompt_group", "n_in_group", "n_prompts",
            "rate", "mean_weight",
        ],
        orient="row",
    )  # fmt: skip


TEMPLATES = rates_frame(
    [
        (1, "S2", "when {A}", 1.0), (1, "S2", LONG, 0.5),
        (2, "IO", "when {A}", 0.3), (2, "IO", LONG, 0.1),
        (3, "IO", "when {A}", 0.1), (3, "IO", LONG, 0.0),
    ]
)  # fmt: skip
ORDERS = rates_frame(
    [
        (1, "S2", "ABBA", 0.9), (1, "S2", "BABA", 0.6),
        (2, "IO", "ABBA", 0.2), (2, "IO", "BABA", 0.2),
        (3, "IO", "ABBA", 0.1), (3, "IO", "BABA", 0.0),
    ]
)  # fmt: skip


def drawn(spec: dict[str, Any], panel: dict[str, Any]) -> set[tuple[str, str, float]]:
    return {(r["firing"], r["group"], r["rate"]) for r in rows_of(spec, panel)}


def test_a_panel_for_templates_and_one_for_orders() -> None:
    spec = specification(firing_rates({"template": TEMPLATES, "pattern": ORDERS}, min_rate=0.25))
    above, below = spec["concat"]
    assert drawn(spec, above) == {
        ("4.1 end -> S2", "when {A}", 1.0),
        ("4.1 end -> S2", LONG, 0.5),
        ("4.2 end -> IO", "when {A}", 0.3),
        ("4.2 end -> IO", LONG, 0.1),
    }
    assert {r[:2] for r in drawn(spec, below)} == {
        (firing, order)
        for firing in ("4.1 end -> S2", "4.2 end -> IO")  # the same columns, however rare
        for order in ("ABBA", "BABA")
    }
    for panel in (above, below):
        encoding = panel["encoding"]
        assert encoding["x"]["scale"]["domain"] == ["4.1 end -> S2", "4.2 end -> IO"]
        assert encoding["opacity"]["field"] == "rate"
        assert encoding["opacity"]["scale"]["domain"] == [0, 1]
    assert above["encoding"]["x"]["axis"] is None
    assert below["encoding"]["x"]["axis"]["labelAngle"] == -90


def test_a_template_is_named_in_full_on_short_lines() -> None:
    spec = specification(firing_rates({"template": TEMPLATES}))
    (panel,) = spec["concat"]
    labels = {r["group"]: r["label"] for r in rows_of(spec, panel)}
    assert labels["when {A}"] == "when A"
    assert labels[LONG].replace("\n", " ") == (
        "At the end of a long and rather windy day A and B met, and then B gave a object to"
    )
    assert panel["encoding"]["y"]["sort"] == [labels[LONG], labels["when {A}"]]


def test_of_many_firings_those_that_differ_most_are_kept() -> None:
    many = rates_frame(
        [
            (head, "IO", group, rate)
            for head in range(MOST_FIRINGS + 2)
            for group, rate in (("a", 1.0), ("b", 1.0 if head < 2 else 0.5))
        ]
    )
    spec = specification(firing_rates({"template": many}, notes=["Some note."]))
    (panel,) = spec["concat"]
    domain = panel["encoding"]["x"]["scale"]["domain"]
    assert domain == [f"4.{head} end -> IO" for head in range(2, MOST_FIRINGS + 2)]
    assert subtitle(spec) == "Some note. Left out: 2 firings with more similar rates."


def test_of_many_templates_those_with_most_prompts_are_kept() -> None:
    many = rates_frame([(1, "IO", f"t{i:02}", 1.0) for i in range(MOST_GROUPS + 1)]).with_columns(
        n_in_group=pl.when(pl.col("prompt_group") == "t03").then(1).otherwise(10)
    )
    spec = specification(firing_rates({"template": many}))
    (panel,) = spec["concat"]
    assert len(rows_of(spec, panel)) == MOST_GROUPS
    assert "t03" not in {r["group"] for r in rows_of(spec, panel)}
    assert subtitle(spec) == "Left out: 1 template with fewer prompts."


def test_one_group_is_nothing_to_compare() -> None:
    one = TEMPLATES.filter(prompt_group="when {A}")
    spec = specification(firing_rates({"template": one, "pattern": ORDERS}))
    assert len(spec["concat"]) == 1
    (row,) = rows_of(specification(firing_rates({"template": one})))
    assert row["message"] == "No firing in prompts of two or more known templates or orders."
