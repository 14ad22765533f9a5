"""The queries about one prompt: literal rows in, expected rows out."""

import json
from typing import Any

import duckdb
import polars as pl
import pytest

from svt.query.named import run
from tests.sql.test_result_queries import CONFIG, edge
from tests.store_rows import StoreRows

END, S2 = 9, 6
ROOT, WRITER = (2, 1, 0, END, S2), (2, 0, 0, END, S2)  # of prompt 2: 0.0 writes for the root 1.0


def trace_edge(store: StoreRows, at: tuple[int, ...], root: int, **more: Any) -> dict[str, Any]:
    prompt, layer, head, dest, src = at
    return {
        "root_layer": 1, "root_head": root, "prompt_id": prompt,
        "pair_id": store.pair_id(prompt, layer, head, dest, src), "layer": layer, "head": head,
        "dest": dest, "src": src, "side": "dest", "up_layer": 0, "up_head": 0,
        "component": "head", "contribution": 3.0, "visits": 1, **more,
    }  # fmt: skip


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """Of prompt 1 the trace reaches a root alone; in prompt 2 it reaches 1.0 from two roots.

    There 0.0 writes 3 of 4 into end and 0.1, which does not fire, 1 of -1 into S2.
    """
    store = StoreRows(n_layers=2, n_heads=2, effects=True)
    for prompt in (1, 2):
        store.prompt(prompt, {"S2": S2, "end": END}, n_tokens=10)
    alone = store.pair((1, 1, 0, END, S2))
    root = store.pair(
        ROOT,
        weight=0.75,
        score=2.0,
        n_slices=3,
        dest={(0, 0): (3.0, 3.0, 0.25), (0, 1): (1.0, 1.0, 0.75)},
        src={(0, 1): (1.0, 1.0, 1.0), (0, 0): (-2.0, -2.0, 0.75)},
    )
    writer = store.pair(WRITER)
    reached = [(0, 1, alone, 0), (0, 2, root, 0), (1, 2, root, 1), (0, 2, writer, 1)]
    return store.connect(
        run=[{"config": json.dumps(CONFIG), "n_prompts": 2}],
        graph_edges=[edge((0, 0), (1, 0), (1, 1, 1), role="end")],
        trace_pairs=[
            {"root_layer": 1, "root_head": head, "prompt_id": prompt, "pair_id": pair,
             "depth": depth, "visits": 1}
            for head, prompt, pair, depth in reached
        ],
        trace_edges=[
            trace_edge(store, ROOT, 0),
            trace_edge(store, ROOT, 1),
            trace_edge(store, ROOT, 0, side="src", up_head=1, contribution=1.0),
        ],
    )  # fmt: skip


def test_prompt_graph(con: duckdb.DuckDBPyConnection) -> None:
    """Prompt 2 has the one shown edge. Shares: 3 of 3 + 1; the total of src is 1 - 2, no share."""
    frame = run(con, "prompt_graph", min_count=1)
    assert set(frame.select("prompt_id", "n_shown").rows()) == {(2, 1)}
    edges = frame.select(
        *("layer", "is_root", "side", "up_head", "up_fires", "contribution", "share"),
        pl.col("effect").round(3),  # weights are stored in 16 bits
    )
    assert edges.rows() == [
        (1, True, "dest", 0, True, 3.0, 0.75, 0.5),
        (1, True, "src", 1, False, 1.0, None, -0.25),
        (0, False, None, None, False, None, None, None),
    ]
    pair = frame.select(
        *("dest", "src", "dest_token", "src_token", "dest_role", "src_role"),
        *("weight", "score", "n_slices"),
    )
    assert pair.row(0) == (9, 6, "t9", "t6", "end", "S2", 0.75, 2.0, 3)


def test_prompt_graph_of_a_prompt_that_is_named(con: duckdb.DuckDBPyConnection) -> None:
    frame = run(con, "prompt_graph", prompt_id=1)
    assert frame.select("prompt_id", "n_shown", "layer", "side").rows() == [(1, 0, 1, None)]
    assert run(con, "prompt_graph", prompt_id=0).is_empty()


def test_prompt_tokens(con: duckdb.DuckDBPyConnection) -> None:
    rows = run(con, "prompt_tokens", prompt_id=2).rows()
    assert [row[0] for row in rows] == list(range(10))
    assert (rows[6], rows[7]) == ((6, "t6", "S2"), (7, "t7", None))
