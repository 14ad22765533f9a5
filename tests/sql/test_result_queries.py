"""Queries over a run's results: literal rows in, expected rows out."""

import json
from typing import Any

import duckdb
import polars as pl
import pytest

from svt.query.named import run
from tests.store_rows import StoreRows, connection, insert

CONFIG = {
    "trace": {
        "firing_weight": 0.5, "coverage": 0.7, "nonpositive": "none", "components": "head",
        "offset": "exclude", "slices": "signal", "root_dest": "end", "root_src": "any",
        "count": "prompts", "min_share": 0.5, "min_count": None,
    }
}  # fmt: skip


def rows(con: duckdb.DuckDBPyConnection, query: str, **params: Any) -> list[tuple[Any, ...]]:
    return run(con, query, **params).rows()


def edge(
    up: tuple[int, int], down: tuple[int, int], counts: tuple[int, int, int], **more: Any
) -> dict[str, Any]:
    """A row of graph_edges; counts are of prompts, firings and visits."""
    return {
        "up_layer": up[0], "up_head": up[1], "component": "head", "layer": down[0],
        "head": down[1], "side": "dest", "role": "end", "n_prompts": counts[0],
        "n_firings": counts[1], "n_visits": counts[2], "total": 1.0 * counts[1], "mean": 1.0,
        **more,
    }  # fmt: skip


def reached(store: StoreRows, at: tuple[int, int, int, int, int], depth: int) -> dict[str, Any]:
    return {
        "root_layer": 3, "root_head": 0, "prompt_id": at[0], "pair_id": store.pair_id(*at),
        "depth": depth, "visits": 1 + depth,
    }  # fmt: skip


def a_run(
    config: dict[str, Any] = CONFIG, references: tuple[str, ...] = ("known",)
) -> duckdb.DuckDBPyConnection:
    """Four prompts; root 3.0 in two of them, 2.1 -> 3.0 and 1.0 -> 2.1, an MLP edge, a rare one."""
    store = StoreRows(n_layers=4, n_heads=2)
    for prompt in range(4):
        store.prompt(prompt, {"end": 5, "IO": 2}, n_tokens=6)
    firing = [((p, 3, 0, 5, 2), 0) for p in (0, 1)] + [((0, 2, 1, 5, 3), 1), ((0, 2, 1, 5, 2), 1)]
    for at, _ in firing:
        store.pair(at, weight=0.5)
    known = [(ref, h, i) for ref in references for i, h in enumerate(((2, 1), (0, 0), (3, 1)))]
    return store.connect(
        run=[{"config": json.dumps(config), "n_prompts": 4, "roots": "[[3, 0]]"}],
        trace_pairs=[reached(store, at, depth) for at, depth in firing],
        graph_edges=[
            edge((2, 1), (3, 0), (2, 2, 9)),
            edge((1, 0), (2, 1), (2, 4, 4)),
            edge((1, 1), (2, 1), (1, 9, 1)),
            edge((1, 0), (3, 0), (3, 3, 3), component="mlp", up_head=None, side="src", role="IO"),
        ],
        reference_heads=[
            {
                "reference": ref, "layer": layer, "head": head, "class": f"class {i}",
                "reachable": layer < 3,
            }
            for ref, (layer, head), i in known
        ],
    )  # fmt: skip


def test_trace_summary() -> None:
    """Root 3.0 in two prompts: four pairs, 1 + 1 + 2 + 2 visits, one deep; an edge from a head."""
    con = a_run()
    assert rows(con, "trace_summary") == [(3, 0, 2, 4, 0, 0, 1, 6)]
    common = {
        "root_layer": 3, "root_head": 0, "prompt_id": 0, "pair_id": 1, "layer": 3, "head": 0,
        "dest": 5, "src": 2, "side": "dest", "contribution": 1.0, "visits": 1,
    }  # fmt: skip
    insert(
        con,
        "results.trace_edges",
        [
            {**common, "component": "head", "up_layer": 2, "up_head": 1},
            {**common, "component": "embed"},
        ],
    )
    assert rows(con, "trace_summary") == [(3, 0, 2, 4, 1, 2, 1, 6)]
    assert run(con, "trace_summary").schema["visits"] == pl.Int64


