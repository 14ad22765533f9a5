"""The distribution of signal sizes, for one store or two: data, fields and encodings."""

import polars as pl
import pytest

from svt.charts.slice_counts import median, slice_counts
from svt.charts.style import BLUE, ORANGE, specification
from tests.charts.frames import layers_of, rows_of, subtitle


def counts(sizes: dict[int, int], dataset: str | None) -> pl.DataFrame:
    """How many firings have so many slices."""
    n = sum(sizes.values())
    rows = [(size, k, k / n, 16, "gpt2", dataset) for size, k in sizes.items()]
    schema = ["n_slices", "n_firings", "share", "d_head", "model", "dataset"]
    return pl.DataFrame(rows, schema=schema, orient="row")


OWN = counts({1: 1, 2: 1, 4: 2}, "ioi")
OTHER = counts({3: 3, 9: 1}, None)


def test_two_stores_are_side_by_side_on_the_same_scales():
    spec = specification(slice_counts([OWN, OTHER], notes=["Firings of all heads."]))
    assert subtitle(spec) == "Firings of all heads."
    assert spec["resolve"]["scale"] == {"x": "shared", "y": "shared"}
    own, other = spec["hconcat"]
    assert [p["title"]["text"] for p in (own, other)] == ["gpt2 on ioi", "gpt2"]
    assert [p["title"]["subtitle"] for p in (own, other)] == [
        "4 firings, median 3 of 16 slices",
        "4 firings, median 3 of 16 slices",
    ]
    for panel, colour in ((own, ORANGE), (other, BLUE)):
        (bars,) = layers_of(panel, "rect")
        assert bars["mark"]["color"] == colour
        encoding = bars["encoding"]
        assert [encoding[c]["field"] for c in ("x", "x2", "y")] == ["left", "right", "share"]
        assert encoding["y2"]["datum"] == 0
        assert encoding["x"]["scale"]["domain"] == [0, 10]
        (rule,) = layers_of(panel, "rule")
        assert rule["mark"]["style"] == "threshold"
        assert rows_of(spec, rule) == [{"median": 3.0}]


def test_bars_are_centred_on_their_number_of_slices():
    spec = specification(slice_counts([OWN]))
    (own,) = spec["hconcat"]
    (bars,) = layers_of(own, "rect")
    drawn = rows_of(spec, bars)
    assert [(r["n_slices"], r["n_firings"], r["share"]) for r in drawn] == [
        (1, 1, 0.25),
        (2, 1, 0.25),
        (4, 2, 0.5),
    ]
    assert [(r["left"], r["right"]) for r in drawn] == [
        (pytest.approx(n - 0.45), pytest.approx(n + 0.45)) for n in (1, 2, 4)
    ]


@pytest.mark.parametrize(
    ("sizes", "middle"),
    [({5: 1}, 5), ({1: 1, 2: 1}, 1.5), ({1: 1, 2: 2}, 2), ({1: 2, 2: 1, 9: 3}, 5.5), ({2: 3}, 2)],
)
def test_the_median_counts_firings(sizes, middle):
    assert median(counts(sizes, None)) == middle


def test_a_store_without_firings_is_said():
    spec = specification(slice_counts([OWN, OTHER.clear()]))
    assert len(spec["hconcat"]) == 1
    assert subtitle(spec) == "There are none in chart.compare_store."
    spec = specification(slice_counts([OWN.clear(), OTHER]))
    assert [p["title"]["text"] for p in spec["hconcat"]] == ["gpt2"]
    assert layers_of(spec["hconcat"][0], "rect")[0]["mark"]["color"] == BLUE
    assert subtitle(spec) == "There are none in the run's own store."
    (row,) = rows_of(specification(slice_counts([OWN.clear()], notes=["Firings of 9.9."])))
    assert row["message"] == "Firings of 9.9. There are none in the run's own store."
