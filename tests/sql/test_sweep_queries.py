"""Queries that set the jobs of a sweep side by side by the roles of heads: literal rows."""

import itertools
import json
from typing import Any

import duckdb
import pytest

from svt.query.named import run
from tests.sql.test_result_queries import CONFIG, edge, rows
from tests.store_rows import connection, insert

Head = tuple[int, int]
EIGHT = {"trace": {**CONFIG["trace"], "min_share": 0.5}}


def of_jobs(*jobs: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """Each job has 8 prompts, `roots`, `firings` (head, from, onto: prompts) and `edges` (upstream,
    downstream, side, role: prompts).
    """
    con = connection()
    for table in ("run", "trace_pairs", "graph_edges", "graph_firings"):
        con.execute(f"ALTER TABLE results.{table} ADD COLUMN job INTEGER")
    con.execute("ALTER TABLE results.run ALTER COLUMN config DROP NOT NULL")
    for job, given in enumerate(jobs):
        config = json.dumps(given.get("config", EIGHT))
        insert(con, "results.run", [{"job": job, "config": config, "n_prompts": 8}])
        insert(
            con,
            "results.trace_pairs",
            [
                {"job": job, "root_layer": layer, "root_head": head, "prompt_id": 0, "pair_id": 1,
                 "depth": 0, "visits": 1}
                for layer, head in given["roots"]
            ],
        )  # fmt: skip
        insert(
            con,
            "results.graph_firings",
            [
                {"job": job, "layer": head[0], "head": head[1], "dest_role": dest,
                 "src_role": src, "n_prompts": n, "n_firings": n, "n_visits": n}
                for (head, dest, src), n in given["firings"].items()
            ],
        )  # fmt: skip
        insert(
            con,
            "results.graph_edges",
            [
                {"job": job, **edge(up, down, (n, n, n), side=side, role=role)}
                for (up, down, side, role), n in given["edges"].items()
            ],
        )
    insert(con, "results.run", [{"job": len(jobs), "config": None, "status": "broke"}])
    return con


ONE: dict[str, Any] = {
    "roots": [(3, 0), (3, 2)],
    "firings": {
        ((3, 0), "end", "IO"): 8,
        ((2, 0), "end", "S2"): 8,
        ((1, 0), "S2", "S1"): 4,
        ((3, 2), "verb", None): 8,
        ((1, 1), "end", "S2"): 3,  # in the trace, not in the circuit
    },
    "edges": {
        ((2, 0), (3, 0), "dest", "end"): 8,
        ((1, 0), (2, 0), "src", "S2"): 4,
        ((0, 0), (1, 0), "dest", "S2"): 8,
        ((1, 1), (1, 0), "dest", "S2"): 3,  # too rare to be shown
    },
}
OTHER: dict[str, Any] = {
    "roots": [(3, 1)],
    "firings": {
        ((3, 1), "end", "IO"): 8,
        ((1, 1), "end", "S2"): 8,
        ((0, 1), "S2", "S1"): 2,
    },
    "edges": {
        ((1, 1), (3, 1), "dest", "end"): 8,
        ((0, 1), (1, 1), "src", "S2"): 4,
        ((0, 0), (0, 1), "dest", "S2"): 8,
        ((0, 0), (1, 1), "src", "S2"): 6,
    },
}


def test_sweep_heads() -> None:
    """Profiles of ONE: 3.0 {end->IO 1}, 2.0 {end->S2 1, at end 1}, 1.0 {S2->S1 1/2, at S2 1/2},
    0.0 {at S2 1}, 3.2 {verb->other 1}; of OTHER the same but for 0.1 {S2->S1 1/4, at S2 1/2}: 3/4
    of 1. What is as similar goes by the number of the head.
    """
    assert rows(of_jobs(ONE, OTHER), "sweep_heads") == [
        (0, 1, 0, 0, 0, 0, 1.0, "at S2", "at S2"),
        (0, 1, 2, 0, 1, 1, 1.0, "end->S2", "end->S2"),
        (0, 1, 3, 0, 3, 1, 1.0, "end->IO", "end->IO"),
        (0, 1, 1, 0, 0, 1, 0.75, "S2->S1", "S2->S1"),
        (0, 1, 3, 2, None, None, None, "verb->other", None),
    ]


def test_sweep_heads_takes_the_most_similar_first() -> None:
    """1.0 is as 0.1 and 0.0 {S2->S1 1/2}: 1 and 0.0 of {1/2} to {1}: 1/2. So 1.0 takes 0.1, though
    0.0 comes first, and is left 0.2, which has nothing in common with it.
    """
    one = {"roots": [(1, 0), (0, 0)], "edges": {},
           "firings": {((1, 0), "S2", "S1"): 8, ((0, 0), "S2", "S1"): 4}}  # fmt: skip
    two = {"roots": [(0, 1), (0, 2)], "edges": {},
           "firings": {((0, 1), "S2", "S1"): 8, ((0, 2), "end", "S1"): 8}}  # fmt: skip
    frame = run(of_jobs(one, two), "sweep_heads")
    assert frame.select("layer_a", "head_a", "layer_b", "head_b", "similarity").rows() == [
        (1, 0, 0, 1, 1.0),
        (0, 0, None, None, None),
        (None, None, 0, 2, None),
    ]


def test_sweep_heads_are_named_by_what_they_do_often() -> None:
    """In one of 8 prompts 0.1 fires, in four it has an edge at S2."""
    rarely = OTHER | {"firings": {**OTHER["firings"], ((0, 1), "S2", "S1"): 1}}
    found = run(of_jobs(ONE, rarely), "sweep_heads").filter(layer_b=0, head_b=1)
    assert found["role_b"].to_list() == ["at S2"]


def test_sweep_heads_of_three_jobs() -> None:
    """3.0 of the last two does the same, that of the first another thing."""
    does = [
        {"roots": [(3, 0)], "edges": {}, "firings": {((3, 0), "end", src): 8}}
        for src in ("verb", "IO", "IO")
    ]
    found = run(of_jobs(*does), "sweep_heads")
    assert found.select("job_a", "job_b", "layer_a", "layer_b", "similarity").rows() == [
        (0, 1, 3, None, None),
        (0, 1, None, 3, None),
        (0, 2, 3, None, None),
        (0, 2, None, 3, None),
        (1, 2, 3, 3, 1.0),
    ]


def test_sweep_overlap() -> None:
    """Matched, the three edges of ONE are edges of OTHER, which has one more: 3 of 4."""
    frame = run(of_jobs(ONE, OTHER), "sweep_overlap")
    (row,) = frame.rows()
    assert row[:11] == (0, 1, 5, 4, 4, 3, 4, 3, 0, 1, 0.75)


def test_sweep_overlap_separates_sides_and_tokens() -> None:
    """One edge into the other side, one at another token: of 3 and 4 edges one is shared, of 6."""
    edges = dict(OTHER["edges"])
    edges[(0, 1), (1, 1), "dest", "S2"] = edges.pop(((0, 1), (1, 1), "src", "S2"))
    edges[(0, 0), (0, 1), "dest", "S1"] = edges.pop(((0, 0), (0, 1), "dest", "S2"))
    edges[(0, 0), (1, 0), "dest", "S2"] = 8  # keeps 0.0 at S2
    found = run(of_jobs(ONE, OTHER | {"edges": edges}), "sweep_overlap")
    assert found.select("n_edges_a", "n_edges_b", "n_shared", "jaccard").rows() == [
        (3, 5, 1, 1 / 7)
    ]


def test_sweep_overlap_beside_chance() -> None:
    """Over all ways to match four of five heads with four, each as likely."""
    heads_a: list[Head] = [(0, 0), (1, 0), (2, 0), (3, 0), (3, 2)]
    heads_b: list[Head] = [(0, 0), (0, 1), (1, 1), (3, 1)]
    edges_a = [key for key, n in ONE["edges"].items() if n >= 4]
    indices = []
    for drawn in itertools.permutations(heads_a, 4):
        place = dict(zip(drawn, heads_b, strict=True))
        mapped = {(place.get(up), place.get(down), *rest) for up, down, *rest in edges_a}
        shared = len(mapped & set(OTHER["edges"]))
        indices.append(shared / (len(edges_a) + len(OTHER["edges"]) - shared))
    con = of_jobs(ONE, OTHER)
    (row,) = run(con, "sweep_overlap", draws=4000, seed=1).to_dicts()
    assert row["random_mean"] == pytest.approx(sum(indices) / len(indices), abs=0.01)
    as_good = sum(index >= 0.75 for index in indices) / len(indices)
    assert row["share_as_good"] == pytest.approx(as_good, abs=0.005)
    assert row["random_low"] == min(indices) == 0
    few = {run(con, "sweep_overlap", draws=20, seed=seed)["random_mean"][0] for seed in (1, 1, 2)}
    assert len(few) == 2
    assert run(con, "sweep_overlap", draws=0)["random_mean"].to_list() == [None]


def test_sweep_overlap_of_three_jobs_has_three_pairs() -> None:
    """The third shows visits from 5 on: two edges, and 1.0 no more but as the end of one."""
    visits = {"trace": {**EIGHT["trace"], "count": "visits", "min_count": 5}}
    found = run(of_jobs(ONE, OTHER, ONE | {"config": visits}), "sweep_overlap")
    columns = ("job_a", "job_b", "n_edges_a", "n_edges_b", "n_shared")
    assert found.select(columns).rows() == [(0, 1, 3, 4, 3), (0, 2, 3, 2, 2), (1, 2, 4, 2, 2)]


def test_sweep_roles() -> None:
    """A quarter of 8 prompts is 2. 0.0 and what fires less often stand where they write."""
    con = of_jobs(ONE, OTHER)
    assert rows(con, "sweep_roles") == [
        ("S2->S1", 0, 1, "1.0"),
        ("S2->S1", 1, 1, "0.1"),
        ("end->IO", 0, 1, "3.0"),
        ("end->IO", 1, 1, "3.1"),
        ("end->S2", 0, 1, "2.0"),
        ("end->S2", 1, 1, "1.1"),
        ("verb->other", 0, 1, "3.2"),
        ("verb->other", 1, 0, ""),
        ("at S2", 0, 1, "0.0"),
        ("at S2", 1, 1, "0.0"),
    ]
    half = run(con, "sweep_roles", min_share=0.5)
    assert half.filter(head_role="at S2")["heads"].to_list() == ["0.0", "0.0 0.1"]
    assert half.filter(head_role="S2->S1")["heads"].to_list() == ["1.0", ""]


def test_sweep_roles_of_a_head_with_two() -> None:
    both = {**ONE["firings"], ((2, 0), "IO", "IO"): 2}
    found = run(of_jobs(ONE | {"firings": both}), "sweep_roles")
    assert found.filter(heads="2.0")["head_role"].to_list() == ["IO->IO", "end->S2"]
