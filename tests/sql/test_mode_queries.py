"""The paper's text beside its released code: literal rows in, expected rows out."""

import json
from typing import Any

import duckdb
import pytest

from svt.query.named import run
from tests.sql.test_result_queries import CONFIG, reached, rows
from tests.store_rows import StoreRows


def two_prompts() -> duckdb.DuckDBPyConnection:
    """Roots 3.0 and 3.1; an edge from half of two prompts on is shown.

    3.0, end -> IO in both prompts: dest 3 from 2.0 and 1 from 1.0, the constant 0 in prompt 0 and
    10 in prompt 1; src -1 from 1.1. 3.1 in prompt 0: dest 2 from 2.0 and from 2.1, the constant
    -2.5. 2.0 fires at the end of prompt 0 and hears 1.0. Over all slices 2.0 and 1.0 change places
    at the end of 3.0, without constants.
    """
    store = StoreRows(n_layers=4, n_heads=2)
    for prompt in (0, 1):
        store.prompt(prompt, {"end": 5, "IO": 2}, n_tokens=6)
        store.pair(
            (prompt, 3, 0, 5, 2),
            dest={(2, 0): (3.0, 1.0), (1, 0): (1.0, 3.0)},
            src={(1, 1): -1.0},
            offsets=(10.0 * prompt, 0.0, 0.0, 0.0),
        )
    store.pair((0, 3, 1, 5, 2), dest={(2, 0): 2.0, (2, 1): 2.0}, offsets=(-2.5, 0.0, 0.0, 0.0))
    store.pair((0, 2, 0, 5, 1), dest={(1, 0): 1.0})
    roots = [reached(store, (0, 3, head, 5, 2), 0) | {"root_head": head} for head in (0, 1)]
    return store.connect(run=[{"config": json.dumps(CONFIG)}], trace_pairs=roots)


def test_edges_by_mode() -> None:
    """Into 3.0 at end: 3 of 4 is more than 0.7, so 2.0 alone; in prompt 1 13 of 24 is not (16.8),
    so 1.0 too, and the means are 3 and (3 + 13) / 2. Into its IO the total is -1: nothing, or the
    top. Into 3.1: 2 of 4 is not more than 2.8, so both; with the constant both are -0.5, so the
    top alone, 2.0. 2.0 is reached from both roots: one prompt, two visits.
    """
    assert rows(two_prompts(), "edges_by_mode") == [
        ("paper", 2, 1, "head", 3, 1, "dest", "end", 1, 0, 0, 2.0, None),
        ("released", 1, 1, "head", 3, 0, "src", "IO", 0, 2, 2, None, -1.0),
        ("released", 1, 0, "head", 3, 0, "dest", "end", 0, 1, 1, None, 11.0),
        ("both", 2, 0, "head", 3, 0, "dest", "end", 2, 2, 2, 3.0, 8.0),
        ("both", 1, 0, "head", 2, 0, "dest", "end", 1, 2, 1, 1.0, 1.0),
        ("both", 2, 0, "head", 3, 1, "dest", "end", 1, 1, 1, 2.0, -0.5),
    ]


def test_edges_by_mode_at_another_threshold() -> None:
    """From a count of 2 on the edge into 2.0 is shown for its visits alone."""
    frame = run(two_prompts(), "edges_by_mode", min_count=2)
    assert frame.select("shown_in", "up_layer", "up_head", "layer", "head").rows() == [
        ("released", 1, 0, 2, 0),
        ("released", 1, 1, 3, 0),
        ("both", 2, 0, 3, 0),
    ]


def test_edges_by_mode_with_other_settings() -> None:
    """3 of 4 is no more than 0.8, so 1.0 writes into 3.0 in both modes. Over all slices it does so
    alone. No root attends to S1, from IO, or with weight 0.95.
    """
    con = two_prompts()
    frame = run(con, "edges_by_mode", coverage=0.8)
    columns = ("shown_in", "up_layer", "up_head", "layer", "head", "paper_count", "released_count")
    assert frame.select(columns).rows() == [
        ("paper", 2, 1, 3, 1, 1, 0),
        ("released", 1, 1, 3, 0, 0, 2),
        ("both", 1, 0, 3, 0, 2, 2),
        ("both", 2, 0, 3, 0, 2, 2),
        ("both", 1, 0, 2, 0, 1, 2),
        ("both", 2, 0, 3, 1, 1, 1),
    ]
    frame = run(con, "edges_by_mode", slices="all").filter(layer=3, head=0, role="end")
    assert frame.select(columns).rows() == [("both", 1, 0, 3, 0, 2, 2)]
    nothing: list[dict[str, Any]] = [
        {"root_src": "S1"},
        {"root_dest": "IO"},
        {"firing_weight": 0.95},
    ]
    for settings in nothing:
        assert run(con, "edges_by_mode", **settings).is_empty()
        assert run(con, "released_counts", **settings).is_empty()


