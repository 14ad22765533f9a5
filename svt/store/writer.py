"""Write a store: columns are appended, and the complete file becomes immutable.

1. A temporary file beside the store gets the tables of sql/schema/store and the schema
   `unfinished`: a description of the request, and the numbers of the finished batches. The file of
   a killed process is resumed if its request is the same, and deleted otherwise.
2. Each batch is appended as Arrow columns, in the order of compute, in one transaction.
3. The checks of sql/checks must return no row. Then `unfinished` is dropped and the file renamed.

A process that is killed before the renaming leaves no file under the store's name, and its finished
batches are kept.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from svt.db.catalog import create_tables, quote_path, register_tables
from svt.db.files import check_name, open_database
from svt.errors import StoreError, SvtError
from svt.store.checks import run_checks
from svt.system.text import first_line
from svt.words import COMPONENTS, SIDES

Columns = Mapping[str, Any]
WRITING_MEMORY = "256MB"
"""Memory limit of the database while batches are written; beyond it, it uses the disk."""
ROW_GROUP = 16_384
"""Rows per row group; a commit rewrites an incomplete one."""
MEMORY = "1GB"
"""Memory limit of the database during checks, and for units (svt/store/resumable.py)."""

# Errors of a full or failing disk: of a file operation, a commit, or an invalidated database.
DISK_ERRORS = (
    OSError,
    duckdb.IOException,
    duckdb.TransactionException,
    duckdb.FatalException,
)

_WORDS = {"side": SIDES, "component": COMPONENTS}
"""The words of columns that compute writes as integer codes."""


class StoreWriter:
    """A writer of rows as columns of equal length, from `open_writer`.

    `finished` has the numbers of the finished batches, including those of an earlier process.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, finished: Iterable[int] = ()) -> None:
        self._con = con
        self._in_batch = False
        self.finished = set(finished)

    def append(self, table: str, columns: Columns) -> None:
        """Append rows to `table`; columns that are not named are null."""
        arrow = arrow_table(columns)
        if arrow.num_rows:
            words = [_decode_words(name) for name in columns if name in _WORDS]
            replaced = f"REPLACE ({', '.join(words)})" if words else ""
            with register_tables(self._con, batch=arrow):
                self._con.execute(
                    f"INSERT INTO store.{table} BY NAME SELECT * {replaced} FROM batch"
                )

    def append_all(self, batch: Mapping[str, Columns]) -> None:
        """Append rows to each table in the batch."""
        for table, columns in batch.items():
            self.append(table, columns)

    def append_part(self, part: Mapping[str, Columns]) -> None:
        """Append a part of a batch; `commit_batch` commits all parts together (step 2)."""
        if not self._in_batch:
            self._con.begin()
            self._in_batch = True
        self.append_all(part)

    def commit_batch(self, number: int) -> None:
        """Commit the appended parts as the batch with this number."""
        self.append_part({"unfinished.batches": {"number": [number]}})
        self._con.commit()
        self._in_batch = False
        self.finished.add(number)

    def fetch_answers(self) -> dict[str, Any]:
        """Return prompt_id, logit_diff and correct of the finished prompts, by prompt_id."""
        return self._con.execute("FROM store.unfinished.answered ORDER BY prompt_id").fetchnumpy()

    @contextmanager
    def replace_tables(self, *tables: str) -> Iterator[None]:
        """Replace the rows of tables in one transaction; a killed process may have left rows."""
        self._con.begin()
        for table in tables:
            self._con.execute(f"DELETE FROM store.{table}")
        yield
        self._con.commit()

    def max_abs(self, column: str, table: str) -> float | None:
        """Return the largest absolute value of a column, None without rows."""
        ((value,),) = self._con.execute(f"SELECT max(abs({column})) FROM store.{table}").fetchall()
        return value

    def append_row(self, table: str, row: Mapping[str, Any]) -> None:
        """Append one row; mappings and sequences are stored as JSON."""
        self.append(table, {name: [_encode_json(value)] for name, value in row.items()})


@contextmanager
def open_writer(path: Path, request: str) -> Iterator[StoreWriter]:
    """Yield a writer; move its file to `path` when the block succeeds and every check passes.

    `request` describes the content and the batches; the batches that were finished under the same
    request are kept. StoreError when the disk is full or fails, or a check fails.
    """
    partial = _partial_path(path)
    store = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _open(partial, request) as con:  # 1
            finished = con.execute("FROM store.unfinished.batches").fetchall()
            store = StoreWriter(con, (number for (number,) in finished))
            yield store
            _check(con, store)  # 3
            con.execute("CHECKPOINT store")
            con.execute("DROP SCHEMA store.unfinished CASCADE")
            con.execute("CHECKPOINT store")
        partial.replace(path)
    except DISK_ERRORS as error:
        raise _disk_error(path, error) from error
    finally:
        shutil.rmtree(_spill_folder(partial), ignore_errors=True)
        if store is not None and not store.finished:
            _remove(partial)


