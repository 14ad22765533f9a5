"""Check files of unknown origin: they may have only the tables and views that svt writes.

1. Views and macros of a file are code that runs when it is read, and could replace a table or a
   function in svt's queries. A file may have no macro, and no view except the long views of a
   store, with the exact SQL of sql/schema/store/views.
2. A store must have every table of sql/schema/store, with its columns and types.
3. Results must have no table of a store, as bare names refer to results first.
"""

from functools import cache
from pathlib import Path
from typing import Literal

import duckdb

from svt.db.catalog import create_tables
from svt.db.files import open_database
from svt.errors import StoreError
from svt.system.digests import file_state

Columns = dict[str, dict[str, str]]

_PASSED: set[tuple[str, str]] = set()
"""The checks that files passed, with their states: DuckDB takes up to 0.1 s to list functions."""

_COLUMNS = (
    "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = ? "
    "AND table_name IN (SELECT table_name FROM duckdb_tables() WHERE database_name = ?) "
    "ORDER BY table_name, column_index"
)
_VIEWS = "SELECT view_name, sql FROM duckdb_views() WHERE database_name = ? AND NOT internal"
_MACROS = (
    "SELECT function_name FROM duckdb_functions() WHERE database_name = ? AND NOT internal "
    "ORDER BY ALL LIMIT 1"
)


def check_code(
    con: duckdb.DuckDBPyConnection, catalog: str, path: Path, kind: Literal["store", "results"]
) -> None:
    """Raise StoreError for a view, macro or table that a file may not have (steps 1 and 3)."""
    check = f"code of {kind}", file_state(path)
    if check in _PASSED:
        return
    views = _views(con, catalog)
    allowed = _shape("store")[1] if kind == "store" else {}
    extra = [f"the view {name}" for name, sql in views.items() if allowed.get(name) != sql]
    extra += [f"the macro {name}" for (name,) in con.execute(_MACROS, [catalog]).fetchall()]
    if kind == "results":
        own = expected_columns("store").keys() - expected_columns("results").keys()
        extra += [f"the table {name}" for name in sorted(own & columns_of(con, catalog).keys())]
    if extra:
        raise StoreError(
            f"{path} holds {extra[0]}, which svt does not write into {kind}; svt reads only "
            "files with its own tables: remove it, or make a new file"
        )
    _PASSED.add(check)


def check_columns(con: duckdb.DuckDBPyConnection, catalog: str, path: Path) -> None:
    """Raise StoreError when a store lacks a table, or one has other columns or types (2)."""
    check = "columns", file_state(path)
    if check in _PASSED:
        return
    present = columns_of(con, catalog)
    for table, columns in expected_columns("store").items():
        if present.get(table) != columns:
            raise StoreError(
                f"{path} is not a store that svt can read (its table {table} is not that of a "
                "store); move it away and dump again"
            )
    _PASSED.add(check)


def columns_of(con: duckdb.DuckDBPyConnection, catalog: str) -> Columns:
    """Return the type of each column of each table of a catalog."""
    columns: Columns = {}
    for table, column, kind in con.execute(_COLUMNS, [catalog, catalog]).fetchall():
        columns.setdefault(table, {})[column] = kind
    return columns


def _views(con: duckdb.DuckDBPyConnection, catalog: str) -> dict[str, str]:
    """Return the SQL of each view of a catalog, without the catalog's name."""
    rows = con.execute(_VIEWS, [catalog]).fetchall()
    return {name: sql.replace(f"{catalog}.", "") for name, sql in rows}


def expected_columns(kind: Literal["store", "results"]) -> Columns:
    """Return the type of each column of each table that svt writes."""
    return _shape(kind)[0]


@cache
def _shape(kind: Literal["store", "results"]) -> tuple[Columns, dict[str, str]]:
    """Return the tables and the SQL of the views that svt writes."""
    with open_database() as con:
        con.execute("ATTACH ':memory:' AS expected")
        create_tables(con, "expected", kind)
        return columns_of(con, "expected"), _views(con, "expected")
