"""The queries about one prompt and about roles of heads: literal rows in, expected rows out."""

import json
from typing import Any

import duckdb
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
        "component": "head", "contribution": 3.0, "effect": 0.5, "visits": 1, **more,
    }  # fmt: skip


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """Of prompt 1 the trace reaches a root alone; in prompt 2 it reaches 1.0 from two roots.

    There 0.0 writes 3 of 4 into end and 0.1, which does not fire, 1 of -1 into S2.
    """
    store = StoreRows(n_layers=2, n_heads=2)
    for prompt in (1, 2):
        store.prompt(prompt, {"S2": S2, "end": END}, n_tokens=10)
    alone = store.pair((1, 1, 0, END, S2))
    root = store.pair(
        ROOT,
        weight=0.75,
        score=2.0,
        n_slices=3,
        dest={(0, 0): 3.0, (0, 1): 1.0},
        src={(0, 1): 1.0, (0, 0): -2.0},
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
            trace_edge(store, ROOT, 0, side="src", up_head=1, contribution=1.0, effect=-0.25),
        ],
    )  # fmt: skip


def test_prompt_graph(con: duckdb.DuckDBPyConnection) -> None:
    """Prompt 2 has the one shown edge. Shares: 3 of 3 + 1; the total of src is 1 - 2, no share."""
    frame = run(con, "prompt_graph", min_count=1)
    assert set(frame.select("prompt_id", "n_shown").rows()) == {(2, 1)}
    edges = frame.select(
        *("layer", "is_root", "side", "up_head", "up_fires", "contribution", "share", "effect")
    )
    assert edges.rows() == [
        (1, True, "dest", 0, True, 3.0, 0.75, 0.5),
        (1, True, "src", 1, False, 1.0, None, -0.25),
        (0, False, None, None, False, None, None, None),
    ]
    pair = frame.select(
        *("dest", "src", "dest_token", "src_token", "dest_role", "src_role"),
        *("weight", "score", "n_slices", "pattern"),
    )
    assert pair.row(0) == (9, 6, "t9", "t6", "end", "S2", 0.75, 2.0, 3, "S-inhibition")


def test_prompt_graph_of_a_prompt_that_is_named(con: duckdb.DuckDBPyConnection) -> None:
    frame = run(con, "prompt_graph", prompt_id=1)
    assert frame.select("prompt_id", "n_shown", "layer", "side").rows() == [(1, 0, 1, None)]
    assert run(con, "prompt_graph", prompt_id=0).is_empty()


def test_prompt_tokens(con: duckdb.DuckDBPyConnection) -> None:
    rows = run(con, "prompt_tokens", prompt_id=2).rows()
    assert [row[0] for row in rows] == list(range(10))
    assert (rows[6], rows[7]) == ((6, "t6", "S2"), (7, "t7", None))


def test_traced_prompts(con: duckdb.DuckDBPyConnection) -> None:
    """Prompt 2 has the one shown edge; prompt 1 is reached and has none."""
    frame = run(con, "traced_prompts", min_count=1)
    assert frame.select("prompt_id", "n_shown").rows() == [(2, 1), (1, 0)]


def test_traced_prompts_begin_with_one_of_each_template() -> None:
    """By shown edges alone 3 would come second; 2 is the fullest of its own template."""
    store = StoreRows(n_layers=2, n_heads=2)
    for prompt, template in ((1, "a"), (2, "b"), (3, "a")):
        store.prompt(prompt, {"end": END, "S2": S2}, n_tokens=10, template=template)
    reached = [(prompt, (prompt, *ROOT[1:])) for prompt in (1, 2, 3)]
    con = store.connect(
        run=[{"config": json.dumps(CONFIG), "n_prompts": 3}],
        graph_edges=[edge((0, 0), (1, 0), (2, 2, 2), role="end")],
        trace_pairs=[
            {"root_layer": 1, "root_head": 0, "prompt_id": prompt,
             "pair_id": store.pair_id(*at), "depth": 0, "visits": 1}
            for prompt, at in reached
        ],
        trace_edges=[trace_edge(store, at, 0) for prompt, at in reached if prompt != 2],
    )  # fmt: skip
    frame = run(con, "traced_prompts", min_count=1)
    assert frame.select("prompt_id", "n_shown").rows() == [(1, 1), (2, 0), (3, 1)]


def test_place_order() -> None:
    """Of 10 tokens IO stands at 4 and 2: 5 and 7 from the last."""
    store = StoreRows(n_layers=2, n_heads=2)
    store.prompt(1, {"IO": 4, "end": END}, n_tokens=10)
    store.prompt(2, {"IO": 2, "end": END}, n_tokens=10)
    frame = run(store.connect(), "place_order")
    assert frame.rows() == [("IO", 2, 6.0), ("end", 2, 0.0)]


