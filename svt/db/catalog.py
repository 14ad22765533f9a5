"""Catalogs of a connection: create and list their tables, and select the default catalog."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import duckdb

from svt.db.scripts import list_scripts, run_script

_VIEWS = "schema/store/views"


def create_tables(
    con: duckdb.DuckDBPyConnection, catalog: str, kind: Literal["store", "results"]
) -> None:
    """Create the types, tables and views of sql/schema/<kind> in an attached, writable catalog."""
    with use_catalog(con, catalog):
        for file in list_scripts(f"schema/{kind}"):  # _types.sql comes first
            run_script(con, file)
    if kind == "store":
        create_views(con, catalog)


def create_views(con: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Create the long views of a store, sql/schema/store/views, beside its tables."""
    with use_catalog(con, catalog):
        for file in list_scripts(_VIEWS):
            run_script(con, file)


def view_names() -> set[str]:
    """Return the names of the long views of a store."""
    return {file.stem for file in list_scripts(_VIEWS)}


@contextmanager
def use_catalog(con: duckdb.DuckDBPyConnection, catalog: str) -> Iterator[None]:
    """Make bare names refer to `catalog` inside the block."""
    ((before,),) = con.execute("SELECT current_setting('search_path')").fetchall()
    con.execute("SET search_path = ?", [catalog])
    try:
        yield
    finally:
        con.execute("SET search_path = ?", [before])


@contextmanager
def register_tables(con: duckdb.DuckDBPyConnection, **tables: Any) -> Iterator[None]:
    """Make Arrow tables or Polars frames readable under their names inside the block."""
    for name, table in tables.items():
        con.register(name, table)
    try:
        yield
    finally:
        for name in tables:
            with suppress(duckdb.Error):  # the error inside the block is raised
                con.unregister(name)


def insert_rows(con: duckdb.DuckDBPyConnection, table: str, rows: Any) -> None:
    """Insert an Arrow table or a Polars frame by column names; other columns are null."""
    with register_tables(con, new_rows=rows):
        con.execute(f"INSERT INTO {table} BY NAME FROM new_rows")


def quote_path(path: Path) -> str:
    """Return a path for use between single quotes, as ATTACH and COPY take no parameters."""
    return str(path).replace("'", "''")


def list_catalogs(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the names of the attached databases."""
    return {
        name for (name,) in con.execute("SELECT database_name FROM duckdb_databases()").fetchall()
    }


def list_tables(con: duckdb.DuckDBPyConnection, catalog: str) -> set[str]:
    """Return the names of the tables and views of a catalog."""
    rows = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = $catalog UNION ALL "
        "SELECT view_name FROM duckdb_views() WHERE database_name = $catalog AND NOT internal",
        {"catalog": catalog},
    )
    return {name for (name,) in rows.fetchall()}


def has_table(con: duckdb.DuckDBPyConnection, catalog: str, table: str) -> bool:
    """Return whether a catalog has a table or view of this name; faster than a list of tables."""
    try:
        con.execute(f"FROM {catalog}.{table} LIMIT 0")
    except (duckdb.CatalogException, duckdb.BinderException):
        return False
    return True
