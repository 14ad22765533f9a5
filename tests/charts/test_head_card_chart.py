"""The card of a head: its words and marks, what writers it names, what it says without data."""

from typing import Any

import polars as pl
import pytest

from svt.charts import head_card as module
from svt.charts.head_card import Card, head_card
from svt.charts.style import specification

TOKENS = ["When", " Mary", " gave", " to"]
FIRINGS = pl.DataFrame(
    [{"prompt_id": 7, "dest": 3, "src": 1, "weight": 0.75, "score": 2.0, "tokens": TOKENS}]
)
WEIGHTS = pl.DataFrame([{"low": 0.75, "high": 0.8, "n_pairs": 3, "share": 1.0, "n_prompts": 2}])
SLICES = pl.DataFrame([{"k": 4, "share": 0.9, "mean_contribution": 1.5}])
ROLES = pl.DataFrame(
    [{"dest_role": "end", "src_role": "IO", "pattern": "name mover", "share": 0.5}]
)
ANSWER = pl.DataFrame(
    [{"mean": 1.5, "low": -0.25, "high": 3.0, "n_prompts": 16, "place": 2, "n_heads": 64}]
)


def writers(effects: bool = True) -> pl.DataFrame:
    """Twelve heads with contributions 12 to 1 and effects from -0.5 up."""
    return pl.DataFrame(
        {
            "component": ["head"] * 12,
            "up_layer": [0] * 12,
            "up_head": list(range(12)),
            "n_firings": [9] * 12,
            "n_significant": [1] * 12,
            "contribution": [float(12 - i) for i in range(12)],
            "effect": [-0.5 + i / 10 if effects else None for i in range(12)],
        },
        schema_overrides={"effect": pl.Float64},
    )


def card(**changes: Any) -> Card:
    given = {
        "firings": {"the run's prompts": FIRINGS},
        "weights": {"the run's prompts": WEIGHTS},
        "slices": SLICES,
        "writers": {"dest": writers(), "src": writers()},
        "answer": ANSWER,
        "roles": ROLES,
    }
    return Card(**(given | changes))


def drawn(one: Card) -> dict[str, Any]:
    (only,) = specification(head_card({(5, 4): one}))["vconcat"]
    return only


def words(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return spec["vconcat"][0]["data"]["values"]


def test_the_name_says_what_the_head_does() -> None:
    spec = drawn(card())["title"]
    assert spec["text"] == "Head 5.4"
    assert spec["subtitle"] == [
        "In the trace it attends end -> IO (name mover) in 50% of the prompts.",
        "Its direct effect on the logit difference is +1.50 "
        "(−0.25 to 3.00 over 16 prompts; place 2 of 64 heads).",
    ]
    other = drawn(card(roles=ROLES.clear(), answer=ANSWER.clear()))["title"]["subtitle"]
    assert other == ["It is not in the trace."]


def test_the_two_tokens_of_a_firing_are_marked() -> None:
    """A letter wide each: 0.75 and two spaces, then the text; spaces stay out of the words."""
    texts = [(word["word"], word["x"], word["end"], word["mark"]) for word in words(drawn(card()))]
    assert texts == [
        ("0.75", 0, 4, None),
        ("When", 6, 10, None),
        ("Mary", 11, 15, "is attended to"),
        ("gave", 16, 20, None),
        ("to", 21, 23, "attends"),
    ]


def test_of_a_long_prompt_what_is_near_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LETTERS", 60)
    tokens = [f" w{i}" for i in range(50)]
    far = FIRINGS.with_columns(tokens=pl.Series([tokens]), dest=pl.lit(45), src=pl.lit(10))
    texts = [word["word"] for word in words(drawn(card(firings={"it": far})))][1:]
    near = [*(f"w{i}" for i in range(5, 13)), "…", *(f"w{i}" for i in range(40, 48)), "…"]
    assert texts == ["…", *near]


def test_writers_are_the_strongest_and_the_suppressors() -> None:
    """Contributions 0 to 4, effects 11 to 7, suppressors 0 to 2, which are among the former."""
    part = drawn(card())["vconcat"][2]["hconcat"][0]
    rows, panels = part["data"]["values"], part["hconcat"]
    assert [row["name"] for row in rows] == [f"0.{i}" for i in (11, 10, 9, 8, 7, 4, 3, 2, 1, 0)]
    assert [panel["encoding"]["x"]["field"] for panel in panels] == ["contribution", "effect"]
    without = card(writers={"dest": writers(effects=False), "src": writers(effects=False)})
    panels = drawn(without)["vconcat"][2]["hconcat"][0]["hconcat"]
    assert [panel["encoding"]["x"]["field"] for panel in panels] == ["contribution"]


def test_a_second_dataset_is_drawn_beside_the_first() -> None:
    other = {"the run's prompts": FIRINGS, "texts": FIRINGS.clear()}
    spec = drawn(card(firings=other, weights={"the run's prompts": WEIGHTS, "texts": WEIGHTS}))
    assert "It does not fire there." in str(spec["vconcat"][1])
    rows = spec["vconcat"][2]["hconcat"][0]["data"]["values"]
    assert [row["dataset"] for row in rows] == ["the run's prompts", "texts"]


def test_a_head_without_pairs_says_so() -> None:
    spec = specification(head_card({(5, 4): card(weights={"it": WEIGHTS.clear()})}))
    assert "No pair of these heads is stored." in str(spec)
