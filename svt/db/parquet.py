"""Attach a store that was exported to Parquet: a catalog of views over its files.

1. A table is the file TABLE.parquet, or a folder of files for each layer, TABLE/layer=3/*.parquet,
   whose column `layer` is only in their names.
2. Every column is cast to its type in sql/schema/store, as Parquet has no enumerations.
3. Every table must have the number of rows in counts.json; a missing file would otherwise not be
   noticed.
4. The folder stays readable when the access to other files is disabled.
5. The catalog also has the long views (sql/schema/store/views).
"""

import json
from contextlib import suppress
from pathlib import Path

import duckdb

from svt.db.catalog import create_views, quote_path
from svt.db.identity import check_schema
from svt.db.trusted import expected_columns
from svt.errors import StoreError
from svt.system.text import first_line

DUMP = "dump.parquet"  # identifies the folder of an exported store
COUNTS = "counts.json"  # rows by table


def is_export(path: Path) -> bool:
    """Return whether a path is the folder of an exported store."""
    return (path / DUMP).is_file()


def attach_folder(con: duckdb.DuckDBPyConnection, catalog: str, folder: Path) -> None:
    """Attach an exported store; StoreError for another schema or an incomplete table."""
    folder = folder.resolve()
    _check_schema(con, folder)
    counts = _read_counts(folder)
    con.execute(f"ATTACH ':memory:' AS {catalog}")
    for table, columns in expected_columns("store").items():
        typed = ", ".join(f"{name}::{kind} AS {name}" for name, kind in columns.items())  # 2
        files, options = _files(folder, table)
        try:
            con.execute(
                f"CREATE VIEW {catalog}.{table} AS "
                f"SELECT {typed} FROM read_parquet('{quote_path(files)}'{options})"
            )
            ((n_rows,),) = con.execute(
                f"SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata('{quote_path(files)}')"
            ).fetchall()
        except duckdb.Error as error:
            raise StoreError(
                f"{folder}: the table {table} cannot be read ({first_line(error)}); "
                "export the store again"
            ) from error
        if n_rows != counts.get(table):  # 3
            raise StoreError(
                f"{folder}: the table {table} has {n_rows} rows, {counts.get(table)} were written; "
                "export the store again"
            )
    create_views(con, catalog)  # 5
    con.execute(  # 4
        "SET allowed_directories = list_append(current_setting('allowed_directories'), ?)",
        [str(folder)],
    )


def _check_schema(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Raise StoreError for another schema, if the table dump can be read."""
    with suppress(duckdb.Error):
        file = quote_path(folder / DUMP)
        text = f"SELECT svt_version, schema_version FROM read_parquet('{file}')"
        for row in con.execute(text).fetchall():
            check_schema(folder, *row)


def _read_counts(folder: Path) -> dict[str, int]:
    try:
        return dict(json.loads((folder / COUNTS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(
            f"{folder / COUNTS} cannot be read ({error}); export the store again"
        ) from error


def _files(folder: Path, table: str) -> tuple[Path, str]:
    """Return the file of a table, or a pattern, and options of read_parquet (step 1)."""
    file = folder / f"{table}.parquet"
    if file.is_file():
        return file, ""
    if not (folder / table).is_dir():
        raise StoreError(f"{folder} lacks {file.name}; export the store again")
    by_layer = ", hive_partitioning = true, hive_types = {'layer': UTINYINT}"
    return folder / table / "*" / "*.parquet", by_layer
