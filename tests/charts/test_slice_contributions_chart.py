"""The slices of a firing beside those of a pair that does not fire: data, fields and encodings."""

import polars as pl
import pytest

from svt.charts.slice_contributions import IN_SIGNAL, NOISE, PairSlices, slice_contributions
from svt.charts.style import GREY, ORANGE, specification
from tests.charts.frames import rows_of, subtitle

PAIR = {
    "layer": 5,
    "head": 3,
    "prompt_id": 7,
    "dest": 14,
    "src": 2,
    "weight": 0.93,
    "score": 4.1,
    "dest_token": " to",
    "src_token": " Mary",
    "text": "Mary and John; John gave it to",
}
FIRING = PairSlices(
    PAIR,
    pl.DataFrame(
        {
            "k": [2, 0, 1],
            "contribution": [-0.5, 3.0, 0.25],
            "rank": [3, 1, 2],
            "in_signal": [False, True, False],
        }
    ),
)
NOT_FIRING = PairSlices(
    PAIR | {"src": 5, "src_token": " John", "weight": 0.001, "score": -2.0},
    pl.DataFrame(
        {
            "k": [0, 1, 2],
            "contribution": [0.5, -3.0, -1.0],
            "rank": [3, 1, 2],
            "in_signal": [False, True, True],
        }
    ),
)


@pytest.fixture
def spec() -> dict:
    pairs = {(5, 3): (FIRING, NOT_FIRING), (6, 0): (FIRING, NOT_FIRING)}
    return specification(slice_contributions(pairs, notes=["Firings from end."]))


def test_a_row_for_each_head_and_a_panel_for_each_pair(spec):
    heads = [[panel["title"]["text"] for panel in row["hconcat"]] for row in spec["concat"]]
    assert heads == [["5.3 firing", "5.3 not firing"], ["6.0 firing", "6.0 not firing"]]
    assert spec["columns"] == 1
    assert subtitle(spec) == "Firings from end."
    assert [row["resolve"]["scale"]["y"] for row in spec["concat"]] == ["shared", "shared"]


def test_slices_are_in_order_with_the_signal_set_coloured(spec):
    firing, other = spec["concat"][0]["hconcat"]
    assert [(r["k"], r["contribution"], r["rank"], r["set"]) for r in rows_of(spec, firing)] == [
        (0, 3.0, 1, IN_SIGNAL),
        (1, 0.25, 2, NOISE),
        (2, -0.5, 3, NOISE),
    ]
    assert [(r["contribution"], r["set"]) for r in rows_of(spec, other)] == [
        (0.5, NOISE),
        (-3.0, IN_SIGNAL),
        (-1.0, IN_SIGNAL),
    ]
    for panel in (firing, other):
        assert panel["encoding"]["x"]["field"] == "k"
        assert panel["encoding"]["y"]["field"] == "contribution"
        assert panel["encoding"]["color"]["scale"] == {
            "domain": [IN_SIGNAL, NOISE],
            "range": [ORANGE, GREY],
        }


def test_pairs_are_named_by_their_tokens(spec):
    firing, other = spec["concat"][0]["hconcat"]
    assert firing["title"]["subtitle"] == [
        "“to” (14) attends to “Mary” (2), weight 0.93, score 4.10",
        "1 of 3 slices in the signal set",
        "Prompt 7: Mary and John; John gave it to",
    ]
    assert other["title"]["subtitle"][:2] == [
        "“to” (14) attends to “John” (5), weight below 0.01, score −2.00",
        "2 of 3 slices in the signal set",
    ]


def test_a_pair_without_tokens():
    nameless = PAIR | {"dest_token": None, "src_token": None, "text": None}
    chart = slice_contributions({(5, 3): (PairSlices(nameless, FIRING.slices), None)})
    (panel,) = specification(chart)["concat"][0]["hconcat"]
    assert panel["title"]["subtitle"][0].startswith("token 14 attends to token 2, weight")
    assert panel["title"]["subtitle"][2] == "Prompt 7"


def test_of_a_long_prompt_the_end_that_fits_is_shown():
    long = PairSlices(
        PAIR | {"text": "On a day of spring, " * 9 + "they\ngave it to"}, FIRING.slices
    )
    chart = slice_contributions({(5, 3): (long, None)})
    (panel,) = specification(chart)["concat"][0]["hconcat"]
    line = panel["title"]["subtitle"][2]
    assert line.startswith("Prompt 7: … ")
    assert line.endswith("they gave it to")
    assert len(line) <= panel["width"] // 6


def test_many_slices_are_not_all_numbered():
    many = FIRING.slices.head(1).join(pl.DataFrame({"x": range(64)}), how="cross")
    slices = many.with_columns(k=pl.col("x"))
    chart = slice_contributions({(5, 3): (PairSlices(PAIR, slices), None)})
    (panel,) = specification(chart)["concat"][0]["hconcat"]
    assert panel["encoding"]["x"]["axis"]["values"] == [0, 8, 16, 24, 32, 40, 48, 56]


def test_missing_contributions_are_said():
    spec = specification(slice_contributions({(5, 3): (FIRING, None), (6, 0): (None, None)}))
    assert len(spec["concat"]) == 1
    assert len(spec["concat"][0]["hconcat"]) == 1
    assert (
        subtitle(spec).strip()
        == "The store holds no pair of 5.3 not firing, 6.0 firing, 6.0 not firing."
    )
    (row,) = rows_of(specification(slice_contributions({(6, 0): (None, None)})))
    assert row["message"] == "The store holds no pair of 6.0 firing, 6.0 not firing."
