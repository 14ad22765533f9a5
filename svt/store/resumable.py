"""Finished units of a long stage, in a file from which a killed stage resumes.

1. The file has a description of the request. A file with another request, or one that cannot be
   read, is deleted.
2. The rows of a unit and its number are added in one transaction.
3. The caller removes the file after copying the rows.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from svt.db.catalog import insert_rows
from svt.db.files import open_database
from svt.db.scripts import run_script
from svt.errors import StoreError
from svt.paths import sql_dir
from svt.store.writer import DISK_ERRORS, MEMORY, arrow_table
from svt.system.text import first_line


class Units:
    """The finished units of one stage, from `open_units`; `done` has their numbers."""

    def __init__(self, con: duckdb.DuckDBPyConnection, table: str) -> None:
        self.con, self._table = con, table
        self.done = {unit for (unit,) in con.execute("SELECT unit FROM done").fetchall()}

    def add(self, unit: int, parts: Iterable[Mapping[str, Any]]) -> None:
        """Add the rows of a unit (step 2); each part has columns of the table, of equal length."""
        self.con.begin()
        try:
            for part in parts:
                insert_rows(self.con, self._table, arrow_table(part))
            self.con.execute("INSERT INTO done VALUES (?)", [unit])
            self.con.commit()
            self.done.add(unit)
        except BaseException:
            self.con.rollback()
            raise


@contextmanager
def open_units(path: Path, request: str, table: str) -> Iterator[Units]:
    """Yield the units of a table at `path` (step 1); StoreError when the disk is full or fails."""
    try:
        if not _has_request(path, request, table):
            remove_units(path)
            _create(path, request, table)
        with _open(path) as con:
            yield Units(con, table)
    except DISK_ERRORS as error:
        raise StoreError(
            f"could not write {path}: {first_line(error)}; finished units are kept, "
            "and the same command resumes from them"
        ) from error


def remove_units(path: Path) -> None:
    """Remove the file and its write-ahead log (step 3)."""
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".wal").unlink(missing_ok=True)


def _has_request(path: Path, request: str, table: str) -> bool:
    """Return whether the file can be read and has this request."""
    try:
        with _open(path) as con:
            con.execute(f"SELECT count(hash(t)) FROM {table} AS t").fetchall()  # raises if damaged
            return con.execute("SELECT what FROM request").fetchall() == [(request,)]
    except duckdb.Error:
        return False


def _create(path: Path, request: str, table: str) -> None:
    with _open(path) as con:
        con.begin()
        for name in ("_types", table):
            run_script(con, sql_dir() / "schema" / "results" / f"{name}.sql")
        con.execute("CREATE TABLE done (unit INTEGER PRIMARY KEY)")
        con.execute("CREATE TABLE request AS SELECT ?::VARCHAR AS what", [request])
        con.commit()


def _open(path: Path) -> duckdb.DuckDBPyConnection:
    con = open_database(path, memory_limit=MEMORY)
    con.execute("SET enable_progress_bar = false")
    return con
