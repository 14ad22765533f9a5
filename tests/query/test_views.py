"""Named queries as views, and the queries that a target lists."""

from __future__ import annotations  # DuckDB complains of types that pytest keeps to the end

import json

import duckdb
import polars as pl
import pytest

from svt.cli.sql import run_sql
from svt.errors import SvtError
from svt.query.described import describe_columns, describe_schema, list_macros
from svt.query.named import run
from svt.query.views import to_literal, view_queries
from tests.sql.test_store_queries import two_prompts


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return two_prompts().connect()


def test_a_query_is_a_view_with_its_defaults(con: duckdb.DuckDBPyConnection) -> None:
    assert run_sql(con, "from firings", {}).rows() == run(con, "firings").rows()
    rows = run_sql(con, "select sum(n_firings) as n from firings where dest_role = 'end'", {})
    assert rows["n"].to_list() == [2]


def test_a_view_has_the_settings_of_the_run() -> None:
    """Whatever their text holds: a role of a stranger's run is a value, and no SQL."""
    for weight, n in ((0.5, 3), (0.8, 1)):
        config = json.dumps({"trace": {"firing_weight": weight, "root_dest": "x' or 1=1 --"}})
        con = two_prompts().connect(run=[{"config": config}])
        assert (
            run_sql(con, "select count(*) as n from pairs_named where fires", {})["n"].item() == n
        )
        assert run_sql(con, "from auto_roots", {}).rows() == run(con, "auto_roots").rows() == []


def test_a_name_of_ones_own_goes_before(con: duckdb.DuckDBPyConnection) -> None:
    assert (
        run_sql(con, "with firings as (select 7 as n) select n from firings", {})["n"].item() == 7
    )


def test_every_query_without_needs_can_be_a_view(con: duckdb.DuckDBPyConnection) -> None:
    """Bound as a view like when it is run; a table goes before a query of its name."""
    queries = [query for query in view_queries(con) if not query.needs]
    assert {"summary", "shown_edges", "pairs_named"} < {query.name for query in queries}
    assert "trace_edges" not in {query.name for query in queries}
    for query in queries:
        run_sql(con, f"select * from {query.name} limit 0", {})


def test_why_a_query_is_no_view_here_is_said(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(SvtError, match=r"SQL: .*upstream_of does not exist"):
        run_sql(con, "from upstream_of", {})
    store = two_prompts().connect()
    store.execute('UPDATE store.dump SET config = \'{"dump": {"effects": false}}\'')
    with pytest.raises(SvtError, match=r"SQL: .*query suppressors needs .*dump\.effects=true"):
        run_sql(store, "from suppressors", {})


@pytest.mark.parametrize(
    "value", [None, True, 3, -0.25, 1e-300, "it's", "", [[9, 6], [10, 0]], 2**62]
)
def test_a_literal_is_its_value(value: object) -> None:
    ((read,),) = duckdb.execute(f"SELECT {to_literal(value)}").fetchall()
    assert (float(read) if isinstance(value, float) else read) == value


def test_the_schema_names_all(con: duckdb.DuckDBPyConnection) -> None:
    found = describe_schema(con)
    of = {catalog: rows["name"].to_list() for (catalog,), rows in found.group_by("catalog")}
    assert {"pairs", "slices", "prompts"} < set(of["store"])
    assert "graph_edges" in of["results"]
    assert "shown_edges" in of["query"] and "upstream_of" not in of["query"]
    assert "count_of(kind, n_prompts, n_firings, n_visits)" in of["macro"]
    assert found["meaning"].null_count() == 0
    assert all(macro.purpose for macro in list_macros())


def test_the_columns_of_a_table_and_of_a_query(con: duckdb.DuckDBPyConnection) -> None:
    pairs = describe_columns(con, "pairs")
    assert ("weight", "float") in pairs.select("column", "type").rows()
    assert pairs["meaning"].null_count() == 0
    assert describe_columns(con, "firings")["column"].to_list() == list(run(con, "firings").columns)
    with pytest.raises(SvtError, match="no such table, view or query; did you mean prompts"):
        describe_columns(con, "promts")
    assert isinstance(describe_columns(con, "roles"), pl.DataFrame)
