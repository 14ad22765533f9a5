"""Writing a store: columns in, one immutable file out.

1. The tables of sql/schema/store are created in a file beside the store's name, and with them the
   schema `unfinished`: what was asked for, and which batches are in. A file that was left by a
   process that died, and was asked for the same, is gone on with; any other is thrown away.
2. Every batch goes in as Arrow columns, sorted as compute made them, in one transaction: it is
   there whole or not at all.
3. The checks of sql/checks must return no row; then `unfinished` goes and the file is renamed into
   place.

A process that dies before the renaming leaves nothing under the store's name, and what it finished
is kept.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from svt.db.catalog import create_tables, quoted, register_tables
from svt.db.files import check_name, database
from svt.errors import StoreError, SvtError
from svt.store.checks import run_checks
from svt.system.text import first_line
from svt.words import COMPONENTS, SIDES

Columns = Mapping[str, Any]
# Of the database, which keeps what it wrote as long as it fits; beyond it the disk is used.
WRITING_MEMORY = "256MB"
ROW_GROUP = 16_384  # rows; what a commit leaves half full is written again by the next
MEMORY = "1GB"  # while it checks, and for other tables

# What a full or failing disk looks like: a file operation, a commit, or a database that gave up.
DISK_ERRORS = (
    OSError,
    duckdb.IOException,
    duckdb.TransactionException,
    duckdb.FatalException,
)

# Integer codes that compute writes, and the words they stand for.
_WORDS = {"side": SIDES, "component": COMPONENTS}


class StoreWriter:
    """Takes tables as columns of equal length; made by `writing`.

    `finished` are the numbers of the batches that are in, those of an earlier process too.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, finished: Iterable[int] = ()) -> None:
        self._con = con
        self._inside = False
        self.finished = set(finished)

    def append(self, table: str, columns: Columns) -> None:
        """Adds rows to `table`; columns that are not named are null."""
        arrow = arrow_table(columns)
        if arrow.num_rows:
            words = [_spelled_out(name) for name in columns if name in _WORDS]
            replaced = f"REPLACE ({', '.join(words)})" if words else ""
            with register_tables(self._con, batch=arrow):
                self._con.execute(
                    f"INSERT INTO store.{table} BY NAME SELECT * {replaced} FROM batch"
                )

    def append_all(self, batch: Mapping[str, Columns]) -> None:
        for table, columns in batch.items():
            self.append(table, columns)

    def append_part(self, part: Mapping[str, Columns]) -> None:
        """Adds a part of a batch; none of them is kept before `finish`."""
        if not self._inside:  # 2
            self._con.begin()
            self._inside = True
        self.append_all(part)

    def finish(self, number: int) -> None:
        """Keeps the parts that were added, as the batch of this number."""
        self.append_part({"unfinished.batches": {"number": [number]}})
        self._con.commit()
        self._inside = False
        self.finished.add(number)

    def answered(self) -> dict[str, Any]:
        """prompt_id, logit_diff, correct of every prompt that is in, by prompt_id."""
        return self._con.execute("FROM store.unfinished.answered ORDER BY prompt_id").fetchnumpy()

    @contextmanager
    def ending(self, *tables: str) -> Iterator[None]:
        """What is written last, all of it or nothing; a process may have died behind it before."""
        self._con.begin()
        for table in tables:
            self._con.execute(f"DELETE FROM store.{table}")
        yield
        self._con.commit()

    def worst(self, column: str, table: str) -> float | None:
        """The largest absolute value of a column, null without rows."""
        row = self._con.execute(f"SELECT max(abs({column})) FROM store.{table}").fetchall()[0]
        return row[0]

    def append_row(self, table: str, row: Mapping[str, Any]) -> None:
        """Adds one row; mappings and lists go in as JSON."""
        self.append(table, {name: [_plain(value)] for name, value in row.items()})


@contextmanager
def writing(path: Path, asked_for: str) -> Iterator[StoreWriter]:
    """A writer whose file appears at `path` when the block ends well and every check passes.

    `asked_for` tells what goes in and in which batches; those that were finished under the same
    words are there already.
    """
    partial = _partial(path)
    store = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        con = _opened(partial, asked_for)  # 1
        try:
            store = StoreWriter(con, _finished(con))
            yield store
            _check(con, store)  # 3
            con.execute("CHECKPOINT store")
            con.execute("DROP SCHEMA store.unfinished CASCADE")
            con.execute("CHECKPOINT store")
        finally:
            con.close()
        partial.replace(path)
    except DISK_ERRORS as error:
        raise _disk_error(path, error) from error
    finally:
        shutil.rmtree(_spill(partial), ignore_errors=True)
        if store is not None and not store.finished:
            _remove(partial)