def firing(head: tuple[int, int], dest: str, src: str | None, n: int) -> dict[str, Any]:
    """A row of graph_firings in n prompts."""
    counts = dict.fromkeys(("n_prompts", "n_firings", "n_visits"), n)
    return {"layer": head[0], "head": head[1], "dest_role": dest, "src_role": src, **counts}


PREVIOUS, INDUCTION, INHIBITION, MOVER, OTHER = (0, 0), (1, 0), (2, 0), (3, 0), (2, 1)


@pytest.fixture
def named() -> duckdb.DuckDBPyConnection:
    """Four prompts and the chain of the literature; 2.1 lowers the weight of 3.0 more than 2.0.

    Strengths: 3.0 loses 0.4 without 2.0 and 0.5 without 2.1, 2.0 loses 0.2 without 1.0 in half of
    the prompts, 1.0 loses 0.8 without 0.0.
    """
    store = StoreRows(n_layers=4, n_heads=2)
    ends = {"S1": 2, "S1+1": 3, "S2": 6, "IO": 4, "end": END}
    for prompt in range(4):
        store.prompt(prompt, ends, n_tokens=10)

    def step(up: tuple[int, int], down: tuple[int, int], n: int, effect: float, **to: str) -> Any:
        return {**edge(up, down, (n, n, n), **to), "effect": effect}

    def between(at: tuple[int, int], up: tuple[int, int], side: str, dest: str, src: str) -> Any:
        place = (0, *at, ends[dest], ends[src])
        return trace_edge(store, place, 0, side=side, up_layer=up[0], up_head=up[1])

    run_row = {"config": json.dumps(CONFIG), "n_prompts": 4, "roots": "[[3,0],[3,1]]"}
    return store.connect(
        run=[run_row],
        graph_edges=[
            step(INHIBITION, MOVER, 4, 0.4, side="dest", role="end"),
            step(OTHER, MOVER, 4, 0.5, side="dest", role="end"),
            step(INDUCTION, INHIBITION, 2, 0.2, side="src", role="S2"),
            step(PREVIOUS, INDUCTION, 4, 0.8, side="src", role="S1+1"),
        ],
        trace_edges=[
            between(MOVER, INHIBITION, "dest", "end", "IO"),
            between(MOVER, OTHER, "dest", "end", "IO"),
            between(INHIBITION, INDUCTION, "src", "end", "S2"),
            between(INDUCTION, PREVIOUS, "src", "S2", "S1+1"),
        ],
        graph_firings=[
            firing(PREVIOUS, "S1+1", "S1", 3),
            firing(INDUCTION, "S2", "S1+1", 4),
            firing(INDUCTION, "S2", "S1", 1),
            firing(INHIBITION, "end", "S2", 4),
            firing(OTHER, "end", None, 2),
            firing(MOVER, "end", "IO", 4),
        ],
    )


def test_head_roles(named: duckdb.DuckDBPyConnection) -> None:
    """Three prompts and more: of four 0.75; the name is the table's."""
    frame = run(named, "head_roles", min_share=0.75)
    assert frame.select("layer", "head", "dest_role", "src_role", "share", "pattern").rows() == [
        (0, 0, "S1+1", "S1", 0.75, "previous token"),
        (1, 0, "S2", "S1+1", 1.0, "induction"),
        (2, 0, "end", "S2", 1.0, "S-inhibition"),
        (3, 0, "end", "IO", 1.0, "name mover"),
    ]
    assert ("S2", "S1", 0.25, "duplicate token") in (
        run(named, "head_roles", min_share=0).select("dest_role", "src_role", "share", "pattern")
    ).rows()


def test_head_chains(named: duckdb.DuckDBPyConnection) -> None:
    """0.4 + 0.2 * 2 / 4 + 0.8 is more than the 0.5 of 2.1; the root 3.1 stands alone."""
    mover, alone = run(named, "head_chains", min_count=1).to_dicts()
    assert mover["chain"] == (
        "0.0 previous token (S1+1 -> S1) > 1.0 induction (S2 -> S1+1) > "
        "2.0 S-inhibition (end -> S2) > 3.0 name mover (end -> IO)"
    )
    assert (mover["layer"], mover["head"], mover["n_heads"]) == (3, 0, 4)
    assert mover["total"] == pytest.approx(1.3)
    assert mover["weakest"] == pytest.approx(0.1)
    assert (alone["chain"], alone["n_heads"], alone["weakest"]) == ("3.1", 1, None)


def test_a_step_of_head_chains_has_a_least_strength(named: duckdb.DuckDBPyConnection) -> None:
    mover = run(named, "head_chains", min_count=1, min_effect=0.15).to_dicts()[0]
    assert mover["chain"] == "2.1 (end -> no role) > 3.0 name mover (end -> IO)"