def finish_renaming(path: Path, identity: str) -> bool:
    """Rename a file that a process completed before it was killed; return whether there was one."""
    partial = _partial_path(path)
    if not partial.exists():
        return False
    try:
        con = _attach(partial)
    except duckdb.Error:  # damaged; open_writer replaces it
        return False
    with con:
        if not _is_complete(con, identity):
            return False
        try:
            con.execute("CHECKPOINT store")
        except DISK_ERRORS as error:
            raise _disk_error(path, error) from error
    partial.replace(path)
    shutil.rmtree(_spill_folder(partial), ignore_errors=True)
    return True


def unfinished_bytes(path: Path) -> int:
    """Return the bytes of the unfinished file of `path` and of its write-ahead log."""
    files = _with_log(_partial_path(path))
    return sum(file.stat().st_size for file in files if file.is_file())


def _is_complete(con: duckdb.DuckDBPyConnection, identity: str) -> bool:
    """Return whether a store has this identity and no schema `unfinished` (step 3)."""
    try:
        schemas = con.execute("SELECT schema_name FROM duckdb_schemas()").fetchall()
        dumped = con.execute("SELECT identity FROM store.dump").fetchall()
    except duckdb.Error:
        return False
    return ("unfinished",) not in schemas and dumped == [(identity,)]


def _open(partial: Path, request: str) -> duckdb.DuckDBPyConnection:
    """Return a connection to the unfinished store, resumed or new (step 1)."""
    if partial.exists():
        with suppress(duckdb.Error):  # incomplete or damaged; replaced below
            con = _attach(partial)
            with ExitStack() as unless_returned:
                unless_returned.callback(con.close)
                if con.execute("FROM store.unfinished.request").fetchall() == [(request,)]:
                    unless_returned.pop_all()
                    return con
        _remove(partial)
    try:
        return _create(partial, request)
    except BaseException:
        _remove(partial)
        raise


def _create(partial: Path, request: str) -> duckdb.DuckDBPyConnection:
    con = _attach(partial)
    try:
        con.begin()
        create_tables(con, "store", "store")
        con.execute("CREATE SCHEMA store.unfinished")
        con.execute("CREATE TABLE store.unfinished.batches (number INTEGER PRIMARY KEY)")
        con.execute(
            "CREATE TABLE store.unfinished.answered "
            "(prompt_id INTEGER, logit_diff FLOAT, correct BOOLEAN)"
        )
        con.execute("CREATE TABLE store.unfinished.request AS SELECT $1 AS what", [request])
        con.commit()
    except BaseException:
        con.close()
        raise
    return con


def _attach(partial: Path) -> duckdb.DuckDBPyConnection:
    check_name(partial)
    con = open_database(memory_limit=WRITING_MEMORY, temp_directory=str(_spill_folder(partial)))
    con.execute("SET enable_progress_bar = false")
    con.execute("SET threads = 1")  # torch uses the others, and blocks are fuller
    try:
        con.execute(f"ATTACH '{quote_path(partial)}' AS store (ROW_GROUP_SIZE {ROW_GROUP})")
    except BaseException:
        con.close()
        raise
    return con


def _check(con: duckdb.DuckDBPyConnection, store: StoreWriter) -> None:
    """Run the checks (step 3); StoreError when one fails, and then no batch counts as finished."""
    con.execute("RESET threads")
    con.execute(f"SET memory_limit = '{MEMORY}'")
    try:
        run_checks(con)
    except SvtError:
        store.finished.clear()
        raise
    except DISK_ERRORS:
        raise
    except duckdb.Error as error:
        store.finished.clear()
        raise StoreError(
            f"the unfinished store is damaged ({first_line(error)}) and was deleted; "
            "repeat the command"
        ) from error


def _disk_error(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"could not write the store {path}: {first_line(error)}; finished batches are "
        "kept. Free some space and repeat the command, or choose another store.dir"
    )


def _partial_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _spill_folder(partial: Path) -> Path:
    return partial.with_name(partial.name + ".d")


def _with_log(partial: Path) -> tuple[Path, Path]:
    """Return the file and its write-ahead log."""
    return partial, partial.with_name(partial.name + ".wal")


def _remove(partial: Path) -> None:
    for file in _with_log(partial):
        with suppress(OSError):
            file.unlink()


def arrow_table(columns: Columns) -> pa.Table:
    """Return columns of equal length as an Arrow table; masked entries and NaN are null."""
    return pa.table({name: _arrow_array(values) for name, values in columns.items()})


def _decode_words(name: str) -> str:
    """Return SQL that maps the codes of a column to its words, without a cast of each row."""
    words = (f"WHEN {code} THEN '{word}'::store.{name}" for code, word in enumerate(_WORDS[name]))
    return f"CASE {name} {' '.join(words)} END AS {name}"


def _encode_json(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, Mapping | list | tuple) else value


def _arrow_array(values: Any) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if not isinstance(values, np.ndarray):
        return pa.array(values)
    missing = np.ma.getmaskarray(values)
    if values.dtype.kind == "f":
        missing = missing | np.isnan(np.ma.getdata(values))
    return pa.array(np.ma.getdata(values), mask=missing if missing.any() else None)
