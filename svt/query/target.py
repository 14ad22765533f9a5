"""What `svt-sql` opens: a run folder, a sweep folder, or one DuckDB file, with its store beside it.

1. A folder stands for its results.duckdb or sweep.duckdb; a file is told by its tables.
2. Results name their store in the table `run`; it is attached when it is there and is the only one.
   A store of another schema, or another one than the results were made from, is refused.
3. Everything is read-only, and afterwards the connection opens no other file or address.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from svt.errors import SvtError
from svt.query.connect import connect
from svt.store.find import read_identity

_IN_FOLDER = ("results.duckdb", "sweep.duckdb")


@contextmanager
def open_target(target: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to a run, a sweep or a store; SvtError when it is none of them."""
    file = _file(target)  # 1
    tables = _tables(file)
    if "dump" in tables:
        read_identity(file)
        con = connect(store=file)
    elif "run" in tables:
        con = connect(store=_store_of(file), results=file)
    else:
        raise SvtError(f"{file} is neither a store nor results of svt: it has no dump or run table")
    with con:
        con.execute("SET enable_external_access = false")  # 3
        yield con


def _file(target: Path) -> Path:
    if target.is_file():
        return target
    for name in _IN_FOLDER:
        if (target / name).is_file():
            return target / name
    kind = "holds no results.duckdb or sweep.duckdb" if target.is_dir() else "does not exist"
    raise SvtError(f"{target} {kind}; give a run folder, a sweep folder or a store")


def _tables(file: Path) -> set[str]:
    try:
        with duckdb.connect(str(file), read_only=True) as con:
            return {name for (name,) in con.execute("SHOW TABLES").fetchall()}
    except duckdb.Error as error:
        raise SvtError(
            f"{file} cannot be opened ({str(error).splitlines()[0]}); "
            "is another process writing it, or is it another kind of file?"
        ) from error


def _store_of(results: Path) -> Path | None:
    """Step 2; a store that is gone leaves the results to be asked alone."""
    with duckdb.connect(str(results), read_only=True) as con:
        columns = {name for (name, *_) in con.execute("DESCRIBE run").fetchall()}
        if "store_path" not in columns:
            return None
        stores = con.execute(
            "SELECT store_path, list(DISTINCT store_identity) FROM run "
            "WHERE store_path IS NOT NULL GROUP BY store_path"
        ).fetchall()
    if len(stores) != 1:
        return None
    ((name, identities),) = stores
    path = Path(name)
    if not path.is_file():
        return None
    if identities != [read_identity(path)]:
        raise SvtError(
            f"{results}: {path} is not the store it was made from any more; make the run anew"
        )
    return path