def test_trace_edges() -> None:
    """Two edges of one pair, the larger contribution first; roles where the tokens have one."""
    store = StoreRows(n_layers=4, n_heads=2)
    store.prompt(0, {"end": 5})
    at = (0, 3, 0, 5, 2)
    pair = store.pair(at)
    base = {
        "root_layer": 3, "root_head": 0, "prompt_id": 0, "pair_id": pair, "layer": 3, "head": 0,
        "dest": 5, "src": 2, "component": "head", "up_layer": 1, "visits": 1,
    }  # fmt: skip
    con = store.connect(
        trace_pairs=[reached(store, at, 0)],
        trace_edges=[
            {**base, "side": "dest", "up_head": 0, "contribution": 0.5},
            {**base, "side": "dest", "up_head": 1, "contribution": 2.0, "effect": 0.25},
            {**base, "side": "src", "up_head": 1, "contribution": 3.0},
        ],
    )
    start = (3, 0, 0, pair, 0, 3, 0, 5, "end", 2, None)
    assert rows(con, "trace_edges") == [
        (*start, "dest", "head", 1, 1, 2.0, 0.25, 1),
        (*start, "dest", "head", 1, 0, 0.5, None, 1),
        (*start, "src", "head", 1, 1, 3.0, None, 1),
    ]
    assert rows(con, "trace_edges", prompt_id=1) == []
    assert rows(con, "trace_edges", min_visits=2) == []


def test_shown_edges() -> None:
    """Half of four prompts is 2: one edge has fewer. Other counts and thresholds by parameter."""
    con = a_run()

    def shown(**params: Any) -> list[tuple[Any, ...]]:
        return run(con, "shown_edges", **params).select("up_layer", "up_head").rows()

    assert shown() == [(1, None), (1, 0), (2, 1)]  # 3 prompts, then 2 with total 4, 2 with total 2
    assert shown(min_share=0.75) == [(1, None)]
    assert shown(min_count=1) == [(1, None), (1, 0), (2, 1), (1, 1)]
    assert shown(count="firings", min_count=4) == [(1, 1), (1, 0)]
    assert shown(count="visits", min_count="9") == [(2, 1)]


def test_shown_edges_of_a_share_that_is_no_integer() -> None:
    """0.3 of four prompts is 1.2: an edge must be in two. 0.07 of 100 is 7, in floats too."""
    con = a_run()
    assert len(rows(con, "shown_edges", min_share=0.3)) == 3
    assert len(rows(con, "shown_edges", min_share=0.0)) == 4
    con.execute("UPDATE store.prompts SET prompt_id = 0")
    con.execute("INSERT INTO store.prompts SELECT p.* FROM store.prompts AS p, range(24)")
    con.execute("UPDATE results.graph_edges SET n_prompts = 7")
    assert len(rows(con, "shown_edges", min_share=0.07)) == 4


def test_shown_edges_by_the_settings_of_the_run() -> None:
    config = {"trace": {**CONFIG["trace"], "count": "visits", "min_count": 4}}
    assert [row[:2] for row in rows(a_run(config), "shown_edges")] == [(2, 1), (1, 0)]


def test_graph_nodes() -> None:
    """Shown from 2 prompts: 1.0 -> 2.1 -> 3.0 and an MLP into 3.0.

    3.0 fired in two prompts, 2.1 twice in one.
    """
    con = a_run()
    assert rows(con, "graph_nodes") == [
        (1, 0, False, 0, 0, 0, 1, False, None),
        (2, 1, False, 1, 2, 1, 1, True, "class 0"),
        (3, 0, True, 2, 2, 2, 0, False, None),
    ]
    # nothing is shown: the root remains
    assert rows(con, "graph_nodes", min_count=99) == [(3, 0, True, 2, 2, 0, 0, False, None)]


