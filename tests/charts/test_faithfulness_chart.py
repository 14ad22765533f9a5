import polars as pl
import pytest

from svt.charts.faithfulness import CIRCUITS, faithfulness
from svt.charts.style import BLUE, GREY, specification
from tests.charts.frames import layers_of, rows_of, subtitle

COLUMNS = {
    "min_count": pl.Int64,
    "n_heads": pl.Int32,
    "ablation": pl.String,
    "share": pl.Float64,
    "share_above_none": pl.Float64,
    "accuracy": pl.Float64,
    "random_mean_share": pl.Float64,
    "random_low": pl.Float64,
    "random_high": pl.Float64,
}


@pytest.fixture
def curve() -> pl.DataFrame:
    """9 heads from 1 on, 5 from 20 and from 40 on, 2 from 60 on, of which none were drawn."""
    return pl.DataFrame(
        [
            (60, 2, "mean", 0.25, 0.25, 0.5, None, None, None),
            (40, 5, "mean", 0.75, 0.75, 0.9, 0.25, 0.125, 0.5),
            (20, 5, "mean", 0.75, 0.75, 0.9, 0.5, 0.25, 0.75),
            (1, 9, "mean", 1.0, 1.0, 1.0, 0.5, 0.375, 0.625),
        ],
        schema=COLUMNS,
        orient="row",
    )


def test_the_share_that_remains_beside_random_circuits(curve):
    spec = specification(faithfulness(curve))
    (line,) = layers_of(spec, "line")
    assert [(r["circuit"], r["n_heads"], r["kept"]) for r in rows_of(spec, line)] == [
        ("traced circuit", 2, 0.25),
        ("traced circuit", 5, 0.75),
        ("traced circuit", 9, 1.0),
        ("as many heads at random", 5, 0.5),
        ("as many heads at random", 9, 0.5),
    ]
    encoding = line["encoding"]
    assert (encoding["x"]["field"], encoding["y"]["field"]) == ("n_heads", "kept")
    assert encoding["color"]["scale"] == {"domain": list(CIRCUITS.values()), "range": [BLUE, GREY]}


def test_random_circuits_have_a_range(curve):
    spec = specification(faithfulness(curve))
    (area,) = layers_of(spec, "area")
    assert [area["encoding"][y]["field"] for y in ("y", "y2")] == ["random_low", "random_high"]
    assert [(r["n_heads"], r["random_low"]) for r in rows_of(spec, area)] == [(5, 0.25), (9, 0.375)]


def test_the_whole_is_a_rule_at_one(curve):
    spec = specification(faithfulness(curve))
    (rule,) = layers_of(spec, "rule")
    assert rows_of(spec, rule) == [{"share": 1}]


@pytest.mark.parametrize(
    ("min_count", "message"),
    [
        (21, "From count 21: 5 heads keep 75% of the logit difference, as many at random 25%. "),
        (41, "From count 41: 2 heads keep 25% of the logit difference. "),
        (61, ""),
    ],
)
def test_the_runs_own_circuit_is_named(curve, min_count, message):
    spec = specification(faithfulness(curve, min_count=min_count))
    assert subtitle(spec) == (
        f"{message}All other heads' outputs are replaced by their mean over prompts."
    )


def test_without_answers_faithfulness_is_a_message(curve):
    nothing = curve.with_columns(share=pl.lit(None, pl.Float64))
    (row,) = rows_of(specification(faithfulness(nothing)))
    assert "no answers" in row["message"]
