"""Attach files as catalogs: results, one store, or any number of stores as one.

1. One store is attached as it is: a file, or the folder of an exported one (svt/db/parquet.py).
2. Without a store the catalog has the tables of sql/schema/store, all empty.
3. Each of more than one is attached under its own name (store_1, store_2, ...), if they go together
   (svt/db/union.py).
4. The catalog is then one of views: every table is those of all stores, one after the other. What
   is of the model is the same in all and stands there once, and so does a row dump made of theirs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow as pa

from svt.db.catalog import create_tables, quoted, register_tables, tables
from svt.db.files import check_file, check_name, unreadable
from svt.db.identity import check_schema
from svt.db.parquet import attach_folder, is_export
from svt.db.trusted import check_code, check_columns
from svt.db.union import by_prompts, check_alike, together
from svt.errors import StoreError

_ONCE = ("singular_values", "writers")  # what is of the model, not of prompts


def attach_stores(con: duckdb.DuckDBPyConnection, catalog: str, paths: Sequence[Path]) -> None:
    """Attach stores, read-only, as one catalog; StoreError when one is invalid or they differ."""
    if len(paths) == 1:
        attach_store(con, catalog, paths[0])  # 1
        dump_row(con, catalog, paths[0])
        return
    con.execute(f"ATTACH ':memory:' AS {catalog}")
    if paths:
        _attach_union(con, catalog, paths)
    else:
        create_tables(con, catalog, "store")  # 2


def attach_store(con: duckdb.DuckDBPyConnection, catalog: str, path: Path) -> None:
    """Attach one store, a file or the folder of an exported one."""
    if is_export(path):
        attach_folder(con, catalog, path)
    else:
        attach_file(con, catalog, path)


def attach_file(
    con: duckdb.DuckDBPyConnection, catalog: str, path: Path, writable: bool = False
) -> None:
    """Attach a file, a store or results; StoreError when it is missing or is no database."""
    kind: Literal["store", "results"] = "results" if "results" in catalog else "store"
    if writable:
        check_name(path)
        con.execute(f"ATTACH '{quoted(path)}' AS {catalog}")
        return
    check_file(path, kind)
    try:
        con.execute(f"ATTACH '{quoted(path)}' AS {catalog} (READ_ONLY)")
    except duckdb.Error as error:
        raise unreadable(path, kind, error) from error
    check_code(con, catalog, path, kind)


def dump_row(con: duckdb.DuckDBPyConnection, catalog: str, path: object) -> dict[str, Any]:
    """Return a store's row dump; StoreError when it is no whole store of this version."""
    try:
        rows = con.sql(f"SELECT * FROM {catalog}.dump").pl().to_dicts()
    except duckdb.Error as error:
        raise unreadable(path, "store", error) from error
    if len(rows) != 1:
        many = "is empty" if not rows else f"has {len(rows)} rows"
        raise StoreError(
            f"{path} is not a whole store (its table dump {many}); move it away and dump again"
        )
    row: dict[str, Any] = rows[0]
    if {"svt_version", "schema_version"} <= row.keys():
        check_schema(path, row["svt_version"], row["schema_version"])
    if catalog_is_file(con, catalog):
        check_columns(con, catalog, path)
    return row


def catalog_is_file(con: duckdb.DuckDBPyConnection, catalog: str) -> bool:
    """Return whether a catalog is a file, not one of views over files."""
    asked = "SELECT path IS NOT NULL FROM duckdb_databases() WHERE database_name = ?"
    return con.execute(asked, [catalog]).fetchall() == [(True,)]


def _attach_union(con: duckdb.DuckDBPyConnection, catalog: str, paths: Sequence[Path]) -> None:
    attached = {}
    for number, path in enumerate(paths, 1):  # 3
        name = f"{catalog}_{number}"
        attach_store(con, name, path)
        attached[name] = path
    rows = {name: dump_row(con, name, path) for name, path in attached.items()}
    first, *others = attached
    for name in others:
        check_alike(attached[first], rows[first], attached[name], rows[name])
    names = by_prompts(con, attached)
    for table in sorted(tables(con, first) - {"dump"}):  # 4
        parts = names[:1] if table in _ONCE else names
        every = " UNION ALL ".join(f"FROM {name}.{table}" for name in parts)
        con.execute(f"CREATE VIEW {catalog}.{table} AS {every}")
    row = together([rows[name] for name in names])
    with register_tables(con, row=pa.Table.from_pylist([row])):
        con.execute(f"CREATE TABLE {catalog}.dump AS FROM {names[0]}.dump LIMIT 0")
        con.execute(f"INSERT INTO {catalog}.dump BY NAME SELECT * FROM row")
