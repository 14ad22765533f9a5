"""Sweeps, along one key or as heat over two: data, fields and encodings."""

import polars as pl
import pytest

from svt.charts.style import BLUE, GREY, specification
from svt.charts.sweep import sweep
from svt.charts.sweep_heat import MOST_ROWS
from tests.charts.frames import rows_of, subtitle


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
            "f1": [0.5, 0.6, 0.6, None],
            "n_heads": [30, 20, 10, None],
            "n_edges": [90, 60, 30, None],
        }
    )


def test_a_sweep_over_one_number(jobs):
    spec = specification(sweep(jobs, keys=["trace_coverage"]))
    assert subtitle(spec) == (
        "3 jobs; 1 failed and not shown. Best F1 of graphs with edges: 0.60 at trace.coverage=0.7."
    )
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


def test_a_measure_that_no_job_has_has_no_panel(jobs):
    """As without a reference."""
    bare = jobs.with_columns(precision=None, recall=None, f1=None)
    spec = specification(sweep(bare, keys=["trace_coverage"]))
    assert [p["encoding"]["y"]["field"] for p in spec["concat"]] == ["n_heads", "n_edges"]
    spec = specification(sweep(bare, keys=["trace_coverage", "trace_min_share"]))
    assert [titles(row) for row in spec["concat"]] == [["heads"]]


@pytest.fixture
def grid() -> pl.DataFrame:
    """Three coverages by two counts over signal slices; 0.7 by 64 failed."""
    return pl.DataFrame(
        [
            (0, 0.5, 16, "signal", 0.1, 1.0, 0.2, 30),
            (1, 0.5, 64, "signal", 0.2, 0.9, 0.3, 20),
            (2, 0.6, 16, "signal", 0.3, 0.8, 0.4, 40),
            (3, 0.6, 64, "signal", 0.4, 0.7, 0.5, 10),
            (4, 0.7, 16, "signal", 0.5, None, 0.6, 50),
            (5, 0.7, 64, "signal", None, None, None, None),
        ],
        schema=[
            "job", "trace_coverage", "trace_min_count", "trace_slices", "precision", "recall", "f1",
            "n_heads",
        ],
        orient="row",
    ).with_columns(status=pl.lit("done"), n_edges=pl.lit(7))  # fmt: skip


def titles(row: dict) -> list[str]:
    return [panel["title"]["text"] for panel in row["hconcat"]]


def drawn(spec: dict, panel: dict, measure: str) -> dict:
    """The values of a panel by place, across first."""
    places = [panel["layer"][0]["encoding"][axis]["field"] for axis in ("x", "y")]
    return {(*(r[p] for p in places), r[measure]) for r in rows_of(spec, panel)}


def test_a_sweep_over_two_numbers_is_heat(grid):
    spec = specification(sweep(grid, keys=["trace_min_count", "trace_coverage"]))
    assert "5 jobs; 1 failed and not shown." in subtitle(spec)
    (row,) = spec["concat"]
    assert titles(row) == ["precision", "recall", "F1", "heads"]
    precision, recall, _, heads = row["hconcat"]
    square = precision["layer"][0]
    x, y = square["encoding"]["x"], square["encoding"]["y"]
    assert (x["field"], x["title"], x["scale"]["domain"]) == (
        "trace_coverage",
        "trace.coverage",
        [0.5, 0.6, 0.7],
    )
    assert (y["field"], y["title"], y["scale"]["domain"], y["scale"]["reverse"]) == (
        "trace_min_count",
        "trace.min_count",
        [16, 64],
        True,
    )
    assert (x["type"], y["type"]) == ("ordinal", "ordinal")
    assert drawn(spec, precision, "precision") == {
        (0.5, 16, 0.1),
        (0.5, 64, 0.2),
        (0.6, 16, 0.3),
        (0.6, 64, 0.4),
        (0.7, 16, 0.5),
    }
    assert (0.7, 16) not in {place[:2] for place in drawn(spec, recall, "recall")}
    assert square["encoding"]["opacity"]["field"] == "precision"
    assert square["encoding"]["opacity"]["scale"]["domain"] == [0.1, 0.5]
    assert heads["layer"][0]["encoding"]["opacity"]["scale"]["domain"] == [10, 50]
    assert (square["mark"]["color"], heads["layer"][0]["mark"]["color"]) == (BLUE, GREY)


