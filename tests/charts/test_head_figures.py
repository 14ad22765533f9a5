"""Which heads, roles and prompts the figures of heads ask for."""

import dataclasses
from typing import Any

import polars as pl
import pytest

from svt.charts import Context, Figure, draw
from svt.charts.head_figures import select_heads
from svt.charts.style import specification
from tests import settings
from tests.charts.frames import subtitle

TRACE = dataclasses.replace(settings.TRACE, root_src="IO")
ROOTS = [(9, 9), (9, 6), (10, 0), (10, 7), (11, 2)]


def context(**chart: Any) -> Context:
    return Context(TRACE, ROOTS, 100, dataclasses.replace(settings.CHART, **chart))


class Store:
    """Answers queries with nothing but these rows, for any parameters."""

    def __init__(self, **frames: pl.DataFrame) -> None:
        self.frames = frames

    def __call__(self, query: str, **_: Any) -> pl.DataFrame:
        return self.frames.get(query, EMPTY[query])


USAGE = {"prompt_id": pl.Int32, "k": pl.Int32, "d_head": pl.Int32}
COUNTS = pl.DataFrame(
    {
        "n_slices": [2],
        "n_firings": [7],
        "share": [1.0],
        "d_head": [64],
        "model": ["m"],
        "dataset": ["ioi"],
    }
)
PAIR = {
    "pair_id": 77, "prompt_id": 1, "layer": 9, "head": 9, "dest": 9, "src": 3, "weight": 0.9,
    "score": 3.0,
}  # fmt: skip
EMPTY = {
    "example_firing": pl.DataFrame(),
    "example_not_firing": pl.DataFrame(),
    "firing_slices": pl.DataFrame(
        {"k": [0], "contribution": [1.0], "rank": [1], "in_signal": [True]}
    ),
    "slice_usage_by_prompt": pl.DataFrame(schema=USAGE),
    "slice_counts": COUNTS.clear(),
    "upstream_heatmap": pl.DataFrame(),
    "coordinate_heads": pl.DataFrame(schema={"layer": pl.UInt8, "head": pl.UInt8}),
    "signal_by_token": pl.DataFrame(),
}


def commands(figure: Figure) -> list[str]:
    return [call.command.removeprefix("svt-sql RUN ") for call in figure.calls]


def test_by_default_the_first_roots_show_traced_firings():
    chosen = select_heads(context())
    assert list(chosen.heads) == ROOTS[:4]
    assert chosen.roles == {"dest_role": "end", "src_role": "IO"}
    assert list(chosen.notes) == [
        "Firings from end onto IO.",
        "Not shown unless set in chart.heads: 11.2.",
    ]


def test_named_heads_show_all_their_firings():
    five = tuple((layer, 1) for layer in range(5))
    chosen = select_heads(context(heads=five))
    assert chosen.heads == five
    assert chosen.roles == {"dest_role": "any", "src_role": "any"}
    assert list(filter(None, chosen.notes)) == []


@pytest.mark.parametrize("heads", [None, ((4, 1),)])
def test_named_roles_go_before_all_others(heads):
    chosen = select_heads(context(heads=heads, dest_role="S2", src_role="any"))
    assert chosen.roles == {"dest_role": "S2", "src_role": "any"}
    assert chosen.notes[0] == "Firings from S2."


def test_heads_in_place_of_the_roots_are_of_any_role():
    assert select_heads(context(), [(3, 0)]).roles == {"dest_role": "any", "src_role": "any"}
    assert select_heads(context(), [(9, 6)]).roles == {"dest_role": "end", "src_role": "IO"}


def test_slice_contributions_need_a_firing_and_another_pair():
    pair = pl.DataFrame([PAIR])
    other = pl.DataFrame([PAIR | {"pair_id": 78}])
    store = Store(example_firing=pair, example_not_firing=other)
    figure = draw("slice_contributions", store, context(heads=((9, 9),)))
    assert commands(figure) == [
        "example_firing layer=9 head=9 dest_role=any src_role=any",
        "firing_slices pair_id=77",
        "example_not_firing layer=9 head=9 beside=77",
        "firing_slices pair_id=78",
    ]
    (row,) = specification(figure.chart)["concat"]
    assert [p["title"]["text"] for p in row["hconcat"]] == ["9.9 firing", "9.9 not firing"]


