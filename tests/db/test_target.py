"""What `svt-sql` opens: the store beside results, and what it refuses of stores and sweeps."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from svt.db.identity import SCHEMA_VERSION
from svt.errors import SvtError
from tests.answers import answer
from tests.store_rows import connection

Rows = Sequence[Mapping[str, Any]]


def make_store(path: Path, **dump: Any) -> Path:
    rows = {"dump": [dump], "prompts": [{"prompt_id": 0, "n_tokens": 5}]}
    connection(rows, store_file=path).close()
    return path


def make_results(folder: Path, *runs: Mapping[str, Any], sweep: bool = False) -> Path:
    """Results, or with `sweep` the results of several jobs, whose tables have the column job."""
    folder.mkdir()
    name = "sweep.duckdb" if sweep else "results.duckdb"
    edges = {
        "layer": 1, "head": 0, "component": "mlp", "up_layer": 0, "side": "dest", "role": "end",
        "n_prompts": 1, "n_firings": 1, "n_visits": 1, "total": 1.0, "mean": 1.0,
    }  # fmt: skip
    con = connection(results={"run": runs, "graph_edges": [edges]}, results_file=folder / name)
    if sweep:
        for table in ("run", "trace_pairs", "graph_edges", "evaluation"):
            con.execute(f"ALTER TABLE results.{table} ADD COLUMN job INTEGER")
        con.execute("UPDATE results.graph_edges SET job = 0")
        con.execute("UPDATE results.run SET job = rowid")
    con.close()
    return folder


def test_the_store_is_beside_the_results(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store.duckdb")
    run = make_results(tmp_path / "run", {"store_path": str(store), "store_identity": "i"})
    assert answer(run, "select n_tokens from store.prompts", []).item() == 5
    assert answer(run, "shown_edges", ["min_count=1"]).height == 1


def test_a_store_that_was_replaced_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store.duckdb", identity="another")
    run = make_results(tmp_path / "run", {"store_path": str(store), "store_identity": "i"})
    with pytest.raises(SvtError, match=r"store.duckdb is no longer the store it was made from"):
        answer(run, "shown_edges", [])


def test_a_target_of_another_schema_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store.duckdb", schema_version=SCHEMA_VERSION + 1)
    run = make_results(tmp_path / "run", {"store_path": str(store), "store_identity": "i"})
    for target in (store, run):
        with pytest.raises(SvtError, match=r"store.duckdb was written by svt 0 in schema \d+, th"):
            answer(target, "summary", [])


def test_a_store_that_is_gone_leaves_the_results(tmp_path: Path) -> None:
    run = make_results(tmp_path / "run", {"store_path": "/gone.duckdb", "store_identity": "i"})
    assert answer(run, "select count(*) from graph_edges", []).item() == 1
    for query in ("shown_edges", "select * from prompts"):
        with pytest.raises(SvtError, match=r"the store of these results, /gone.duckdb, is gone"):
            answer(run, query, [])


def test_a_sweep_answers_as_one_only_to_its_own_query(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store.duckdb")
    job = {"store_path": str(store), "store_identity": "i", "n_prompts": 1}
    at = make_results(tmp_path / "sweep", job, job, sweep=True)
    for query in ("shown_edges", "summary"):
        message = (
            f"query {query}: this is a sweep of 2 jobs; give one job's folder, SWEEP/0, or use"
        )
        with pytest.raises(SvtError, match=message):
            answer(at, query, [])
    assert answer(at, "sweep", [])["job"].to_list() == [0, 1]
    assert answer(at, "select count(*) from graph_edges, prompts", []).item() == 1


def test_a_sweep_of_one_job_is_that_job(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store.duckdb")
    at = make_results(
        tmp_path / "sweep", {"store_path": str(store), "store_identity": "i"}, sweep=True
    )
    assert answer(at, "shown_edges", ["min_count=1"]).height == 1


def test_what_is_no_sweep_is_refused(tmp_path: Path) -> None:
    run = make_results(tmp_path / "run", {"store_path": "/gone.duckdb", "store_identity": "i"})
    with pytest.raises(SvtError, match="query sweep_heads: this is no sweep; name a sweep's"):
        answer(run, "sweep_heads", [])


def test_a_sweep_over_stores_says_how_many(tmp_path: Path) -> None:
    jobs = [
        {"store_path": str(make_store(tmp_path / f"{i}.duckdb", identity=i)), "store_identity": i}
        for i in "ab"
    ]
    at = make_results(tmp_path / "sweep", *jobs, sweep=True)
    assert answer(at, "select count(*) from run", []).item() == 2
    with pytest.raises(SvtError, match="the jobs used 2 stores; give one job's folder, SWEEP/0"):
        answer(at, "select * from prompts", [])


def test_results_without_a_store_have_an_empty_one(tmp_path: Path) -> None:
    run = make_results(tmp_path / "run", {"store_path": None})
    assert answer(run, "select count(*) as n from pairs", []).item() == 0
    assert answer(run, "shown_edges", ["min_count=1"]).height == 1
    assert answer(run, "summary", []).is_empty()


def test_results_of_many_stores_open_with_all_of_them(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.duckdb" for number in range(2)]
    for number, path in enumerate(paths):
        rows = {"dump": [{"identity": f"i{number}"}]}
        connection({**rows, "prompts": [{"prompt_id": number, "n_tokens": 5}]}, store_file=path)
    identity = answer(tmp_path / "?.duckdb", "select identity from dump", []).item()
    assert answer(Path(",".join(map(str, paths))), "summary", [])["prompts"].item() == 2
    row = {"store_path": json.dumps([str(path) for path in paths]), "store_identity": identity}
    run = make_results(tmp_path / "run", row)
    assert answer(run, "select count(*) from prompts", []).item() == 2
    paths[1].unlink()
    assert answer(run, "select count(*) from graph_edges", []).item() == 1
    with pytest.raises(SvtError, match=r"0.duckdb and 1 more, is gone"):
        answer(run, "select * from prompts", [])
