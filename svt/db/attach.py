"""Attach files as catalogs: results, one store, or any number of stores as one.

1. One store, a file or the folder of an exported one (svt/db/parquet.py), is the catalog itself.
2. Without a store, the catalog has the tables of sql/schema/store, all empty.
3. Two or more stores are attached as catalogs of their own (store_1, store_2, ...) and must be
   compatible (svt/db/union.py).
4. Their union is a catalog of views that concatenate the tables of all stores. The tables of the
   model are those of the first store, and `dump` has one merged row.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow as pa

from svt.db.catalog import create_tables, insert_rows, list_tables, quote_path
from svt.db.files import check_file, check_name, explain_unreadable
from svt.db.identity import check_schema
from svt.db.parquet import attach_folder, is_export
from svt.db.trusted import check_code, check_columns
from svt.db.union import check_compatible, merge_dump_rows, order_by_prompts
from svt.errors import StoreError

_MODEL_TABLES = ("singular_values", "writers")


def attach_stores(
    con: duckdb.DuckDBPyConnection, catalog: str, paths: Sequence[Path]
) -> dict[str, Any]:
    """Attach stores as one read-only catalog; return the row `dump`, empty without a store.

    StoreError when a store is invalid or two differ.
    """
    if len(paths) == 1:
        attach_store(con, catalog, paths[0])  # 1
        return _read_dump_row(con, catalog, paths[0])
    con.execute(f"ATTACH ':memory:' AS {catalog}")
    if paths:
        return _attach_union(con, catalog, paths)
    create_tables(con, catalog, "store")  # 2
    return {}


def attach_store(con: duckdb.DuckDBPyConnection, catalog: str, path: Path) -> None:
    """Attach one store, a file or the folder of an exported one, read-only."""
    if is_export(path):
        attach_folder(con, catalog, path)
    else:
        attach_file(con, catalog, path)


def attach_file(
    con: duckdb.DuckDBPyConnection, catalog: str, path: Path, writable: bool = False
) -> None:
    """Attach the file of a store or of results; StoreError when it is missing or no database."""
    kind: Literal["store", "results"] = "results" if "results" in catalog else "store"
    if writable:
        check_name(path)
        con.execute(f"ATTACH '{quote_path(path)}' AS {catalog}")
        return
    check_file(path, kind)
    try:
        con.execute(f"ATTACH '{quote_path(path)}' AS {catalog} (READ_ONLY)")
    except duckdb.Error as error:
        raise explain_unreadable(path, kind, error) from error
    check_code(con, catalog, path, kind)


def _read_dump_row(con: duckdb.DuckDBPyConnection, catalog: str, path: Path) -> dict[str, Any]:
    """Return the row of the table dump; StoreError for an incomplete store or another schema."""
    try:
        rows = con.sql(f"SELECT * FROM {catalog}.dump").pl().to_dicts()
    except duckdb.Error as error:
        raise explain_unreadable(path, "store", error) from error
    if len(rows) != 1:
        state = "is empty" if not rows else f"has {len(rows)} rows"
        raise StoreError(
            f"{path} is not a complete store (its table dump {state}); move it away and dump again"
        )
    row: dict[str, Any] = rows[0]
    if {"svt_version", "schema_version"} <= row.keys():
        check_schema(path, row["svt_version"], row["schema_version"])
    if path.is_file():
        check_columns(con, catalog, path)
    return row


def _attach_union(
    con: duckdb.DuckDBPyConnection, catalog: str, paths: Sequence[Path]
) -> dict[str, Any]:
    attached = {f"{catalog}_{number}": path for number, path in enumerate(paths, 1)}
    for name, path in attached.items():  # 3
        attach_store(con, name, path)
    rows = {name: _read_dump_row(con, name, path) for name, path in attached.items()}
    first, *others = attached
    for name in others:
        check_compatible(attached[first], rows[first], attached[name], rows[name])
    names = order_by_prompts(con, attached)
    for table in sorted(list_tables(con, first) - {"dump"}):  # 4
        parts = names[:1] if table in _MODEL_TABLES else names
        union = " UNION ALL ".join(f"FROM {name}.{table}" for name in parts)
        con.execute(f"CREATE VIEW {catalog}.{table} AS {union}")
    row = merge_dump_rows([rows[name] for name in names])
    con.execute(f"CREATE TABLE {catalog}.dump AS FROM {names[0]}.dump LIMIT 0")
    insert_rows(con, f"{catalog}.dump", pa.Table.from_pylist([row]))
    return row
