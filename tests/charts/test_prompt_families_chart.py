"""Families of prompts: the grouping that they agree with, prompts in the tree's order, heads."""

from typing import Any

import polars as pl

from svt.charts.prompt_families import prompt_families
from svt.charts.style import BLUE, ORANGE, specification

MEMBERS = pl.DataFrame(
    {
        "family": [1, 1, 2],
        "place": [0, 1, 2],
        "prompt_id": [4, 9, 2],
        "template": ["a", "b", "a"],
        "pattern": ["ABBA", "ABBA", "BABA"],
        "silhouette": [0.5, 0.5, 0.0],
        "text": ["one", "two", "three"],
    }
)


def families(goes_by: str = "pattern", n: int = 2) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "family": list(range(1, n + 1)),
            "n_prompts": [2, 1][:n],
            "rand_template": [-0.25] * n,
            "rand_pattern": [1.0] * n,
            "goes_by": [goes_by] * n,
        }
    )


def heads(difference: float = 1.0) -> pl.DataFrame:
    row = {"layer": 5, "head": 4, "dest_role": "end", "src_role": "IO", "n_prompts": 2}
    one = {"family": 1, "n_in_family": 2, "share": 1.0, "share_others": 0.0}
    two = {"family": 2, "n_in_family": 1, "share": 0.0, "share_others": 1.0}
    return pl.DataFrame(
        [row | one | {"difference": difference}, row | two | {"difference": -difference}]
    )


def drawn(*frames: pl.DataFrame) -> dict[str, Any]:
    return specification(prompt_families(*frames))


def test_the_title_says_what_families_go_by() -> None:
    spec = drawn(families(), MEMBERS, heads())
    assert spec["title"]["subtitle"][0] == (
        "3 prompts in 2 families, which agree with order "
        "(adjusted Rand index: template −0.25, order 1.00)."
    )
    neither = drawn(families("neither"), MEMBERS, heads())["title"]["subtitle"][0]
    assert "which agree with neither template nor order" in neither
    one = drawn(families("one family", 1), MEMBERS, heads().clear())["title"]["subtitle"][0]
    assert one.startswith("2 prompts: their traces form no families")


def test_prompts_are_in_order_coloured_by_group() -> None:
    spec = drawn(families(), MEMBERS, heads())
    rows = spec["datasets"][spec["vconcat"][0]["data"]["name"]]
    strip = {kind: [r["colour"] for r in rows if r["kind"] == kind] for kind in ("family", "order")}
    assert strip == {"family": [BLUE, BLUE, ORANGE], "order": [BLUE, BLUE, ORANGE]}
    assert [r["prompt"] for r in rows if r["kind"] == "family"] == [4, 9, 2]


def test_heads_that_distinguish_families_have_a_column() -> None:
    spec = drawn(families(), MEMBERS, heads())
    rows = spec["datasets"][spec["vconcat"][1]["data"]["name"]]
    assert [(r["name"], r["firing"], r["share"]) for r in rows] == [
        ("family 1, 2 prompts", "5.4 end -> IO", 1.0),
        ("family 2, 1 prompts", "5.4 end -> IO", 0.0),
    ]
    assert len(drawn(families("one family", 1), MEMBERS, heads().clear())["vconcat"]) == 1