def test_precision_recall() -> None:
    """Rows at 5 and 9 answer: up to 5 the first, 6 to 9 and beyond the second."""
    measures = {
        "tp": 1, "precision": 0.5, "recall": 0.25, "recall_reachable": None, "f1": 1 / 3,
    }  # fmt: skip
    con = connection(
        {},
        {
            "evaluation": [
                {"reference": ref, "count": kind, "min_count": m, "n_heads": n, **measures}
                for ref in ("a", "b")
                for kind, m, n in (("prompts", 5, 4), ("prompts", 9, 2), ("visits", 7, 3))
            ]
        },
    )
    tail = (1, 0.5, 0.25, None, 1 / 3)
    assert rows(con, "precision_recall", reference="a") == [
        ("a", "prompts", 5, 4, *tail),
        ("a", "prompts", 9, 2, *tail),
    ]
    answers = {
        m: [row[3] for row in rows(con, "precision_recall", min_count=m)]
        for m in (-1, 0, 1, 5, 6, 9, 10, 10**6)
    }
    assert answers == {
        -1: [4, 4], 0: [4, 4], 1: [4, 4], 5: [4, 4], 6: [2, 2], 9: [2, 2], 10: [2, 2],
        10**6: [2, 2],
    }  # fmt: skip
    assert rows(con, "precision_recall", count="visits", min_count=3, reference="b") == [
        ("b", "visits", 3, 3, *tail)
    ]


def test_random_baseline() -> None:
    """The circuit is 1.0, 2.1, 3.0; the reference 2.1, 0.0, 3.1, of which the first two reachable.

    A draw of 3 of 8 heads holds each head with 3/8: 9/8 hits are expected, precision 3/8, recall
    3/8; it has at least one hit with 1 - (5 4 3) / (8 7 6) = 0.82, three with 1 / 56, which is
    below 2.5%.
    """
    con = a_run()
    found = {row["metric"]: row for row in run(con, "random_baseline").to_dicts()}
    assert list(found) == ["precision", "recall", "recall_reachable", "f1"]
    assert [row["n_heads"] for row in found.values()] == [3, 3, 3, 3]
    assert [row["traced"] for row in found.values()] == [1 / 3, 1 / 3, 1 / 2, 1 / 3]
    for metric in ("precision", "recall", "f1"):
        row = found[metric]
        assert row["mean"] == pytest.approx(3 / 8, abs=0.03)
        assert row["share_as_good"] == pytest.approx(1 - 60 / 336, abs=0.04)
        assert (row["low"], row["high"], row["quantile_95"]) == (0.0, 2 / 3, 2 / 3)
    assert run(con, "random_baseline").rows() == run(con, "random_baseline").rows()
    other = run(con, "random_baseline", seed=1)
    assert other["mean"].to_list() != [row["mean"] for row in found.values()]


def test_random_baseline_among_the_reachable() -> None:
    """Root 3.0 and the six heads below: a draw of 3 has 3/7 of each, 6/7 of 2.1 and 0.0."""
    con = a_run()
    (row, *_) = run(con, "random_baseline", among="reachable", draws=2000).to_dicts()
    assert row["mean"] == pytest.approx(2 / 7, abs=0.02)


def test_random_baseline_that_keeps_the_roots() -> None:
    """Root 3.0 is in every draw; of the other 7 heads 2 are drawn, with 6 / 7 hits in 3 heads."""
    (row, *_) = run(a_run(), "random_baseline", keep_roots=True, draws=2000).to_dicts()
    assert row["mean"] == pytest.approx(2 / 7, abs=0.02)
    assert row["high"] == pytest.approx(2 / 3)


def test_random_baseline_for_every_reference() -> None:
    con = a_run(references=("one", "two"))
    assert run(con, "random_baseline")["reference"].to_list() == ["one"] * 4 + ["two"] * 4
    assert run(con, "random_baseline", reference="two")["reference"].to_list() == ["two"] * 4


def test_baseline_without_svd() -> None:
    """3.0 hears 2.0 over the signal (4 of 5), 1.1 over all slices (6 of 7); 2.0 hears 1.0 by both.

    Reference 2.0 and 1.0. Signal: 3.0, 2.0, 1.0: 2 of 3 heads known, f1 4 / 5. All slices: 3.0 and
    1.1, which does not fire: none known, f1 0.
    """
    store = StoreRows(n_layers=4, n_heads=2)
    store.prompt(0, {"end": 5})
    at = (0, 3, 0, 5, 2)
    store.pair(at, dest={(2, 0): (4.0, 1.0), (1, 1): (1.0, 6.0)})
    store.pair((0, 2, 0, 5, 1), dest={(1, 0): 1.0})
    con = store.connect(
        run=[{"config": json.dumps(CONFIG)}],
        trace_pairs=[reached(store, at, 0)],
        reference_heads=[
            {"reference": "known", "layer": layer, "head": 0, "reachable": True} for layer in (1, 2)
        ],
    )
    assert rows(con, "baseline_without_svd") == [
        ("known", "signal", 1, 2, 3, 2, pytest.approx(2 / 3), 1.0, 1.0, 0.8, 0.8),
        ("known", "all", 1, 1, 2, 0, 0.0, 0.0, 0.0, 0.0, 0.0),
    ]
    # from two prompts on only the root is left, of both
    at_two = run(con, "baseline_without_svd", min_count=2)
    assert at_two.select("n_edges", "n_heads", "f1", "best_f1").rows() == [
        (0, 1, 0.0, 0.8),
        (0, 1, 0.0, 0.0),
    ]


