"""A store exported to Parquet, opened again: a catalog of views over its files, and of the long
views over these (sql/schema/store/views).

1. A table is the file TABLE.parquet, or a folder of files for each layer, TABLE/layer=3/*.parquet;
   then the column `layer` stands in their names alone.
2. Every column is read as the type that sql/schema/store gives it: Parquet knows no enumerations.
3. Every table must have as many rows as were written, which counts.json tells: what is missing of a
   folder would otherwise be missed by nobody.
4. The folder stays readable on a connection that is later shut off from all other files.
"""

import json
from contextlib import suppress
from pathlib import Path

import duckdb

from svt.db.catalog import create_tables, create_views, quoted, view_names
from svt.db.identity import check_schema
from svt.errors import StoreError
from svt.system.text import first_line

MARK = "dump.parquet"  # what tells the folder of an exported store from any other
COUNTS = "counts.json"  # rows by table


def is_export(path: Path) -> bool:
    return (path / MARK).is_file()


def attach_folder(con: duckdb.DuckDBPyConnection, catalog: str, folder: Path) -> None:
    """Attaches the folder of an exported store; StoreError for another schema, or when a table is
    not whole.
    """
    folder = folder.resolve()
    _check_schema(con, folder)
    counts = _counts(folder)
    con.execute(f"ATTACH ':memory:' AS {catalog}")
    for table, columns in _schema(con).items():
        typed = ", ".join(f"{name}::{kind} AS {name}" for name, kind in columns.items())  # 2
        files, how = _files(folder, table)
        try:
            con.execute(
                f"CREATE VIEW {catalog}.{table} AS "
                f"SELECT {typed} FROM read_parquet('{quoted(files)}'{how})"
            )
            ((n_rows,),) = con.execute(
                f"SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata('{quoted(files)}')"
            ).fetchall()
        except duckdb.Error as error:
            raise StoreError(
                f"{folder}: the table {table} cannot be read ({first_line(error)}); "
                "export the store anew"
            ) from error
        if n_rows != counts.get(table):  # 3
            raise StoreError(
                f"{folder}: the table {table} has {n_rows} rows, {counts.get(table)} were written; "
                "export the store anew"
            )
    create_views(con, catalog)
    con.execute(  # 4
        "SET allowed_directories = list_append(current_setting('allowed_directories'), ?)",
        [str(folder)],
    )


def _check_schema(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Of a table dump that can be read."""
    with suppress(duckdb.Error):
        text = f"SELECT svt_version, schema_version FROM read_parquet('{quoted(folder / MARK)}')"
        for row in con.execute(text).fetchall():
            check_schema(folder, *row)


def _counts(folder: Path) -> dict[str, int]:
    try:
        return dict(json.loads((folder / COUNTS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(
            f"{folder / COUNTS} cannot be read ({error}); export the store anew"
        ) from error


def _files(folder: Path, table: str) -> tuple[Path, str]:
    """Step 1: a file or a pattern of them, and how they are read."""
    file = folder / f"{table}.parquet"
    if file.is_file():
        return file, ""
    if not (folder / table).is_dir():
        raise StoreError(f"{folder} lacks {file.name}; export the store anew")
    by_layer = ", hive_partitioning = true, hive_types = {'layer': UTINYINT}"
    return folder / table / "*" / "*.parquet", by_layer


def _schema(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """The tables of a store with their columns and types."""
    con.execute("ATTACH ':memory:' AS schema_of_a_store")
    create_tables(con, "schema_of_a_store", "store")
    found = con.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = 'schema_of_a_store' ORDER BY table_name, column_index"
    ).fetchall()
    con.execute("DETACH schema_of_a_store")
    schema: dict[str, dict[str, str]] = {}
    for table, column, kind in found:
        if table not in view_names():
            schema.setdefault(table, {})[column] = kind
    return schema
