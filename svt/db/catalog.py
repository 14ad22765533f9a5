"""The catalogs of a connection: their tables, made or found, and what bare names mean."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa

from svt.paths import sql_dir


def create_tables(
    con: duckdb.DuckDBPyConnection, catalog: str, kind: Literal["store", "results"]
) -> None:
    """Creates the types, tables and views of sql/schema/<kind> in an attached, writable catalog."""
    with using(con, catalog):
        for file in sorted((sql_dir() / "schema" / kind).glob("*.sql")):  # _types.sql comes first
            con.execute(file.read_text(encoding="utf-8"))
    if kind == "store":
        create_views(con, catalog)


def create_views(con: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Creates the long views of a store, sql/schema/store/views, beside its tables."""
    with using(con, catalog):
        for file in sorted(_views().glob("*.sql")):
            con.execute(file.read_text(encoding="utf-8"))


def view_names() -> set[str]:
    """The long views of a store: what they show stands in its tables."""
    return {file.stem for file in _views().glob("*.sql")}


def _views() -> Path:
    return sql_dir() / "schema" / "store" / "views"


@contextmanager
def using(con: duckdb.DuckDBPyConnection, catalog: str) -> Iterator[None]:
    """Bare names mean `catalog` inside the block, and what they meant before after it."""
    ((before,),) = con.execute("SELECT current_setting('search_path')").fetchall()
    con.execute("SET search_path = ?", [catalog])
    try:
        yield
    finally:
        con.execute("SET search_path = ?", [before])


@contextmanager
def register_tables(con: duckdb.DuckDBPyConnection, **tables: pa.Table) -> Iterator[None]:
    """Make Arrow tables readable by these names inside the block."""
    for name, table in tables.items():
        con.register(name, table)
    try:
        yield
    finally:
        for name in tables:
            with suppress(duckdb.Error):  # after an error inside, which is the one to tell
                con.unregister(name)


def quoted(path: Path) -> str:
    """A path as it stands between single quotes in ATTACH, which takes no parameters."""
    return str(path).replace("'", "''")


def catalogs(con: duckdb.DuckDBPyConnection) -> set[str]:
    """The names of the attached databases."""
    return {
        name for (name,) in con.execute("SELECT database_name FROM duckdb_databases()").fetchall()
    }


def tables(con: duckdb.DuckDBPyConnection, catalog: str) -> set[str]:
    """The tables of a catalog, those that are views over several stores among them."""
    found = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = $catalog UNION ALL "
        "SELECT view_name FROM duckdb_views() WHERE database_name = $catalog AND NOT internal",
        {"catalog": catalog},
    )
    return {name for (name,) in found.fetchall()}


def has_table(con: duckdb.DuckDBPyConnection, catalog: str, table: str) -> bool:
    return table in tables(con, catalog)
