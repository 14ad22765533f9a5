"""Describe the tables, views, named queries and macros that SQL over a target can use.

1. Tables and views have their description as a COMMENT (sql/schema).
2. A named query that is a view (svt/query/views.py) has it in the header of its file.
3. A macro has it in the first line of its file in sql/macros.
"""

import re
from dataclasses import dataclass

import duckdb
import polars as pl

from svt.errors import QueryError, suggestion
from svt.paths import sql_dir
from svt.query.exact import fetch_frame
from svt.query.views import make_views, view_queries

_HEAD = re.compile(r"-- \w+: (?P<purpose>.*)")
_MACRO = re.compile(r"MACRO (?P<name>\w+)\((?P<arguments>[^)]*)\)")
_TABLES = (
    "SELECT database_name AS catalog, table_name AS name, comment AS meaning FROM duckdb_tables() "
    "WHERE database_name IN ('results', 'store') UNION ALL "
    "SELECT database_name, view_name, comment FROM duckdb_views() "
    "WHERE database_name IN ('results', 'store') AND NOT internal ORDER BY ALL"
)
_COLUMNS = (
    "SELECT column_name AS column, lower(data_type) AS type, comment AS meaning "
    "FROM duckdb_columns() WHERE database_name = $catalog AND table_name = $name "
    "ORDER BY column_index"
)


@dataclass(frozen=True)
class Macro:
    """A macro of sql/macros: its arguments, and a sentence on what it returns."""

    name: str
    arguments: str
    purpose: str


def list_macros() -> list[Macro]:
    """Return the macros, ordered by name (step 3)."""
    macros = []
    for file in (sql_dir() / "macros").rglob("*.sql"):
        text = file.read_text(encoding="utf-8")
        head, call = _HEAD.match(text), _MACRO.search(text)
        if head is not None and call is not None:
            arguments = " ".join(call["arguments"].split())
            macros.append(Macro(call["name"], arguments, head["purpose"]))
    return sorted(macros, key=lambda macro: macro.name)


def describe_tables(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return the tables and views of `results` and `store`: catalog, name, meaning (step 1)."""
    return fetch_frame(con, _TABLES)


def describe_schema(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return every table, view, query and macro: catalog, name, meaning (steps 1 to 3)."""
    queries = [("query", query.name, query.purpose) for query in view_queries(con)]
    macros = [("macro", f"{m.name}({m.arguments})", m.purpose) for m in list_macros()]
    columns = ["catalog", "name", "meaning"]
    more = pl.DataFrame([*queries, *macros], schema=columns, orient="row")
    return pl.concat([describe_tables(con), more], how="vertical_relaxed")


def describe_columns(con: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
    """Return the columns of a table, view or query: column, type, meaning.

    QueryError when none has that name.
    """
    tables = describe_tables(con)
    for catalog in tables.filter(pl.col("name") == name)["catalog"].to_list():
        return fetch_frame(con, _COLUMNS, {"catalog": catalog, "name": name})
    queries = [query.name for query in view_queries(con)]
    if name not in queries:
        near = suggestion(name, [*tables["name"], *queries])
        raise QueryError(
            f"--schema {name}: no such table, view or query{near}; --schema lists them"
        )
    if reasons := make_views(con, name):
        raise QueryError(reasons[0])
    return fetch_frame(con, f"DESCRIBE {name}").select(
        pl.col("column_name").alias("column"),
        pl.col("column_type").str.to_lowercase().alias("type"),
    )
