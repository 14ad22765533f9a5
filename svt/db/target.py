"""What `svt-sql` opens: a run folder, a sweep folder or stores, with its stores beside a run.

1. A folder stands for its results.duckdb or sweep.duckdb; a file is told by its tables; a pattern
   or several names with commas are stores.
2. Results name their store in the table `run`; it is attached when it is there and is the only one.
   A store of another schema, or another one than the results were made from, is refused.
3. Another target is opened beside it as the catalogs `other_results` and `other_store`.
4. Everything is read-only, and afterwards the connection opens no other file or address, unless
   that is asked for.
5. A question takes MOST_BYTES of memory at most, and half of what there is; beyond that DuckDB
   sorts on the disk, in the folder for temporary files.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from svt.db.attach import attach_file, attach_stores
from svt.db.catalog import quoted, tables
from svt.db.connect import connect
from svt.db.files import check_file, database, shut, unreadable
from svt.db.stores import Stores
from svt.db.trusted import check_code
from svt.errors import StoreError
from svt.system.memory import limits

MOST_BYTES = 4 * 10**9
_IN_FOLDER = ("results.duckdb", "sweep.duckdb")


@contextmanager
def open_target(
    target: Path, unsafe: bool = False, other: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to a run, a sweep or a store; StoreError when it is none of them.

    With `unsafe`, statements may read other files and addresses. `other` is a second target.
    """
    con = connect(*files_of(target), stay_open=True)
    with con:
        if other is not None:
            stores, results = files_of(other)
            if results is not None:
                attach_file(con, "other_results", results)  # 3
            if stores is not None:
                attach_stores(con, "other_store", stores.paths)
        most = min(MOST_BYTES, limits().total // 2)
        con.execute(f"SET memory_limit = '{most} B'")  # 5
        con.execute("SET temp_directory = ?", [str(Path(tempfile.gettempdir()) / "svt-sql")])
        if unsafe:
            con.execute("SET lock_configuration = true")
        else:
            shut(con)  # 4
        yield con


def files_of(target: Path) -> tuple[Stores | None, Path | None]:
    """The stores and the results of a target (steps 1 and 2)."""
    stores = Stores.expand(target)
    if stores is not None:
        return stores, None
    file = _file(target)
    check_file(file, "store or results file")
    with database() as con:
        try:
            con.execute(f"ATTACH '{quoted(file)}' AS target (READ_ONLY)")
        except duckdb.Error as error:
            raise unreadable(file, "store or results file", error) from error
        names = tables(con, "target")
        if "run" in names and "dump" not in names:
            check_code(con, "target", file, "results")
            return _stores_of(con, file), file
    if "dump" not in names:
        raise StoreError(
            f"{file} is neither a store nor results of svt: it has no dump or run table"
        )
    return Stores.of(file), None


def _file(target: Path) -> Path:
    if target.is_file():
        return target
    for name in _IN_FOLDER:
        if (target / name).is_file():
            return target / name
    kind = "holds no results.duckdb or sweep.duckdb" if target.is_dir() else "does not exist"
    raise StoreError(f"{target} {kind}; give a run folder, a sweep folder or stores")


def _stores_of(con: duckdb.DuckDBPyConnection, results: Path) -> Stores | None:
    """Step 2; a store that is gone leaves the results to be asked alone.

    Results without a store, which were imported, have an empty one.
    """
    columns = {name for (name, *_) in con.execute("DESCRIBE target.run").fetchall()}
    if "store_path" not in columns:
        return None
    named = con.execute("SELECT DISTINCT store_path, store_identity FROM target.run").fetchall()
    if [path for path, _ in named] == [None] and "job" not in columns:
        return Stores(())
    told = {path for path, _ in named if path is not None}
    if len(told) != 1:
        return None
    stores = Stores.from_text(told.pop())
    if stores.missing:
        return None
    if {identity for path, identity in named if path is not None} != {stores.identity}:
        raise StoreError(
            f"{results}: {stores} is not the store it was made from any more; repeat the run"
        )
    return stores
