"""Open a target of `svt-sql`: a run folder with its stores, a sweep folder or stores.

1. A folder is opened as its results.duckdb or sweep.duckdb; the tables of a file determine its
   kind; a pattern, or names separated by commas, select stores.
2. Results name their store in the table `run`. It is attached when it exists and is the only one. A
   store of another schema, or with another identity than the results name, is refused.
3. A second target is attached as the catalogs `other_results` and `other_store`.
4. Everything is read-only, and external access is disabled unless the caller allows it.
5. Memory is limited to MOST_BYTES and to half of the machine's; beyond that DuckDB sorts on disk,
   in the folder for temporary files.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from svt.db.attach import attach_file, attach_stores
from svt.db.catalog import list_tables, quote_path
from svt.db.connect import connect
from svt.db.files import check_file, disable_external_access, explain_unreadable, open_database
from svt.db.stores import Stores
from svt.db.trusted import check_code
from svt.errors import StoreError
from svt.system.memory import read_limits

MOST_BYTES = 4 * 10**9
_IN_FOLDER = ("results.duckdb", "sweep.duckdb")


@contextmanager
def open_target(
    target: Path, unsafe: bool = False, other: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a read-only connection to a run, a sweep or a store; StoreError when it is none.

    `unsafe` allows statements to read other files and addresses. `other` is a second target.
    """
    con = connect(*resolve_target(target), stay_open=True)
    with con:
        if other is not None:
            stores, results = resolve_target(other)
            if results is not None:
                attach_file(con, "other_results", results)  # 3
            if stores is not None:
                attach_stores(con, "other_store", stores.paths)
        most = min(MOST_BYTES, read_limits().total // 2)
        con.execute(f"SET memory_limit = '{most} B'")  # 5
        con.execute("SET temp_directory = ?", [str(Path(tempfile.gettempdir()) / "svt-sql")])
        if unsafe:
            con.execute("SET lock_configuration = true")
        else:
            disable_external_access(con)  # 4
        yield con


def resolve_target(target: Path) -> tuple[Stores | None, Path | None]:
    """Return the stores and the results of a target, None where it has none (steps 1 and 2)."""
    stores = Stores.expand(target)
    if stores is not None:
        return stores, None
    file = _find_file(target)
    check_file(file, "store or results file")
    with open_database() as con:
        try:
            con.execute(f"ATTACH '{quote_path(file)}' AS target (READ_ONLY)")
        except duckdb.Error as error:
            raise explain_unreadable(file, "store or results file", error) from error
        names = list_tables(con, "target")
        if "run" in names and "dump" not in names:
            check_code(con, "target", file, "results")
            return _find_stores(con, file), file
    if "dump" not in names:
        raise StoreError(
            f"{file} is neither a store nor results of svt: it has no dump or run table"
        )
    return Stores.of(file), None


def _find_file(target: Path) -> Path:
    if target.is_file():
        return target
    for name in _IN_FOLDER:
        if (target / name).is_file():
            return target / name
    kind = "holds no results.duckdb or sweep.duckdb" if target.is_dir() else "does not exist"
    raise StoreError(f"{target} {kind}; give a run folder, a sweep folder or stores")


def _find_stores(con: duckdb.DuckDBPyConnection, results: Path) -> Stores | None:
    """Return the stores that results name, None when they are missing or differ (step 2).

    Results of an imported circuit have stores without paths.
    """
    columns = {name for (name, *_) in con.execute("DESCRIBE target.run").fetchall()}
    if "store_path" not in columns:
        return None
    named = con.execute("SELECT DISTINCT store_path, store_identity FROM target.run").fetchall()
    if [path for path, _ in named] == [None] and "job" not in columns:
        return Stores(())
    texts = {path for path, _ in named if path is not None}
    if len(texts) != 1:
        return None
    stores = Stores.from_text(texts.pop())
    if stores.missing:
        return None
    if {identity for path, identity in named if path is not None} != {stores.identity}:
        raise StoreError(
            f"{results}: {stores} is no longer the store it was made from; repeat the run"
        )
    return stores
