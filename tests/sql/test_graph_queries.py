"""The queries that the pictures of the graph are drawn from: literal rows in, expected rows out."""

import json
from typing import Any

import duckdb
import pytest

from svt.query.named import run
from tests.sql.test_result_queries import CONFIG, edge, reached, rows
from tests.store_rows import StoreRows, insert

ROLES = {"IO": 2, "S1": 4, "S2": 6, "end": 9}
END, S2, S1, NONE = 9, 6, 4, 7  # positions; at 7 stands no role


def step(store: StoreRows, at: tuple[int, int, int, int, int], side: str) -> dict[str, Any]:
    """A row of trace_edges: 1.0 writes into `side` of the pair at (prompt, 2, head, dest, src)."""
    prompt, layer, head, dest, src = at
    return {
        "root_layer": 3, "root_head": 0, "prompt_id": prompt, "pair_id": store.pair_id(*at),
        "layer": layer, "head": head, "dest": dest, "src": src, "side": side, "up_layer": 1,
        "up_head": 0, "component": "head", "contribution": 1.0, "visits": 1,
    }  # fmt: skip


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """1.0 writes into S2 that 2.0 attends to, from end, from S1 and from a token without a role.

    Pairs of 2.0 that attend to S2: from end in prompts 0 and 1, from S1 in prompts 0, 1 and 2, from
    no role in prompts 0 to 2. 2.1 attends to S2 once from end and once from S1, 2.2 only from
    nowhere, and 2.3 from end to S1, into whose dest 1.0 writes. From S1 to S2 the pair of prompt 0
    is reached from two roots.
    """
    store = StoreRows(n_layers=4, n_heads=4)
    for prompt in range(4):
        store.prompt(prompt, ROLES, n_tokens=10)
    onto_s2 = [(0, END), (1, END), (0, S1), (1, S1), (2, S1), (0, NONE), (1, NONE), (2, NONE)]
    steps = [step(store, (p, 2, 0, dest, S2), "src") for p, dest in onto_s2]
    steps.append({**step(store, (0, 2, 0, S1, S2), "src"), "root_head": 1})
    steps += [step(store, (p, 2, 1, dest, S2), "src") for p, dest in ((0, END), (0, S1))]
    steps.append(step(store, (0, 2, 2, NONE, S2), "src"))
    steps.append(step(store, (0, 2, 3, END, S1), "dest"))
    steps.append({**step(store, (1, 2, 3, END, S1), "dest"), "component": "embed",
                  "up_layer": None, "up_head": None})  # fmt: skip
    return store.connect(
        run=[{"config": json.dumps(CONFIG), "n_prompts": 4}],
        trace_edges=steps,
        graph_edges=[
            edge((1, 0), (2, 0), (3, 8, 9), side="src", role="S2"),
            edge((1, 0), (2, 1), (2, 2, 2), side="src", role="S2"),
            edge((1, 0), (2, 2), (1, 1, 1), side="src", role="S2"),
            edge((1, 0), (2, 3), (1, 1, 1)),
            edge((1, 0), (2, 3), (1, 1, 1), component="embed", up_layer=None, up_head=None),
        ],
    )


def links(con: duckdb.DuckDBPyConnection, **params: Any) -> list[tuple[Any, ...]]:
    columns = ("component", "head", "dest_role", "src_role", "n_between")
    return run(con, "graph_links", **params).select(columns).rows()


def test_graph_links(con: duckdb.DuckDBPyConnection) -> None:
    """Of 2.0 the role S1 has three pairs, end two; the three from no role do not count.

    2.1 has one pair of each, and S1 sorts before end.
    """
    assert links(con, min_count=0) == [
        ("head", 0, "S1", "S2", 3),
        ("head", 1, "S1", "S2", 1),
        ("head", 2, None, "S2", 0),
        ("head", 3, "end", "S1", 1),
        ("embed", 3, "end", "S1", 1),
    ]


def test_graph_links_are_those_of_shown_edges(con: duckdb.DuckDBPyConnection) -> None:
    """The same rows and columns, the roles added; half of four prompts is 2."""
    for params in ({}, {"min_count": 0}, {"count": "visits", "min_share": 1.0}):
        frame = run(con, "graph_links", **params)
        assert frame.drop("dest_role", "src_role", "n_between").equals(
            run(con, "shown_edges", **params)
        )
    assert len(rows(con, "graph_links")) == 2
    assert len(rows(con, "graph_links", count="visits", min_count=3)) == 1


def test_graph_links_count_a_token_with_two_roles_for_both(con: duckdb.DuckDBPyConnection) -> None:
    """S1 of prompts 0 and 1 is also A1, which then has two pairs of 2.0; S1 stays ahead with 3."""
    insert(con, "results.places", [{"prompt_id": p, "role": "A1", "pos": S1} for p in (0, 1)])
    assert links(con, min_count=3) == [("head", 0, "S1", "S2", 3)]
    insert(con, "results.places", [{"prompt_id": 2, "role": "A1", "pos": S1}])
    assert links(con, min_count=3) == [("head", 0, "A1", "S2", 3)]


