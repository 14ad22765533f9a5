"""Find the damaged file after an error of DuckDB.

DuckDB checks the checksum of every block and header that it reads, so damage is always an error;
but the error does not name the file.
"""

from collections.abc import Iterable
from pathlib import Path

import duckdb

from svt.db.catalog import quote_path
from svt.db.files import explain_unreadable, open_database
from svt.errors import StoreError
from svt.system.text import first_line

_MESSAGES = ("Corrupt database file", "Could not read enough bytes")


def check_damage(error: duckdb.Error, files: Iterable[Path]) -> None:
    """Raise StoreError for the first of `files` that is damaged, if `error` reports damage."""
    if not _is_damage(error):
        return
    for file in filter(Path.is_file, files):  # others are folders of Parquet
        check_whole(file)


def list_attached_files(con: duckdb.DuckDBPyConnection) -> list[Path]:
    """Return the files that are attached to a connection."""
    rows = con.execute("SELECT path FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()
    return [Path(path) for (path,) in rows]


def check_whole(file: Path) -> None:
    """Read every row of a database file; StoreError when it is damaged or cannot be read."""
    with open_database() as con:
        try:
            con.execute(f"ATTACH '{quote_path(file)}' AS file (READ_ONLY)")
            names = con.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = 'file'"
            )
            for (name,) in names.fetchall():
                con.execute(f'SELECT count(hash(t)) FROM file."{name}" AS t').fetchall()
        except duckdb.Error as error:
            if not _is_damage(error):  # a lock, or too little memory
                raise explain_unreadable(file, "file", error) from error
            raise StoreError(
                f"{file} is damaged ({first_line(error)[:80]}); move it away and make a new one"
            ) from error


def _is_damage(error: duckdb.Error) -> bool:
    return any(message in str(error) for message in _MESSAGES)
