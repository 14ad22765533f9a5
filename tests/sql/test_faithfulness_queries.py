"""The query faithfulness and the circuits behind it: literal rows in, expected rows out."""

from typing import Any

import duckdb
import pytest

from svt.paths import sql_dir
from svt.query.named import run
from tests.sql.test_result_queries import edge
from tests.store_rows import connection

COMMON = {"ablation": "mean", "logit_diff_full": 8.0, "logit_diff_none": 2.0}


def kept(min_count: int, n_heads: int, diff: float, **more: Any) -> dict[str, Any]:
    """A row of results.faithfulness, of a traced circuit by default."""
    row = {"min_count": min_count, "n_heads": n_heads, "control": "traced", "logit_diff": diff}
    return {**COMMON, **row, "accuracy": diff / 10, **more}


def drawn(min_count: int, n_heads: int, *diffs: float) -> list[dict[str, Any]]:
    return [
        kept(min_count, n_heads, diff, control="random", seed=seed)
        for seed, diff in enumerate(diffs)
    ]


def test_faithfulness() -> None:
    """6 of 8 is 3/4, and 4 of the 6 above no head 2/3; random shares 1/8, 1/4, 1/2; mean 7/24."""
    con = connection(
        results={
            "faithfulness": [
                kept(5, 2, 6.0),
                *drawn(5, 2, 4.0, 1.0, 2.0),
                kept(1, 7, 10.0, accuracy=1.0),
                *drawn(1, 7, -4.0),
            ]
        }
    )
    assert run(con, "faithfulness").rows() == [
        (1, 7, "mean", 10.0, 1.25, pytest.approx(8 / 6), 1.0, -0.5, -0.5, -0.5, 1),
        (5, 2, "mean", 6.0, 0.75, pytest.approx(2 / 3), 0.6, pytest.approx(7 / 24), 0.125, 0.5, 3),
    ]


def test_faithfulness_without_denominator_or_controls_is_null() -> None:
    none = {"logit_diff_full": 0.0, "logit_diff_none": 0.0, "ablation": "resample"}
    con = connection(results={"faithfulness": [kept(1, 3, 5.0, **none)]})
    assert run(con, "faithfulness").rows() == [
        (1, 3, "resample", 5.0, None, None, 0.5, None, None, None, 0)
    ]


def circuits(con: duckdb.DuckDBPyConnection, count: str) -> list[tuple[int, list[list[int]]]]:
    text = (sql_dir() / "intervene" / "circuits.sql").read_text(encoding="utf-8")
    return con.execute(text, {"count": count}).fetchall()


ROOTS = [
    {"root_layer": 3, "root_head": head, "prompt_id": 0, "pair_id": head, "depth": 0, "visits": 1}
    for head in (0, 0, 1)
]
EDGES = [
    edge((2, 1), (3, 0), (7, 2, 9)),
    edge((1, 0), (2, 1), (5, 4, 4)),
    edge((0, 0), (1, 0), (2, 9, 4)),
    edge((2, 1), (3, 1), (9, 1, 1)),
    edge((1, 1), (3, 0), (8, 3, 3), component="mlp", up_head=None),
]


def test_circuits_are_the_heads_of_edges_at_each_best_count() -> None:
    """Best prompts: 2.1 9, 1.0 5, 0.0 2; the roots, at edges of 9, stand alone from 10 on."""
    con = connection(results={"graph_edges": EDGES, "trace_pairs": ROOTS})
    roots = [[3, 0], [3, 1]]
    assert circuits(con, "prompts") == [
        (2, [[0, 0], [1, 0], [2, 1], *roots]),
        (5, [[1, 0], [2, 1], *roots]),
        (9, [[2, 1], *roots]),
        (10, roots),
    ]
    assert circuits(con, "firings") == [
        (4, [[0, 0], [1, 0], [2, 1], *roots]),
        (9, [[0, 0], [1, 0], *roots]),
        (10, roots),
    ]


@pytest.mark.parametrize("count", ["prompts", "firings", "visits"])
def test_circuits_are_those_of_the_evaluation(count: str) -> None:
    """Thresholds and sizes agree with sql/macros/evaluated.sql."""
    known = [{"reference": "known", "layer": 0, "head": 0, "reachable": True}]
    con = connection(results={"graph_edges": EDGES, "trace_pairs": ROOTS, "reference_heads": known})
    wanted = con.execute(
        "SELECT min_count, n_heads FROM evaluated('results.graph_edges', [[3, 0], [3, 1]], "
        "'results.reference_heads') WHERE count = ? ORDER BY min_count",
        [count],
    ).fetchall()
    assert [(min_count, len(heads)) for min_count, heads in circuits(con, count)] == wanted


def test_circuits_of_a_graph_without_edges_are_the_roots() -> None:
    con = connection(results={"trace_pairs": ROOTS})
    assert circuits(con, "visits") == [(1, [[3, 0], [3, 1]])]
