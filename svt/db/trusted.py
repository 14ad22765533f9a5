"""What a file of somebody else may hold: tables with the columns that svt writes, no code.

1. A view or a macro of a file is code that runs when it is read, and could stand for a table or a
   function of svt's queries. So a file holds no macro, and no view but a store's long views, in the
   words of sql/schema/store/views.
2. A store has every table of sql/schema/store, with its columns and types, and one row `dump`.
3. Results have no table that is a store's, as bare names mean results first.
"""

from functools import cache
from pathlib import Path
from typing import Literal

import duckdb

from svt.db.catalog import create_tables
from svt.db.files import database
from svt.errors import StoreError
from svt.system.digests import file_state

Columns = dict[str, dict[str, str]]

_PASSED: set[tuple[str, str]] = set()
"""The kinds and states of files that hold no code."""

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
    """Raise StoreError for views, macros and tables that have no place in a file (steps 1 and 3).

    A file that passed is not looked at a second time while it stays as it is: DuckDB takes a tenth
    of a second to list its functions.
    """
    state = kind, file_state(path)
    if state not in _PASSED:
        _check_code(con, catalog, path, kind)
        _PASSED.add(state)


def _check_code(
    con: duckdb.DuckDBPyConnection, catalog: str, path: Path, kind: Literal["store", "results"]
) -> None:
    views = _views(con, catalog)
    allowed = _shape("store")[1] if kind == "store" else {}
    strange = [f"the view {name}" for name, sql in views.items() if allowed.get(name) != sql]
    strange += [f"the macro {name}" for (name,) in con.execute(_MACROS, [catalog]).fetchall()]
    if kind == "results":
        own = expected_columns("store").keys() - expected_columns("results").keys()
        strange += [f"the table {name}" for name in sorted(own & columns_of(con, catalog).keys())]
    if strange:
        raise StoreError(
            f"{path} holds {strange[0]}, which svt does not write into {kind}; svt reads tables of "
            "its own alone: take it out, or make the file anew"
        )


def check_columns(con: duckdb.DuckDBPyConnection, catalog: str, path: object) -> None:
    """StoreError when a store lacks a table or a column, or has one of another type (step 2)."""
    there = columns_of(con, catalog)
    for table, columns in expected_columns("store").items():
        if there.get(table) != columns:
            raise StoreError(
                f"{path} is not a store that svt can read (its table {table} is not that of a "
                "store); move it away and dump again"
            )


def columns_of(con: duckdb.DuckDBPyConnection, catalog: str) -> Columns:
    """The tables of a catalog, each with its columns and their types."""
    found: Columns = {}
    for table, column, kind in con.execute(_COLUMNS, [catalog, catalog]).fetchall():
        found.setdefault(table, {})[column] = kind
    return found


def _views(con: duckdb.DuckDBPyConnection, catalog: str) -> dict[str, str]:
    rows = con.execute(_VIEWS, [catalog]).fetchall()
    return {name: sql.replace(f"{catalog}.", "") for name, sql in rows}


def expected_columns(kind: Literal["store", "results"]) -> Columns:
    """Return the tables that svt writes, each with its columns and their types."""
    return _shape(kind)[0]


@cache
def _shape(kind: Literal["store", "results"]) -> tuple[Columns, dict[str, str]]:
    """The tables and views that svt writes."""
    with database() as con:
        con.execute("ATTACH ':memory:' AS expected")
        create_tables(con, "expected", kind)
        return columns_of(con, "expected"), _views(con, "expected")
