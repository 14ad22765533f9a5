"""What a target can be asked: its tables and views, the named queries, the macros.

1. Tables and views of the catalogs carry their meaning as a COMMENT (sql/schema).
2. A named query that is a view (svt/query/views.py) says in its header what it shows.
3. A macro says it in the first line of its file in sql/macros.
"""

import re
from dataclasses import dataclass

import duckdb
import polars as pl

from svt.errors import QueryError, suggestion
from svt.paths import sql_dir
from svt.query.exact import frame_of
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
    """One macro of sql/macros: how it is called, and what it gives."""

    name: str
    arguments: str
    purpose: str


def macros() -> list[Macro]:
    """Return the macros by name (step 3)."""
    found = []
    for file in (sql_dir() / "macros").rglob("*.sql"):
        text = file.read_text(encoding="utf-8")
        head, call = _HEAD.match(text), _MACRO.search(text)
        if head is not None and call is not None:
            arguments = " ".join(call["arguments"].split())
            found.append(Macro(call["name"], arguments, head["purpose"]))
    return sorted(found, key=lambda macro: macro.name)


def tables_of(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return the tables and views of the files: catalog, name, meaning (step 1)."""
    return frame_of(con, _TABLES)


def schema(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return all that SQL may name: catalog, name, meaning (steps 1 to 3)."""
    of_queries = [("query", query.name, query.purpose) for query in view_queries(con)]
    of_macros = [("macro", f"{m.name}({m.arguments})", m.purpose) for m in macros()]
    more = pl.DataFrame(
        [*of_queries, *of_macros], schema=["catalog", "name", "meaning"], orient="row"
    )
    return pl.concat([tables_of(con), more], how="vertical_relaxed")


def columns_of(con: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
    """Return the columns of a table, view or query: column, type, meaning.

    QueryError when there is none of that name.
    """
    found = tables_of(con)
    for catalog in found.filter(pl.col("name") == name)["catalog"].to_list():
        return frame_of(con, _COLUMNS, {"catalog": catalog, "name": name})
    queries = [query.name for query in view_queries(con)]
    if name not in queries:
        near = suggestion(name, [*found["name"], *queries])
        raise QueryError(
            f"--schema {name}: no such table, view or query{near}; --schema lists them"
        )
    if reasons := make_views(con, name):
        raise QueryError(reasons[0])
    described = frame_of(con, f"DESCRIBE {name}")
    return described.select(
        pl.col("column_name").alias("column"),
        pl.col("column_type").str.to_lowercase().alias("type"),
    )
