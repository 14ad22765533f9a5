"""Heatmaps of upstream contributions: data, fields and encodings."""

import polars as pl

from svt.charts.page import vl_convert
from svt.charts.style import specification
from svt.charts.upstream_heatmap import upstream_heatmap
from tests.charts.frames import rows_of, subtitle

NAMES = [
    "destination, signal slices",
    "destination, all slices",
    "source, signal slices",
    "source, all slices",
]


def upstream(signal: float, every: float, n_heads: int = 2) -> pl.DataFrame:
    """Into dest as in the argument, into src a tenth of it."""
    into_dest = pl.DataFrame(
        {
            "side": "dest",
            "up_layer": [0, 0, 1],
            "up_head": [0, n_heads - 1, 1],
            "contribution": [signal, -0.125, 0.0],
            "contribution_all": [0.5, -every, 0.25],
            "n_firings": [212, 212, 212],
        }
    )
    return pl.concat(
        [into_dest, into_dest.with_columns(pl.col("^contribution.*$") / 10, side=pl.lit("src"))]
    )


def panels(spec: dict, row: int = 0) -> list[dict]:
    return spec["concat"][row]["hconcat"]


def limits(spec: dict) -> list[list[float]]:
    return [panel["encoding"]["color"]["scale"]["domain"] for panel in panels(spec)]


def test_two_panels_without_stored_contributions_of_all_slices():
    only = upstream(2.0, 1.0).with_columns(contribution_all=pl.lit(None, pl.Float64))
    spec = specification(upstream_heatmap({(2, 3): only}))
    assert [panel["title"]["text"] for panel in panels(spec)] == NAMES[::2]


def test_four_panels_for_each_head():
    heads = {(2, 3): upstream(2.0, 1.0), (2, 0): upstream(1.0, 1.0)}
    spec = specification(upstream_heatmap(heads, notes=["Firings from end."]))
    assert [row["title"]["text"] for row in spec["concat"]] == [
        "Into 2.3, mean of 212 firings",
        "Into 2.0, mean of 212 firings",
    ]
    assert [panel["title"]["text"] for panel in panels(spec)] == NAMES
    assert [panel["title"]["text"] for panel in panels(spec, 1)] == NAMES
    assert "Firings from end." in subtitle(spec)
    values = [[r["value"] for r in rows_of(spec, panel)] for panel in panels(spec)]
    assert values == [
        [2.0, -0.125, 0.0],
        [0.5, -1.0, 0.25],
        [0.2, -0.0125, 0.0],
        [0.05, -0.1, 0.025],
    ]
    for panel in panels(spec):
        encoding = panel["encoding"]
        assert (encoding["x"]["field"], encoding["y"]["field"]) == ("up_head", "up_layer")
        assert encoding["y"]["sort"] == "descending"


def exponents(spec: dict) -> list[float]:
    return [panel["encoding"]["color"]["scale"]["exponent"] for panel in panels(spec)]


def test_all_panels_share_a_scale_about_zero():
    """The sizes are at most 2 and 1 into dest, 2 and 1.5 into src."""
    values = upstream(2.0, 1.0)
    near = pl.concat(
        [
            values.filter(side="dest"),
            values.filter(side="dest").with_columns(
                side=pl.lit("src"), contribution_all=pl.col("contribution_all") * 1.5
            ),
        ]
    )
    spec = specification(upstream_heatmap({(2, 3): near}))
    assert limits(spec) == [[-2.0, 2.0]] * 4
    assert exponents(spec) == [1] * 4
    assert vl_convert().vegalite_to_svg(spec).count(">mean contribution</text>") == 1


def test_panels_far_apart_share_a_scale_of_square_roots():
    spec = specification(upstream_heatmap({(2, 3): upstream(2.0, 90.0)}))
    assert limits(spec) == [[-90.0, 90.0]] * 4
    assert exponents(spec) == [0.5] * 4


def test_many_heads_have_smaller_squares():
    few, many = (
        panels(specification(upstream_heatmap({(2, 3): upstream(1.0, 1.0, n)})))[0] for n in (2, 12)
    )
    assert (few["width"], few["height"]) == (60, 60)
    assert (many["width"], many["height"]) == (240, 40)


def test_a_head_without_upstream_is_said():
    heads = {(0, 3): upstream(1.0, 1.0).clear(), (2, 3): upstream(1.0, 1.0)}
    spec = specification(upstream_heatmap(heads))
    assert len(spec["concat"]) == 1
    assert "No firing of 0.3 has upstream heads in the store." in subtitle(spec)
    (row,) = rows_of(specification(upstream_heatmap({(0, 3): heads[0, 3]}, notes=["From end."])))
    assert row["message"] == "From end. No firing of 0.3 has upstream heads in the store."
