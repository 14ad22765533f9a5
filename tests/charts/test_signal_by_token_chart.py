"""The size of a head's signal in each token: data, fields and encodings."""

import polars as pl

from svt.charts.signal_by_token import (
    MOST_BARS,
    MOST_TICKS,
    NAME,
    OTHER,
    label_tokens,
    signal_by_token,
)
from svt.charts.style import BLUE, ORANGE, specification
from tests.charts.frames import rows_of, subtitle


def sizes(rows: list[tuple], consensus: tuple[int, int, int] = (12, 100, 250)) -> pl.DataFrame:
    schema = {"token": pl.String, "is_name": pl.Boolean, "n": pl.Int64, "mean_size": pl.Float64}
    slices, least, firings = consensus
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        n_consensus=slices, consensus_from=least, n_firings=firings
    )


TOKENS = sizes([(" Mary", True, 9, 7.5), (" The", False, 20, 3.0), ("The", False, 5, 1.25)])


def test_a_column_of_ticks_and_bars_for_each_head():
    chart = signal_by_token({(9, 9): TOKENS, (9, 6): TOKENS}, min_firings=100, notes=["Of end."])
    spec = specification(chart)
    assert subtitle(spec) == "Of end."
    assert [c["vconcat"][0]["title"]["text"] for c in spec["hconcat"]] == ["9.9", "9.6"]
    ticks, bars = spec["hconcat"][0]["vconcat"]
    assert (ticks["mark"]["type"], bars["mark"]["type"]) == ("tick", "bar")
    expected = [("Mary", NAME, 7.5, 9), ("“ The”", OTHER, 3.0, 20), ("“The”", OTHER, 1.25, 5)]
    for part in (ticks, bars):
        drawn = [(r["label"], r["kind"], r["size"], r["n"]) for r in rows_of(spec, part)]
        assert drawn == expected
        assert part["encoding"]["x"]["field"] == "size"
        assert part["encoding"]["x"]["scale"]["domain"] == [0, 7.5]
        colour = part["encoding"]["color"]
        assert colour["field"] == "kind"
        assert colour["scale"] == {"domain": [NAME, OTHER], "range": [ORANGE, BLUE]}
    assert ticks["encoding"]["y"]["field"] == "kind"
    assert bars["encoding"]["y"]["field"] == "label"
    assert bars["encoding"]["y"]["sort"] == ["Mary", "“ The”", "“The”"]


def test_which_slices_make_the_consensus():
    def said(frame: pl.DataFrame, min_firings: int) -> str:
        spec = specification(signal_by_token({(9, 9): frame}, min_firings=min_firings))
        return " ".join(spec["hconcat"][0]["vconcat"][0]["title"]["subtitle"])

    assert said(TOKENS, 100) == (
        "12 slices, in the signal of at least 100 of 250 firings bars: 3 of 3 tokens"
    )
    half = sizes([(" Mary", True, 9, 7.5)], consensus=(1, 30, 60))
    assert said(half, 100) == (
        "1 slice, in the signal of at least 30 of 60 firings (none in 100) bars: 1 of 1 token"
    )


def test_bars_and_ticks_are_bounded_and_say_what_is_left_out():
    """300 names in falling order: every second is a tick, the first 40 are bars."""
    many = sizes([(f"n{i}", True, 1, 300.0 - i) for i in range(2 * MOST_TICKS)])
    spec = specification(signal_by_token({(9, 9): many}, min_firings=100))
    ticks, bars = spec["hconcat"][0]["vconcat"]
    assert [r["label"] for r in rows_of(spec, ticks)] == [f"n{2 * i}" for i in range(MOST_TICKS)]
    assert [r["label"] for r in rows_of(spec, bars)] == [f"n{i}" for i in range(MOST_BARS)]
    assert ticks["title"]["subtitle"][2] == "bars: 40 of 300 tokens, ticks: 150"


def test_names_and_other_tokens_are_bounded_apart():
    both = sizes([(f"n{i}", i < 3, 1, 500.0 - i) for i in range(400)])
    spec = specification(signal_by_token({(9, 9): both}, min_firings=100))
    kinds = [r["kind"] for r in rows_of(spec, spec["hconcat"][0]["vconcat"][0])]
    assert (kinds.count(NAME), kinds.count(OTHER)) == (3, MOST_TICKS)


def test_heads_without_coordinates_say_how_to_get_them():
    lacking = [(5, 4), (6, 1)]
    spec = specification(signal_by_token({(9, 9): TOKENS}, min_firings=1, missing=lacking))
    message = "Not stored: the coordinates of 5.4, 6.1. "
    assert subtitle(spec) == message + '"dump.coordinates=[[5,4],[6,1],[9,9]]" stores all.'
    (row,) = rows_of(specification(signal_by_token({}, min_firings=1, missing=lacking)))
    assert row["message"] == message + '"dump.coordinates=[[5,4],[6,1]]" stores all.'


def test_heads_without_a_consensus_are_said():
    without = sizes([(" Mary", True, 9, 0.0)], consensus=(0, 2, 3))
    spec = specification(signal_by_token({(9, 9): TOKENS, (9, 6): without}, min_firings=1))
    assert len(spec["hconcat"]) == 1
    assert subtitle(spec) == "The firings of 9.6 share no slice."
    (row,) = rows_of(specification(signal_by_token({(9, 6): without}, min_firings=1)))
    assert row["message"] == "The firings of 9.6 share no slice."


def test_labels_distinguish_equal_tokens():
    assert label_tokens([" a", "a", "b", "\n", " c"]) == ["“ a”", "“a”", "b", "“⏎”", "c"]