def left_whole(path: Path, identity: str) -> bool:
    """Whether a process died between the end of step 3 and the renaming, which is then done."""
    partial = _partial(path)
    if not partial.exists():
        return False
    try:
        con = _attached(partial)
    except duckdb.Error:  # torn, so it is made anew
        return False
    with closing(con):
        if not _is_whole(con, identity):
            return False
        try:
            con.execute("CHECKPOINT store")
        except DISK_ERRORS as error:
            raise _disk_error(path, error) from error
    partial.replace(path)
    shutil.rmtree(_spill(partial), ignore_errors=True)
    return True


def unfinished_bytes(path: Path) -> int:
    """Return the size of the file that will become the store at `path`, with what is not merged."""
    partial = _partial(path)
    files = (partial, partial.with_name(partial.name + ".wal"))
    return sum(file.stat().st_size for file in files if file.is_file())


def _is_whole(con: duckdb.DuckDBPyConnection, identity: str) -> bool:
    """Whether a store has all that step 3 leaves: what it is known by, and nothing unfinished."""
    try:
        schemas = con.execute("SELECT schema_name FROM duckdb_schemas()").fetchall()
        dumped = con.execute("SELECT identity FROM store.dump").fetchall()
    except duckdb.Error:
        return False
    return ("unfinished",) not in schemas and dumped == [(identity,)]


def _opened(partial: Path, asked_for: str) -> duckdb.DuckDBPyConnection:
    """Return a connection to the unfinished store, resumed or made (step 1)."""
    if partial.exists():
        with suppress(duckdb.Error):  # left in the middle of its making, or torn: made anew
            con = _attached(partial)
            with ExitStack() as unless_returned:
                unless_returned.callback(con.close)
                if con.execute("FROM store.unfinished.asked_for").fetchall() == [(asked_for,)]:
                    unless_returned.pop_all()
                    return con
        _remove(partial)
    try:
        return _begun(partial, asked_for)
    except BaseException:
        _remove(partial)
        raise


def _begun(partial: Path, asked_for: str) -> duckdb.DuckDBPyConnection:
    con = _attached(partial)
    try:
        con.begin()
        create_tables(con, "store", "store")
        con.execute("CREATE SCHEMA store.unfinished")
        con.execute("CREATE TABLE store.unfinished.batches (number INTEGER PRIMARY KEY)")
        con.execute(
            "CREATE TABLE store.unfinished.answered "
            "(prompt_id INTEGER, logit_diff FLOAT, correct BOOLEAN)"
        )
        con.execute("CREATE TABLE store.unfinished.asked_for AS SELECT $1 AS what", [asked_for])
        con.commit()
    except BaseException:
        con.close()
        raise
    return con


def _attached(partial: Path) -> duckdb.DuckDBPyConnection:
    check_name(partial)
    con = database(memory_limit=WRITING_MEMORY, temp_directory=str(_spill(partial)))
    con.execute("SET enable_progress_bar = false")
    con.execute("SET threads = 1")  # torch has the others, and blocks come out fuller
    try:
        con.execute(f"ATTACH '{quoted(partial)}' AS store (ROW_GROUP_SIZE {ROW_GROUP})")
    except BaseException:
        con.close()
        raise
    return con


def _finished(con: duckdb.DuckDBPyConnection) -> list[int]:
    return [number for (number,) in con.execute("FROM store.unfinished.batches").fetchall()]


def _check(con: duckdb.DuckDBPyConnection, store: StoreWriter) -> None:
    """Step 3; of a store that is not sound nothing is kept."""
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
            f"what was written is damaged ({first_line(error)}) and was thrown away; "
            "repeat the command"
        ) from error


def _disk_error(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"could not write the store {path}: {first_line(error)}; what was finished is "
        "kept. Free some space and repeat the command, or choose another store.dir"
    )


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _spill(partial: Path) -> Path:
    return partial.with_name(partial.name + ".d")


def _remove(partial: Path) -> None:
    for file in (partial, partial.with_name(partial.name + ".wal")):
        with suppress(OSError):
            file.unlink()


def arrow_table(columns: Columns) -> pa.Table:
    """Columns of equal length as Arrow; masked entries and NaN are null."""
    return pa.table({name: _arrow(values) for name, values in columns.items()})


def _spelled_out(name: str) -> str:
    """The words of an enum column whose codes come in; as strings they would cost a cast a row."""
    words = (f"WHEN {code} THEN '{word}'::store.{name}" for code, word in enumerate(_WORDS[name]))
    return f"CASE {name} {' '.join(words)} END AS {name}"


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, Mapping | list | tuple) else value


def _arrow(values: Any) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if not isinstance(values, np.ndarray):
        return pa.array(values)
    missing = np.ma.getmaskarray(values)
    if values.dtype.kind == "f":
        missing = missing | np.isnan(np.ma.getdata(values))
    return pa.array(np.ma.getdata(values), mask=missing if missing.any() else None)