def test_slice_contributions_of_a_named_prompt_and_roles():
    named = context(heads=((9, 9),), prompt_id=3, src_role="S1")
    figure = draw("slice_contributions", Store(), named)
    assert commands(figure) == [
        "example_firing layer=9 head=9 prompt_id=3 dest_role=any src_role=S1",
        "example_not_firing layer=9 head=9 prompt_id=3 src_role=S1",
    ]
    (row,) = specification(figure.chart)["data"]["values"]
    assert row["message"].startswith("Firings onto S1. In prompt 3 alone. The store holds no pair")


def test_slice_usage_asks_for_both_states():
    figure = draw("slice_usage", Store(), context())
    assert len(figure.calls) == 8
    assert commands(figure)[:2] == [
        "slice_usage_by_prompt layer=9 head=9 firing=true dest_role=end src_role=IO",
        "slice_usage_by_prompt layer=9 head=9 firing=false",
    ]


def test_slice_counts_cover_all_heads_and_the_second_store():
    second = COUNTS.with_columns(dataset=pl.lit("text"))
    both = dataclasses.replace(
        context(compare_store="text.duckdb"), compare=Store(slice_counts=second)
    )
    figure = draw("slice_counts", Store(slice_counts=COUNTS), both)
    assert [call.command for call in figure.calls] == [
        "svt-sql RUN slice_counts firing_weight=0.5",
        "svt-sql text.duckdb slice_counts firing_weight=0.5",
    ]
    spec = specification(figure.chart)
    assert [p["title"]["text"] for p in spec["hconcat"]] == ["m on ioi", "m on text"]
    assert subtitle(spec) == "Firings of all heads."


def test_slice_counts_of_heads_and_roles_that_are_named():
    figure = draw(
        "slice_counts",
        Store(slice_counts=COUNTS),
        context(heads=((9, 9), (3, 0)), dest_role="end", src_role="any"),
    )
    assert commands(figure) == [
        "slice_counts 'heads=[[9,9],[3,0]]' dest_role=end src_role=any firing_weight=0.5"
    ]
    assert subtitle(specification(figure.chart)) == "Firings of 9.9, 3.0 from end."


def stored(*heads: tuple[int, int]) -> pl.DataFrame:
    return pl.DataFrame(heads, schema=EMPTY["coordinate_heads"].schema, orient="row")


def test_signals_are_of_the_roots_whose_coordinates_are_stored():
    figure = draw("signal_by_token", Store(coordinate_heads=stored((10, 0), (3, 0))), context())
    assert commands(figure) == [
        "coordinate_heads",
        "signal_by_token layer=10 head=0 min_firings=100 dest_role=any src_role=any",
    ]


def test_without_roots_signals_are_of_heads_with_coordinates():
    heads = [(layer, 0) for layer in range(5)]
    figure = draw("signal_by_token", Store(coordinate_heads=stored(*heads)), context())
    assert commands(figure)[1:] == [
        f"signal_by_token layer={layer} head=0 min_firings=100 dest_role=any src_role=any"
        for layer in range(4)
    ]


def test_no_signals_are_drawn_without_coordinates():
    named = context(heads=((9, 9), (3, 0)), min_firings=7)
    figure = draw("signal_by_token", Store(coordinate_heads=stored((3, 0))), named)
    assert commands(figure)[1:] == [
        "signal_by_token layer=3 head=0 min_firings=7 dest_role=any src_role=any"
    ]
    figure = draw("signal_by_token", Store(coordinate_heads=stored((5, 5))), named)
    (row,) = specification(figure.chart)["data"]["values"]
    assert '"dump.coordinates=[[3,0],[9,9]]" stores all.' in row["message"]


def test_upstream_heatmaps_of_a_prompt_that_is_named():
    figure = draw("upstream_heatmap", Store(), context(heads=((9, 9),), prompt_id=0))
    assert commands(figure) == [
        "upstream_heatmap layer=9 head=9 dest_role=any src_role=any prompt_id=0"
    ]
    (row,) = specification(figure.chart)["data"]["values"]
    assert "In prompt 0 alone." in row["message"]