def test_values_are_written_in_squares_with_room(grid):
    spec = specification(sweep(grid, keys=["trace_coverage", "trace_min_count"]))
    precision, _, _, heads = spec["concat"][0]["hconcat"]
    assert [p["layer"][-1]["encoding"]["text"] for p in (precision, heads)] == [
        {"field": "precision", "format": ".2f", "type": "quantitative"},
        {"field": "n_heads", "format": "d", "type": "quantitative"},
    ]
    many = pl.concat(
        grid.with_columns(pl.col("trace_coverage") + i / 100, pl.col("job") + 6 * i)
        for i in range(5)
    )
    spec = specification(sweep(many, keys=["trace_coverage", "trace_min_count"]))
    assert not any(
        "text" in layer["encoding"] for p in spec["concat"][0]["hconcat"] for layer in p["layer"]
    )


def test_the_best_square_is_outlined_and_an_empty_graph_is_none(grid):
    """Job 4 has the best F1 of those with edges; 5, without, has a better one and no square."""
    empty = {"precision": 1.0, "recall": 0.9, "f1": 0.95, "n_heads": 2, "n_edges": 0}
    jobs = pl.concat(
        [grid.filter(pl.col("job") < 5), grid.filter(job=5).with_columns(**{
            key: pl.lit(value) for key, value in empty.items()
        })],
        how="vertical_relaxed",
    )  # fmt: skip
    spec = specification(sweep(jobs, keys=["trace_coverage", "trace_min_count"]))
    message = subtitle(spec)
    assert "0.60 at trace.coverage=0.7, trace.min_count=16 (outlined)." in message
    assert "a value without colour: a graph without edges." in message
    precision, recall, f1, _ = spec["concat"][0]["hconcat"]
    square, outline, _ = f1["layer"]
    assert square["transform"] == [{"filter": "datum.n_edges > 0"}]
    assert square["encoding"]["opacity"]["scale"]["domain"] == [0.2, 0.6]
    assert outline["transform"] == [{"filter": "datum.job === 4"}]
    assert len(precision["layer"]) == 3
    assert len(recall["layer"]) == 2  # job 4 has none
    alone = sweep(jobs.filter(pl.col("job") > 3), keys=["trace_coverage", "trace_min_count"])
    assert "Best" not in subtitle(specification(alone))


def test_other_keys_give_rows_of_their_own(grid):
    keys = ["trace_coverage", "trace_slices", "trace_min_count"]
    both = pl.concat([grid, grid.with_columns(trace_slices=pl.lit("all"), precision=0.9)])
    spec = specification(sweep(both, keys=keys))
    assert [row["title"]["text"] for row in spec["concat"]] == [
        "trace.slices=signal",
        "trace.slices=all",
    ]
    (first, second) = (row["hconcat"][0] for row in spec["concat"])
    assert len(drawn(spec, first, "precision")) == 5
    assert {place[2] for place in drawn(spec, second, "precision")} == {0.9}
    many = pl.concat(
        grid.with_columns(trace_slices=pl.lit(f"kind {i}")) for i in range(MOST_ROWS + 2)
    )
    spec = specification(sweep(many, keys=keys))
    assert len(spec["concat"]) == MOST_ROWS
    assert "2 settings of the other keys left out." in subtitle(spec)


def test_a_number_that_never_changes_is_no_side_of_a_grid(grid):
    still = grid.with_columns(trace_min_count=16)
    spec = specification(sweep(still, keys=["trace_coverage", "trace_min_count"]))
    assert spec["concat"][0]["encoding"]["x"]["field"] == "trace_coverage"


def test_the_two_keys_with_most_values_span_the_grid(grid):
    """Of three numbers the one with a single and the one with fewer values are left out."""
    three = grid.with_columns(evaluate_seed=pl.Series([1, 1, 1, 1, 2, 2]))
    keys = ["evaluate_seed", "trace_min_count", "trace_coverage"]
    more = pl.concat([three, three.with_columns(pl.col("trace_min_count") * 8)])
    spec = specification(sweep(more, keys=keys))
    fields = spec["concat"][0]["hconcat"][0]["layer"][0]["encoding"]
    assert {fields[axis]["field"] for axis in ("x", "y")} == {"trace_coverage", "trace_min_count"}
    assert [row["title"]["text"] for row in spec["concat"]] == [
        "evaluate.seed=1",
        "evaluate.seed=2",
    ]
