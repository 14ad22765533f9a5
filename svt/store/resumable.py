"""Finished units of a long stage, kept over a kill.

1. The file tells what was asked for. One that was asked for something else, or that cannot be
   read, is thrown away.
2. A unit's rows and its number are added in one transaction: a unit is there whole or not.
3. Who has taken all rows over removes the file.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from svt.db.connect import register_tables
from svt.db.files import database
from svt.errors import StoreError
from svt.paths import sql_dir
from svt.store.writer import DISK_ERRORS, MEMORY, arrow_table
from svt.system.text import first_line


class Units:
    """The finished units of one stage; made by `open_units`. `done` holds their numbers."""

    def __init__(self, con: duckdb.DuckDBPyConnection, table: str) -> None:
        self.con, self._table = con, table
        self.done = frozenset(n for (n,) in con.execute("SELECT unit FROM done").fetchall())

    def add(self, unit: int, parts: Iterable[Mapping[str, Any]]) -> None:
        """Step 2; `parts` are columns of the table, each of equal length."""
        self.con.begin()
        try:
            for part in parts:
                with register_tables(self.con, part=arrow_table(part)):
                    self.con.execute(f"INSERT INTO {self._table} BY NAME SELECT * FROM part")
            self.con.execute("INSERT INTO done VALUES (?)", [unit])
            self.con.commit()
        except BaseException:
            self.con.rollback()
            raise

    @property
    def n_kept(self) -> int:
        """The units that are there now, those of this process among them."""
        return len(self.con.execute("SELECT unit FROM done").fetchall())


@contextmanager
def open_units(path: Path, asked_for: str, table: str) -> Iterator[Units]:
    """Yield the units of a results table at `path`; discard those of another request (step 1)."""
    try:
        if not _was_asked_for(path, asked_for, table):
            remove(path)
            _create(path, asked_for, table)
        con = _open(path)
        try:
            yield Units(con, table)
        finally:
            con.close()
    except DISK_ERRORS as error:
        raise StoreError(
            f"could not write {path}: {first_line(error)}; what was finished is kept, "
            "the same command goes on from there"
        ) from error


def remove(path: Path) -> None:
    """Remove the file and its write-ahead log (step 3)."""
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".wal").unlink(missing_ok=True)


def _was_asked_for(path: Path, asked_for: str, table: str) -> bool:
    try:
        with _open(path) as con:
            con.execute(f"SELECT count(hash(held)) FROM {table} AS held").fetchall()  # is it whole?
            return con.execute("SELECT what FROM asked_for").fetchall() == [(asked_for,)]
    except duckdb.Error:
        return False


def _create(path: Path, asked_for: str, table: str) -> None:
    with _open(path) as con:
        con.begin()
        for name in ("_types", table):
            file = sql_dir() / "schema" / "results" / f"{name}.sql"
            con.execute(file.read_text(encoding="utf-8"))
        con.execute("CREATE TABLE done (unit INTEGER PRIMARY KEY)")
        con.execute("CREATE TABLE asked_for AS SELECT ?::VARCHAR AS what", [asked_for])
        con.commit()


def _open(path: Path) -> duckdb.DuckDBPyConnection:
    con = database(path, memory_limit=MEMORY)
    con.execute("SET enable_progress_bar = false")
    return con