def test_released_counts() -> None:
    """In prompt 0 the root attends from end to itself, and 2.0 writes into both sides: two visits,
    as many of 2.0, which fires there. In prompt 1 there is one of each. The first prompt counts
    once: 1 + 1.
    """
    store = StoreRows(n_layers=4, n_heads=2)
    for prompt, src in ((0, 5), (1, 2)):
        store.prompt(prompt, {"end": 5, "IO": 2}, n_tokens=6)
        both = {(2, 0): 1.0}
        store.pair((prompt, 3, 0, 5, src), dest=both, src=both if src == 5 else {})
        store.pair((prompt, 2, 0, 5, 1), dest={(1, 0): 1.0})
    con = store.connect(
        run=[{"config": json.dumps(CONFIG)}], trace_pairs=[reached(store, (0, 3, 0, 5, 5), 0)]
    )
    expected = [
        (1, 0, 2, 0, "end", "dest", 2, 3, 2),
        (2, 0, 3, 0, "end", "dest, src", 2, 3, 2),
    ]
    assert rows(con, "released_counts") == expected
    assert rows(con, "released_counts", min_count=3) == []


@pytest.fixture
def sides() -> duckdb.DuckDBPyConnection:
    """Two firings of 3.0 with heads into dest, one of 2.1 with one into src, one too weak; and one
    large contribution that is of no head.
    """
    store = StoreRows(n_layers=4, n_heads=2)
    store.prompt(0, {"end": 5, "IO": 2}, n_tokens=6)
    offsets = (0.5, 0.0, 8.0, 0.0)
    store.pair((0, 3, 0, 5, 2), dest={(2, 0): (3.0, 6.0), (1, 0): (1.0, 2.0)}, offsets=offsets)
    store.pair((0, 3, 0, 4, 2), dest={(2, 0): 1.0, (1, 0): -2.0}, offsets=(-1.5, 0.0, 0.0, 0.0))
    from_mlp = {(1, 0): 2.0, ("mlp", 0): 50.0}
    store.pair((0, 2, 1, 5, 2), src=from_mlp, offsets=(9.0, 0.25, 0.0, 0.0))
    store.pair((0, 2, 1, 5, 3), src={(1, 0): 2.0}, weight=0.3, offsets=(9.0, 9.0, 0.0, 0.0))
    return store.connect(run=[{"config": json.dumps(CONFIG)}])


def test_offset_size(sides: duckdb.DuckDBPyConnection) -> None:
    """Into dest: constants 0.5 and -1.5, mean -0.5, sizes 1; the largest 3 and 2; totals 4 and -1,
    sizes 2.5; two heads each add 1 and 3. Of 4 the 3 was enough, with the constant 3.5 of 5 is
    not more than 0.7 of it: changed; of -1 and -4 nothing is kept: not. Into src nothing changes.
    """
    dest = ("dest", 2, -0.5, 1.0, 2.5, 0.4, 2.5, 2.0, 0.8, 0.5)
    src = ("src", 1, 0.25, 0.25, 2.0, 0.125, 2.0, 0.25, 0.125, 0.0)
    assert rows(sides, "offset_size") == [(None, None, *dest), (None, None, *src)]
    assert rows(sides, "offset_size", heads=True) == [(2, 1, *src), (3, 0, *dest)]


def test_offset_size_over_all_slices(sides: duckdb.DuckDBPyConnection) -> None:
    """Constants 8 and 0, the largest 6 and 2; totals 8 and -1. 6 of 8 is more than 5.6; with the
    constant 14 of 24 is not more than 16.8.
    """
    found = run(sides, "offset_size", slices="all").head(1)
    columns: list[Any] = ["offset", "largest", "total", "share_changed"]
    assert found.select(columns).rows() == [(4.0, 4.0, 4.5, 0.5)]
