"""Every query file keeps its word: parameters, columns, one statement, a test of its own."""

from __future__ import annotations  # DuckDB complains of types that pytest keeps to the end

import ast
import re
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import duckdb
import pytest

from svt.config import TraceConfig
from svt.db.catalog import create_tables
from svt.errors import SvtError
from svt.query.named import SWEEP, Query, bind, list_queries, load_query, query_names
from svt.words import Kind, Scope
from tests.store_rows import connection

FIRST_VALUES: dict[str, Any] = {
    "layer": 0,
    "head": 0,
    "side": "dest",
    "pair_id": 0,
}  # for parameters that have no default

QUERIES = list_queries()


@cache
def parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def statement(query: Query) -> duckdb.Statement:
    (only,) = parser().extract_statements(query.text)
    return only


def of_a_sweep() -> duckdb.DuckDBPyConnection:
    """Tables with the job beside every row."""
    con = connection()
    for table in ("run", "trace_pairs", "graph_edges", "graph_firings", "evaluation"):
        con.execute(f"ALTER TABLE results.{table} ADD COLUMN job INTEGER")
    return con


@pytest.mark.parametrize("query", QUERIES, ids=query_names())
def test_params_are_those_of_the_statement(query: Query) -> None:
    assert statement(query).named_parameters == {param.name for param in query.params}
    assert len({param.name for param in query.params}) == len(query.params)


@pytest.mark.parametrize("query", QUERIES, ids=query_names())
def test_a_query_only_reads(query: Query) -> None:
    assert statement(query).type == duckdb.StatementType.SELECT


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    con = connection()
    for kind in ("store", "results"):
        con.execute(f"ATTACH ':memory:' AS other_{kind}")
        create_tables(con, f"other_{kind}", kind)
    return con


@pytest.mark.parametrize("query", QUERIES, ids=query_names())
def test_columns_are_those_of_the_rows(query: Query, con: duckdb.DuckDBPyConnection) -> None:
    if query.name.startswith(SWEEP):
        con = of_a_sweep()
    required = {p.name: FIRST_VALUES[p.name] for p in query.params if p.default is None}
    bound = bind(con, query, required)
    columns = tuple(con.sql(query.text, params=bound or None).columns)
    declared = query.columns
    if declared[-1] == "...":
        declared, columns = declared[:-1], columns[: len(declared) - 1]
    assert columns == declared


@pytest.mark.parametrize("query", QUERIES, ids=query_names())
def test_every_default_has_its_type(query: Query, con: duckdb.DuckDBPyConnection) -> None:
    bind(con, query, {name: v for name, v in FIRST_VALUES.items() if _has(query, name)})


@pytest.mark.parametrize("query", QUERIES, ids=query_names())
def test_what_has_choices_declares_them(query: Query) -> None:
    """Those of a setting of the trace are the setting's own."""
    choices = {"side": ("dest", "src"), "among": ("all", "reachable")}
    choices["by"] = ("template", "pattern")
    choices |= {"scope": ("any", *get_args(Scope)), "kind": ("any", *get_args(Kind))}
    choices |= {"match": ("finest", "edge", "side", "heads"), "weight": ("mean", "total", "count")}
    for name, kind in get_type_hints(TraceConfig).items():
        if get_origin(kind) is Literal:
            choices[name] = get_args(kind)
    choices["other_count"] = choices["count"]
    assert {"slices", "nonpositive", "components", "offset", "count"} < set(choices)
    for param in query.params:
        assert param.choices == choices.get(param.name, ())


@pytest.mark.parametrize("query", QUERIES, ids=query_names())
def test_what_work_is_done_for_has_bounds(query: Query) -> None:
    """So that no number of draws keeps a query from ending."""
    bounds = {"draws": (0, 100_000), "bins": (1, 10_000), "first_prompts": (1, 1_000_000)}
    for param in query.params:
        assert param.bounds == bounds.get(param.name)


@pytest.mark.parametrize("query", QUERIES, ids=query_names())
def test_a_default_of_the_run_names_a_setting(query: Query) -> None:
    settings = {f"trace.{field.name}" for field in fields(TraceConfig)}
    for param in query.params:
        if param.key is not None:
            assert param.key in settings
        assert param.key or "trace." not in (param.default or "")


def test_every_query_has_a_test() -> None:
    tests = {
        node.name
        for file in Path(__file__).parent.glob("test_*_queries.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    missing = [
        name
        for name in query_names()
        if not any(re.fullmatch(rf"test_{name}(_.*)?", test) for test in tests)
    ]
    assert missing == []


def test_an_unknown_query_is_not_loaded() -> None:
    with pytest.raises(SvtError, match=r"no query nothing; there are: additivity, "):
        load_query("nothing")


def _has(query: Query, name: str) -> bool:
    return name in {param.name for param in query.params}