def an_untraced_run() -> duckdb.DuckDBPyConnection:
    """Two prompts; root 3.0 attends from end to IO, and hears 2.0 over the signal, 1.1 over all.

    Over all slices 1.1 has 6 of 7 at end. Onto IO 2.1 writes, 5 over all slices in prompt 0 only.
    1.1 fires from end onto S1 in prompt 1 and hears 0.0 there.
    """
    store = StoreRows(n_layers=4, n_heads=2)
    for prompt in (0, 1):
        store.prompt(prompt, ROLES, n_tokens=10)
        store.pair(
            (prompt, 3, 0, END, 2),
            dest={(2, 0): (4.0, 1.0), (1, 1): (1.0, 6.0)},
            src={(2, 1): (0.0, 5.0)} if prompt == 0 else {},
        )
    store.pair((1, 1, 1, END, S1), src={(0, 0): (0.0, 2.0)})
    return store.connect(
        run=[{"config": json.dumps(CONFIG), "n_prompts": 2, "roots": "[[3, 0]]"}],
        trace_pairs=[reached(store, (p, 3, 0, END, 2), 0) for p in (0, 1)],
    )


def test_graph_links_all_slices() -> None:
    """1.1 in both prompts, 6 + 6; 2.1 and 0.0 in one; over the signal there would be 2.0 alone."""
    con = an_untraced_run()
    assert rows(con, "graph_links_all_slices", min_count=0) == [
        (1, 1, "head", 3, 0, "dest", "end", 2, 2, 2, 12.0, 6.0, None, "end", "IO", 2),
        (2, 1, "head", 3, 0, "src", "IO", 1, 1, 1, 5.0, 5.0, None, "end", "IO", 1),
        (0, 0, "head", 1, 1, "src", "S1", 1, 1, 1, 2.0, 2.0, None, "end", "S1", 1),
    ]
    at_two = run(con, "graph_links_all_slices", min_share=1.0)
    assert at_two.select("up_layer", "up_head").rows() == [(1, 1)]
    assert rows(con, "graph_links_all_slices", root_src="S1") == []
    # 6 of 7 do not exceed 0.9, so 2.0 comes with 1.1
    more = run(con, "graph_links_all_slices", coverage=0.9)
    assert more.select("up_layer", "up_head").rows() == [(1, 1), (2, 0), (2, 1), (0, 0)]


def test_known_heads() -> None:
    """Root 3.0 is in no reference; 2.1 in two, whose first class by name is shown; 0.0 has none."""
    con = an_untraced_run()
    assert rows(con, "known_heads") == [(3, 0, True, False, None)]
    named = [("one", 2, 1, "mover"), ("two", 2, 1, "copier"), ("one", 0, 0, None)]
    insert(
        con,
        "results.reference_heads",
        [
            {"reference": r, "layer": layer, "head": h, "class": c, "reachable": True}
            for r, layer, h, c in named
        ],
    )
    assert rows(con, "known_heads") == [
        (0, 0, False, True, None),
        (2, 1, False, True, "copier"),
        (3, 0, True, False, None),
    ]


def evaluated_at(reference: str, min_count: int, n_heads: int) -> dict[str, Any]:
    return {
        "reference": reference, "count": "prompts", "min_count": min_count, "n_heads": n_heads,
        "tp": 0,
    }  # fmt: skip


def test_random_band() -> None:
    """A model of 2 x 4 heads, 3 of them in the reference, of which 2 can be reached.

    3 of 8 drawn: C(8,3) = 56 sets, of which C(5,3) = 10 hold none of the three, 30 one, 15 two and
    1 all: up to two hits 55 / 56 = 0.982, so 97.5% have at most 2, and 2.5% none (10 / 56). Of the
    two reachable: none in C(6,3) = 20 sets, both in 6, so at most 2. All 8 drawn: all are hit.
    """
    store = StoreRows(n_layers=2, n_heads=4)
    heads = [(0, 0, True), (0, 1, True), (1, 0, False)]
    con = store.connect(
        run=[{"config": json.dumps(CONFIG)}],
        reference_heads=[
            {"reference": "known", "layer": layer, "head": head, "reachable": reachable}
            for layer, head, reachable in heads
        ],
        evaluation=[evaluated_at("known", 9, 3), evaluated_at("known", 4, 8)],
    )

    def near(*values: float) -> tuple[Any, ...]:
        return tuple(pytest.approx(value) for value in values)

    assert rows(con, "random_band") == [
        ("known", 4, "precision", 8, *near(3 / 8, 3 / 8, 3 / 8)),
        ("known", 4, "recall", 8, *near(1, 1, 1)),
        ("known", 4, "recall_reachable", 8, *near(1, 1, 1)),
        ("known", 9, "precision", 3, *near(3 / 8, 0, 2 / 3)),
        ("known", 9, "recall", 3, *near(3 / 8, 0, 2 / 3)),
        ("known", 9, "recall_reachable", 3, *near(3 / 8, 0, 1)),
    ]
    assert rows(con, "random_band", count="visits") == []
    assert rows(con, "random_band", reference="other") == []


def test_random_band_without_reachable_heads() -> None:
    """A ratio that has nothing to divide by is null, and a single head of 1 is surely drawn."""
    con = StoreRows(n_layers=1, n_heads=1).connect(
        run=[{"config": json.dumps(CONFIG)}],
        reference_heads=[{"reference": "known", "layer": 0, "head": 0, "reachable": False}],
        evaluation=[evaluated_at("known", 2, 1)],
    )
    assert rows(con, "random_band") == [
        ("known", 2, "precision", 1, 1.0, 1.0, 1.0),
        ("known", 2, "recall", 1, 1.0, 1.0, 1.0),
        ("known", 2, "recall_reachable", 1, None, None, None),
    ]
