"""Precision and recall, heatmaps, slices, sweeps: their data, fields and encodings."""

import polars as pl
import pytest

from svt.charts.precision_recall import precision_recall
from svt.charts.slice_contributions import IN_SIGNAL, NOISE, slice_contributions
from svt.charts.style import GREY, ORANGE, specification
from svt.charts.sweep import sweep
from svt.charts.upstream_heatmap import upstream_heatmap
from tests.charts.frames import evaluation_frame, layers_of, rows_of, subtitle

RANDOM = pl.DataFrame(
    {
        "metric": ["precision", "recall", "recall_reachable", "f1"],
        "mean": [0.25, 0.3, None, 0.2],
        "low": [0.1, 0.2, None, 0.1],
        "high": [0.4, 0.4, None, 0.3],
    }
)
FIRING = {
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


def test_steps_leave_out_repetitions_and_nulls(evaluation):
    spec = specification(precision_recall(evaluation, min_count=50))
    (line,) = layers_of(spec, "line")
    assert line["mark"]["interpolate"] == "step-before"
    drawn = {(r["metric"], r["min_count"]): r["value"] for r in rows_of(spec, line)}
    assert drawn == {
        ("precision", 1): 0.5,
        ("precision", 60): 0.5,
        ("precision", 80): 0.75,
        ("precision", 81): 0.0,
        ("recall", 1): 0.5,
        ("recall", 60): 0.5,
        ("recall", 80): 0.3,
        ("recall", 81): 0.0,
    }
    assert line["encoding"]["x"]["field"] == "min_count"
    assert line["encoding"]["y"]["scale"]["domain"] == [0, 1]
    assert line["encoding"]["color"]["scale"]["domain"] == [
        "precision",
        "recall",
        "reachable recall",
    ]


def test_the_runs_own_threshold_is_marked_with_its_ratios(evaluation):
    spec = specification(precision_recall(evaluation, min_count=61))
    (rule,) = [r for r in layers_of(spec, "rule") if r["mark"].get("style") == "threshold"]
    assert rows_of(spec, rule)[0]["min_count"] == 61
    (points,) = layers_of(spec, "point")
    assert {(r["metric"], r["min_count"], r["value"]) for r in rows_of(spec, points)} == {
        ("precision", 61, 0.75),
        ("recall", 61, 0.3),
    }
    assert "Against ioi-mini. From 61 prompts: 4 heads, precision 0.75, recall 0.30" in subtitle(
        spec
    )
    assert "reachable recall undefined" in subtitle(spec)


def test_random_sets_stand_beside_the_points(evaluation):
    spec = specification(precision_recall(evaluation, min_count=50, random=RANDOM))
    ticks = [rows_of(spec, tick)[0] for tick in layers_of(spec, "tick")]
    assert [(r["metric"], r["mean"], r["min_count"]) for r in ticks] == [
        ("precision", 0.25, 50),
        ("recall", 0.3, 50),
    ]
    bars = [r for r in layers_of(spec, "rule") if r["mark"].get("style") != "threshold"]
    assert [(b["encoding"]["y"]["field"], b["encoding"]["y2"]["field"]) for b in bars] == [
        ("low", "high"),
        ("low", "high"),
    ]
    assert "drawn at random" in subtitle(spec)


def test_a_threshold_beyond_the_curve(evaluation):
    spec = specification(precision_recall(evaluation, min_count=500))
    assert layers_of(spec, "point") == []
    assert "From 500 prompts: no edge." in subtitle(spec)


def test_large_counts_get_a_logarithmic_axis(evaluation):
    far = evaluation.with_columns(pl.col("min_count") * 1000)
    (line,) = layers_of(specification(precision_recall(far)), "line")
    assert line["encoding"]["x"]["scale"]["type"] == "log"


def test_no_evaluation_is_a_message():
    (row,) = rows_of(specification(precision_recall(evaluation_frame([]))))
    assert row["message"].startswith("No evaluation")


def upstream(signal: float, every: float) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "up_layer": [0, 0, 1],
            "up_head": [0, 1, 1],
            "contribution": [signal, -0.1, 0.0],
            "contribution_all": [0.5, -every, 0.2],
            "n_firings": [212, 212, 212],
        }
    )


def test_heatmap_panels_share_a_scale_about_zero():
    spec = specification(upstream_heatmap(upstream(2.0, 1.0), layer=2, head=3, side="src"))
    assert spec["title"]["text"] == "What reaches the source token of 2.3"
    assert "212 firings" in subtitle(spec)
    signal, every = spec["hconcat"]
    assert [p["title"]["text"] for p in (signal, every)] == ["signal slices", "all slices"]
    assert [r["value"] for r in rows_of(spec, signal)] == [2.0, -0.1, 0.0]
    assert [r["value"] for r in rows_of(spec, every)] == [0.5, -1.0, 0.2]
    assert [r["value"] for r in spec["datasets"][every["data"]["name"]]] == [0.5, -1.0, 0.2]
    for panel in (signal, every):
        encoding = panel["encoding"]
        assert (encoding["x"]["field"], encoding["y"]["field"]) == ("up_head", "up_layer")
        assert encoding["y"]["sort"] == "descending"
        assert encoding["color"]["scale"]["domain"] == [-2.0, 2.0]


