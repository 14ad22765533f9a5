"""What `svt-sql` opens: a run folder, a sweep folder or stores, with its stores beside a run.

1. A folder stands for its results.duckdb or sweep.duckdb; a file is told by its tables; a pattern
   or several names with commas are stores.
2. Results name their store in the table `run`; it is attached when it is there and is the only one.
   A store of another schema, or another one than the results were made from, is refused.
3. Another target is opened beside it as the catalogs `other_results` and `other_store`.
4. Everything is read-only, and afterwards the connection opens no other file or address, unless
   that is asked for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from svt.db.attach import attach_file, attach_stores
from svt.db.connect import connect
from svt.db.stores import Stores
from svt.errors import SvtError

_IN_FOLDER = ("results.duckdb", "sweep.duckdb")


@contextmanager
def open_target(
    target: Path, unsafe: bool = False, other: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to a run, a sweep or a store; SvtError when it is none of them.

    With `unsafe`, statements may read other files and addresses. `other` is a second target.
    """
    con = connect(*files_of(target))
    with con:
        if other is not None:
            stores, results = files_of(other)
            if results is not None:
                attach_file(con, "other_results", results)  # 3
            if stores is not None:
                attach_stores(con, "other_store", stores.paths)
        if not unsafe:
            con.execute("SET enable_external_access = false")  # 4
        con.execute("SET lock_configuration = true")  # logging and profiling write files, too
        yield con


def files_of(target: Path) -> tuple[Stores | None, Path | None]:
    """The stores and the results of a target (steps 1 and 2)."""
    stores = Stores.expand(target)
    if stores is not None:
        stores.dump  # noqa: B018
        return stores, None
    file = _file(target)
    with _opened(file) as con:
        tables = {name for (name,) in con.execute("SHOW TABLES").fetchall()}
        if "run" in tables and "dump" not in tables:
            return _stores_of(con, file), file
    if "dump" not in tables:
        raise SvtError(f"{file} is neither a store nor results of svt: it has no dump or run table")
    stores = Stores.of(file)
    stores.dump  # noqa: B018
    return stores, None


def _file(target: Path) -> Path:
    if target.is_file():
        return target
    for name in _IN_FOLDER:
        if (target / name).is_file():
            return target / name
    kind = "holds no results.duckdb or sweep.duckdb" if target.is_dir() else "does not exist"
    raise SvtError(f"{target} {kind}; give a run folder, a sweep folder or stores")


@contextmanager
def _opened(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        with duckdb.connect(str(file), read_only=True) as con:
            yield con
    except duckdb.Error as error:
        raise SvtError(
            f"{file} cannot be opened ({str(error).splitlines()[0]}); "
            "is another process writing it, or is it another kind of file?"
        ) from error


def _stores_of(con: duckdb.DuckDBPyConnection, results: Path) -> Stores | None:
    """Step 2; a store that is gone leaves the results to be asked alone.

    Results without a store, which were imported, have an empty one.
    """
    columns = {name for (name, *_) in con.execute("DESCRIBE run").fetchall()}
    if "store_path" not in columns:
        return None
    named = con.execute("SELECT DISTINCT store_path, store_identity FROM run").fetchall()
    if [path for path, _ in named] == [None] and "job" not in columns:
        return Stores(())
    told = {path for path, _ in named if path is not None}
    if len(told) != 1:
        return None
    stores = Stores.from_text(told.pop())
    if stores.missing:
        return None
    if {identity for path, identity in named if path is not None} != {stores.identity}:
        raise SvtError(
            f"{results}: {stores} is not the store it was made from any more; make the run anew"
        )
    return stores
