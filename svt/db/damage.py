"""Which file is damaged, when a database only says that some block is.

DuckDB keeps a checksum with every block and header and looks at it when it reads, so a flipped
byte is an error and never another number; but the error does not name the file.
"""

from collections.abc import Iterable
from pathlib import Path

import duckdb

from svt.db.catalog import quoted
from svt.db.files import database
from svt.errors import StoreError
from svt.system.text import first_line

_SAID = ("Corrupt database file", "Could not read enough bytes")


def check_damage(error: duckdb.Error, files: Iterable[Path]) -> None:
    """Raise StoreError for the first of `files` that cannot be read, if `error` is of damage."""
    if not any(said in str(error) for said in _SAID):
        return
    for file in filter(Path.is_file, files):  # others are folders of Parquet
        try:
            _read(file)
        except duckdb.Error as damage:
            raise StoreError(
                f"{file} is damaged ({first_line(damage)[:80]}); move it away and make it anew"
            ) from error


def files_of(con: duckdb.DuckDBPyConnection) -> list[Path]:
    """The files that a connection has attached."""
    rows = con.execute("SELECT path FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()
    return [Path(path) for (path,) in rows]


def _read(file: Path) -> None:
    with database() as con:
        con.execute(f"ATTACH '{quoted(file)}' AS held (READ_ONLY)")
        names = con.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'held'")
        for (name,) in names.fetchall():
            con.execute(f'SELECT count(hash(held)) FROM held."{name}" AS held').fetchall()
