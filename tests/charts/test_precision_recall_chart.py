"""Precision and recall: data, fields and encodings."""

import polars as pl
import pytest

from svt.charts.precision_recall import precision_recall
from svt.charts.style import Chart, specification
from tests.charts.frames import evaluation_frame, layers_of, rows_of, subtitle

RANDOM = pl.DataFrame(
    [
        ("ioi-mini", 40, "precision", 0.25, 0.1, 0.4),
        ("ioi-mini", 80, "precision", 0.25, 0.0, 0.5),
        ("ioi-mini", 40, "recall", 0.3, 0.2, 0.4),
        ("ioi-mini", 40, "recall_reachable", None, None, None),
        ("other", 40, "precision", 0.75, 0.7, 0.8),
    ],
    schema=["reference", "min_count", "metric", "mean", "low", "high"],
    orient="row",
)


@pytest.fixture
def evaluation() -> pl.DataFrame:
    """10 heads from 1 to 40, still 10 and 5 from 41 to 60, 4 heads from 61 to 80, then the root."""
    return evaluation_frame(
        [
            ("ioi-mini", "visits", 7, 1, 1, 1.0, 0.1, 0.1, 0.2),
            ("ioi-mini", "prompts", 40, 10, 5, 0.5, 0.5, None, 0.5),
            ("ioi-mini", "prompts", 60, 10, 5, 0.5, 0.5, None, 0.5),
            ("ioi-mini", "prompts", 80, 4, 3, 0.75, 0.3, None, 0.4),
            ("ioi-mini", "prompts", 81, 1, 0, 0.0, 0.0, None, 0.0),
        ]
    )


def panels(chart: Chart) -> dict[str, dict]:
    """By title, each with the datasets of the whole."""
    spec = specification(chart)
    return {
        panel["title"]["text"]: {**panel, "datasets": spec["datasets"]} for panel in spec["concat"]
    }


def line_of(panel: dict) -> dict:
    """The line of the traced circuit, which lies over the mean of the random ones."""
    return layers_of(panel, "line")[-1]


def test_a_panel_for_each_ratio_that_varies(evaluation):
    assert list(panels(precision_recall(evaluation))) == ["precision, ioi-mini", "recall, ioi-mini"]
    same = evaluation.with_columns(recall_reachable="recall")
    assert len(panels(precision_recall(same))) == 2
    reachable = evaluation.with_columns(recall_reachable=pl.col("recall") * 2)
    assert list(panels(precision_recall(reachable)))[2] == "reachable recall, ioi-mini"


def test_a_row_of_panels_for_each_reference(evaluation):
    other = evaluation.with_columns(reference=pl.lit("other"), precision=pl.lit(0.9))
    chart = precision_recall(pl.concat([other, evaluation]), min_count=50, random=RANDOM)
    found = panels(chart)
    assert list(found) == [
        "precision, ioi-mini",
        "recall, ioi-mini",
        "precision, other",
        "recall, other",
    ]
    spec = specification(chart)
    assert spec["columns"] == 2
    assert "Against ioi-mini, from 50 prompts on: 10 heads, precision 0.50" in subtitle(spec)
    assert "Against other, from 50 prompts on: 10 heads, precision 0.90" in subtitle(spec)
    panel = found["precision, other"]
    assert {r["value"] for r in rows_of(panel, line_of(panel))} == {0.9}
    (band,) = layers_of(panel, "area")
    assert {r["low"] for r in rows_of(panel, band)} == {0.7}


def test_steps_leave_out_repetitions_and_nulls(evaluation):
    for metric, values in (("precision", [0.5, 0.5, 0.75, 0.0]), ("recall", [0.5, 0.5, 0.3, 0.0])):
        panel = panels(precision_recall(evaluation, min_count=50))[f"{metric}, ioi-mini"]
        line = line_of(panel)
        assert line["mark"]["interpolate"] == "step-before"
        drawn = [(r["min_count"], r["value"]) for r in rows_of(panel, line)]
        assert drawn == list(zip([1, 60, 80, 81], values, strict=True))
        assert line["encoding"]["x"]["field"] == "min_count"
        assert line["encoding"]["y"]["scale"]["domain"] == [0, 1]


def test_the_runs_own_threshold_is_marked_with_its_ratio(evaluation):
    chart = precision_recall(evaluation, min_count=61)
    panel = panels(chart)["precision, ioi-mini"]
    (rule,) = layers_of(panel, "rule")
    assert rule["mark"]["style"] == "threshold"
    assert rows_of(panel, rule)[0]["min_count"] == 61
    (point,) = layers_of(panel, "point")
    assert rows_of(panel, point) == [{"min_count": 61, "value": 0.75}]
    (label,) = layers_of(panel, "text")
    assert label["encoding"]["text"]["field"] == "value"
    message = subtitle(specification(chart))
    assert "from 61 prompts on: 4 heads, precision 0.75, recall 0.30" in message
    assert "reachable recall undefined" in message


def test_random_sets_are_a_band_behind_the_line(evaluation):
    chart = precision_recall(evaluation, min_count=50, random=RANDOM)
    panel = panels(chart)["precision, ioi-mini"]
    (band,) = layers_of(panel, "area")
    assert (band["encoding"]["y"]["field"], band["encoding"]["y2"]["field"]) == ("low", "high")
    drawn = [(r["min_count"], r["low"], r["high"], r["mean"]) for r in rows_of(panel, band)]
    assert drawn == [(1, 0.1, 0.4, 0.25), (40, 0.1, 0.4, 0.25), (80, 0.0, 0.5, 0.25)]
    assert panel["layer"].index(band) < panel["layer"].index(line_of(panel))
    assert "random sets of as many heads" in subtitle(specification(chart))
    assert "random sets of as many heads" not in subtitle(
        specification(precision_recall(evaluation))
    )


def test_a_threshold_beyond_the_curve(evaluation):
    chart = precision_recall(evaluation, min_count=500)
    for panel in panels(chart).values():
        assert layers_of(panel, "point") == []
        assert line_of(panel)["encoding"]["x"]["scale"]["domain"] == [1, 500]
    assert "from 500 prompts on: no edge." in subtitle(specification(chart))


def test_large_counts_get_a_logarithmic_axis(evaluation):
    far = evaluation.with_columns(pl.col("min_count") * 1000)
    for panel in panels(precision_recall(far)).values():
        assert line_of(panel)["encoding"]["x"]["scale"]["type"] == "log"


def test_no_evaluation_is_a_message():
    (row,) = rows_of(specification(precision_recall(evaluation_frame([]))))
    assert row["message"].startswith("No evaluation")


def test_the_value_is_clear_of_a_rising_line(evaluation):
    """Precision rises from 0.5 to 0.75 just behind the threshold of 60, recall falls."""
    shown = panels(precision_recall(evaluation, min_count=70))
    falling = panels(precision_recall(evaluation, min_count=60))
    for panel, side in (
        (falling["precision, ioi-mini"], "left"),
        (shown["recall, ioi-mini"], "left"),
    ):
        (text,) = layers_of(panel, "text")
        assert text["mark"]["align"] == side
    far = evaluation.with_columns(min_count=pl.col("min_count").replace(80, 65))
    (text,) = layers_of(panels(precision_recall(far, min_count=60))["precision, ioi-mini"], "text")
    assert (text["mark"]["align"], text["mark"]["dx"]) == ("right", -8)