def sweep() -> duckdb.DuckDBPyConnection:
    """Job 0 shows edges from 2 prompts, job 1 from 3 visits; job 2 failed."""
    con = connection()
    for table in ("run", "trace_pairs", "graph_edges", "evaluation"):
        con.execute(f"ALTER TABLE results.{table} ADD COLUMN job INTEGER")
        con.execute(f"ALTER TABLE results.{table} ADD COLUMN trace_coverage DOUBLE")
    con.execute("ALTER TABLE results.run ALTER COLUMN config DROP NOT NULL")
    by_visits = {"trace": {**CONFIG["trace"], "count": "visits", "min_count": 3}}
    for job, config in enumerate((CONFIG, by_visits)):
        text = json.dumps(config)
        insert(
            con,
            "results.run",
            [{"job": job, "trace_coverage": job / 2, "config": text, "n_prompts": 4}],
        )
        insert(
            con,
            "results.trace_pairs",
            [{"job": job, "root_layer": 3, "root_head": 0, "prompt_id": 0, "pair_id": 1, "depth": 0,
              "visits": 1}],
        )  # fmt: skip
        insert(
            con,
            "results.graph_edges",
            [
                {"job": job, **edge((2, 1), (3, 0), (2, 2, 2))},
                {"job": job, **edge((1, 0), (2, 1), (1, 1, 4))},
                {"job": job, **edge((0, 0), (3, 0), (3, 3, 3), component="mlp", up_head=None)},
            ],
        )
        insert(
            con,
            "results.evaluation",
            [
                {
                    "job": job,
                    "reference": "known",
                    "count": kind,
                    "min_count": m,
                    "n_heads": 9,
                    "tp": m,
                }
                for kind, m in (("prompts", 1), ("prompts", 2), ("visits", 2), ("visits", 4))
            ],
        )
    insert(
        con, "results.run", [{"job": 2, "trace_coverage": 1.0, "config": None, "status": "broke"}]
    )
    return con


def test_sweep() -> None:
    """Job 0: 2.1 -> 3.0 from 2 prompts, tp at 2. Job 1: 1.0 -> 2.1 from 3 visits, beside the root;
    the row at 4 answers for 3. Both have an edge from an MLP, which is no head.
    """
    assert rows(sweep(), "sweep") == [
        (0, "done", 2, 2, 2, 2, None, None, None, None, 0.0),
        (1, "done", 3, 2, 3, 4, None, None, None, None, 0.5),
        (2, "broke", None, None, None, None, None, None, None, None, 1.0),
    ]
    assert run(sweep(), "sweep").columns[-1] == "trace_coverage"


def test_left_out() -> None:
    """Two of prompts 0 to 3 is half: of the counts 3, 2, 2 and 1 one lies below 2, three below 3.

    Two edges: into position 5, which has the role end, met from two roots, and into 3 with none.
    """
    con = a_run()
    edge_at = {
        "prompt_id": 0, "pair_id": 1, "layer": 3, "head": 0, "dest": 5, "src": 3,
        "component": "head", "up_layer": 1, "up_head": 0, "contribution": 1.0, "visits": 1,
    }  # fmt: skip
    insert(
        con,
        "results.trace_edges",
        [
            {**edge_at, "side": "dest", "root_layer": 3, "root_head": 0},
            {**edge_at, "side": "dest", "root_layer": 3, "root_head": 1},
            {**edge_at, "side": "src", "root_layer": 3, "root_head": 0},
        ],
    )
    assert rows(con, "left_out") == [(1, 2, 1, 0.1)]
    assert rows(con, "left_out", min_count=3)[0][0] == 3
