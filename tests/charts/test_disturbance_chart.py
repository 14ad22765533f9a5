import polars as pl
import pytest

from svt.charts.disturbance import disturbance, make_steps
from svt.charts.style import BLUE, ORANGE, specification
from tests.charts.frames import rows_of

BINS = ["arrangement", "scope", "measure", "kind", "control", "bin", "low", "high", "n", "share"]


@pytest.fixture
def bins() -> pl.DataFrame:
    """Bins 0 and 1, then 3: nothing lies in bin 2."""
    edge = ("single", "global", "cosine")
    return pl.DataFrame(
        [
            (*edge, "ablate", "signal", 0, 0.6, 0.7, 1, 0.25),
            (*edge, "ablate", "signal", 1, 0.7, 0.8, 2, 0.5),
            (*edge, "ablate", "signal", 3, 0.9, 1.0, 1, 0.25),
            (*edge, "ablate", "random", 3, 0.9, 1.0, 4, 1.0),
            (*edge, "boost", "signal", 3, 0.9, 1.0, 4, 1.0),
            ("set", "local_qk", "cosine", "ablate", "signal", 0, 0.9, 1.0, 3, 1.0),
            ("single", "global", "resid_norm_ratio", "ablate", "signal", 0, 0.9, 1.1, 4, 1.0),
        ],
        schema=BINS,
        orient="row",
    )


def test_empty_bins_are_steps_to_zero(bins):
    line = make_steps(bins.head(3))
    assert line.select("at", "share").rows() == [
        (0.6, 0.25),
        (0.7, 0.5),
        (0.8, 0.0),
        (0.9, 0.25),
        (1.0, 0.0),
    ]
    assert line["slices"].unique().to_list() == ["signal slices"]


def test_steps_of_one_line_do_not_end_another(bins):
    lines = make_steps(bins.head(5)).filter(pl.col("kind") == "boost")
    assert lines.select("at", "share").rows() == [(0.9, 1.0), (1.0, 0.0)]


def test_a_column_a_measure_and_a_row_an_arrangement_and_scope(bins):
    spec = specification(disturbance(bins))
    cosine, norm = spec["hconcat"]
    assert [c["title"]["text"] for c in (cosine, norm)] == [
        "cosine similarity: changed vector",
        "norm ratio: residual stream",
    ]
    assert [p["encoding"]["y"]["title"] for p in cosine["vconcat"]] == [
        ["single edges", "global"],
        ["sets of edges", "local: q or k"],
    ]
    assert [p["encoding"]["y"]["title"] for p in norm["vconcat"]] == [None, None]
    # Titles of columns stand side by side: no label of the first column reaches above its panel.
    assert cosine["vconcat"][0]["encoding"]["y"]["axis"]["labelFlush"] is True


def test_lines_differ_by_kind_and_slices(bins):
    spec = specification(disturbance(bins))
    encoding = spec["hconcat"][0]["vconcat"][0]["encoding"]
    assert (encoding["x"]["field"], encoding["y"]["field"]) == ("at", "share")
    assert encoding["y"]["scale"]["type"] == "sqrt"
    assert encoding["color"]["scale"] == {"domain": ["ablate", "boost"], "range": [BLUE, ORANGE]}
    assert encoding["strokeDash"]["scale"]["domain"] == ["signal slices", "random slices"]
    mark = spec["hconcat"][0]["vconcat"][0]["mark"]
    assert (mark["type"], mark["interpolate"]) == ("line", "step-after")


def test_nothing_changed_is_a_message(bins):
    (row,) = rows_of(specification(disturbance(bins.clear())))
    assert "No intervention" in row["message"]