def test_heatmap_panels_far_apart_have_their_own_scales():
    spec = specification(upstream_heatmap(upstream(2.0, 90.0), layer=2, head=3, side="dest"))
    domains = [p["encoding"]["color"]["scale"]["domain"] for p in spec["hconcat"]]
    assert domains == [[-2.0, 2.0], [-90.0, 90.0]]
    assert "scales of their own" in subtitle(spec)


def test_a_head_without_upstream_is_a_message():
    chart = upstream_heatmap(upstream(1.0, 1.0).clear(), layer=0, head=3, side="dest")
    (row,) = rows_of(specification(chart))
    assert "0.3" in row["message"]


def test_slices_stand_in_order_with_the_signal_set_coloured():
    slices = pl.DataFrame(
        {
            "k": [2, 0, 1],
            "contribution": [-0.5, 3.0, 0.25],
            "rank": [2, 0, 1],
            "in_signal": [False, True, False],
        }
    )
    spec = specification(slice_contributions(slices, firing=FIRING))
    assert [(r["k"], r["contribution"], r["set"]) for r in rows_of(spec)] == [
        (0, 3.0, IN_SIGNAL),
        (1, 0.25, NOISE),
        (2, -0.5, NOISE),
    ]
    assert spec["encoding"]["x"]["field"] == "k"
    assert spec["encoding"]["y"]["field"] == "contribution"
    assert spec["encoding"]["color"]["scale"] == {
        "domain": [IN_SIGNAL, NOISE],
        "range": [ORANGE, GREY],
    }
    assert spec["title"]["text"] == "Slices of one firing of 5.3"
    assert subtitle(spec) == (
        "Prompt 7: “to” (14) attends to “Mary” (2), weight 0.93, score 4.10: "
        "1 of 3 slices in the signal set. Mary and John; John gave it to"
    )


def test_a_firing_without_tokens_or_slices():
    nameless = FIRING | {"dest_token": None, "src_token": None, "text": None}
    slices = pl.DataFrame({"k": [0], "contribution": [1.0], "rank": [0], "in_signal": [True]})
    spec = specification(slice_contributions(slices, firing=nameless))
    assert "Prompt 7: token 14 attends to token 2" in subtitle(spec)
    (row,) = rows_of(specification(slice_contributions(slices.clear(), firing=FIRING)))
    assert "no firing of 5.3" in row["message"]


@pytest.fixture
def jobs() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "job": [0, 1, 2, 3],
            "status": ["done", "done", "done", "it broke"],
            "trace_coverage": [0.5, 0.7, 0.7, 0.9],
            "trace_min_share": [0.1, 0.1, 0.2, 0.2],
            "trace_slices": ["signal", "signal", "all", "all"],
            "precision": [0.4, 0.5, 0.6, None],
            "recall": [0.8, 0.7, 0.6, None],
            "n_heads": [30, 20, 10, None],
            "n_edges": [90, 60, 30, None],
        }
    )


def test_a_sweep_over_one_number(jobs):
    spec = specification(sweep(jobs, keys=["trace_coverage"]))
    assert subtitle(spec) == "3 jobs; 1 failed and not shown."
    assert [p["encoding"]["y"]["field"] for p in spec["concat"]] == [
        "precision",
        "recall",
        "n_heads",
        "n_edges",
    ]
    first = spec["concat"][0]
    assert first["encoding"]["x"]["field"] == "trace_coverage"
    assert first["encoding"]["x"]["type"] == "quantitative"
    assert first["encoding"]["x"]["axis"]["values"] == [0.5, 0.7]
    assert first["encoding"]["x"]["title"] == "trace.coverage"
    assert "field" not in first["encoding"]["color"]
    assert [r["precision"] for r in rows_of(spec, first)] == [0.4, 0.5, 0.6]


def test_a_sweep_over_two_keys_puts_the_number_on_x(jobs):
    spec = specification(sweep(jobs, keys=["trace_slices", "trace_min_share"]))
    first = spec["concat"][0]
    assert first["encoding"]["x"]["field"] == "trace_min_share"
    assert first["encoding"]["color"]["field"] == "others"
    assert [r["others"] for r in rows_of(spec, first)] == [
        "trace.slices=signal",
        "trace.slices=signal",
        "trace.slices=all",
    ]


def test_a_sweep_over_words(jobs):
    first = specification(sweep(jobs, keys=["trace_slices"]))["concat"][0]
    assert first["encoding"]["x"]["type"] == "nominal"


def test_a_key_that_is_sometimes_null_is_words(jobs):
    """trace.min_count=null,10: null is a setting like any other."""
    some = jobs.with_columns(trace_min_count=pl.Series([None, 10, 10, 10]))
    first = specification(sweep(some, keys=["trace_min_count"]))["concat"][0]
    assert first["encoding"]["x"]["type"] == "nominal"
    spec = specification(sweep(some, keys=["trace_min_count", "trace_coverage"]))
    assert [row["others"] for row in rows_of(spec, spec["concat"][0])] == [
        "trace.min_count=null",
        "trace.min_count=10",
        "trace.min_count=10",
    ]


def test_a_sweep_without_results_is_a_message(jobs):
    (row,) = rows_of(specification(sweep(jobs.tail(1), keys=["trace_coverage"])))
    assert row["message"] == "Nothing to compare: 1 job failed."
    (row,) = rows_of(specification(sweep(jobs, keys=[])))
    assert row["message"] == "Nothing to compare: no key was swept."
