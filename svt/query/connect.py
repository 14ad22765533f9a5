"""One connection that sees a store and a run's results.

1. The files are attached as the catalogs `store` (read-only) and `results`.
2. Bare names search `results` first, then `store`.
3. The macros of sql/macros become temporary, so nothing is written into either file.
4. A name is a table or nothing: a Python variable of that name is not looked at.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa

from svt.errors import SvtError
from svt.paths import sql_dir


def connect(
    store: Path | None, results: Path | None = None, results_writable: bool = False
) -> duckdb.DuckDBPyConnection:
    """An in-memory connection with the files attached; SvtError when one cannot be opened."""
    con = duckdb.connect(config={"python_enable_replacements": "false"})  # 4
    try:
        for catalog, path in (("results", results), ("store", store)):
            if path is not None:
                writable = catalog == "results" and results_writable
                _attach(con, catalog, path, writable)  # 1
        search(con)  # 2
        load_macros(con)  # 3
    except BaseException:
        con.close()
        raise
    return con


def search(con: duckdb.DuckDBPyConnection) -> None:
    """Step 2, for whichever of the two catalogs are attached."""
    attached = [name for name in ("results", "store") if name in _catalogs(con)]
    con.execute("SET search_path = ?", [",".join(attached)])


def load_macros(con: duckdb.DuckDBPyConnection) -> None:
    """Step 3; without a store there is nothing that they could read."""
    if has_table(con, "store", "pairs"):
        for file in sorted((sql_dir() / "macros").glob("*.sql")):
            con.execute(file.read_text(encoding="utf-8"))


def create_tables(
    con: duckdb.DuckDBPyConnection, catalog: str, kind: Literal["store", "results"]
) -> None:
    """Creates the types and tables of sql/schema/<kind> in an attached, writable catalog."""
    with using(con, catalog):
        for file in sorted((sql_dir() / "schema" / kind).glob("*.sql")):  # _types.sql comes first
            con.execute(file.read_text(encoding="utf-8"))


@contextmanager
def using(con: duckdb.DuckDBPyConnection, catalog: str) -> Iterator[None]:
    """Bare names mean `catalog` inside the block, and what they meant before after it."""
    ((before,),) = con.execute("SELECT current_setting('search_path')").fetchall()
    con.execute("SET search_path = ?", [catalog])
    try:
        yield
    finally:
        con.execute("SET search_path = ?", [before])


@contextmanager
def lending(con: duckdb.DuckDBPyConnection, **tables: pa.Table) -> Iterator[None]:
    """Inside the block, statements read Arrow tables by these names."""
    for name, table in tables.items():
        con.register(name, table)
    try:
        yield
    finally:
        for name in tables:
            con.unregister(name)


def quoted(path: Path) -> str:
    """A path as it stands between single quotes in ATTACH, which takes no parameters."""
    return str(path).replace("'", "''")


def has_table(con: duckdb.DuckDBPyConnection, catalog: str, table: str) -> bool:
    found = con.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND table_name = ?",
        [catalog, table],
    )
    return bool(found.fetchall())


def _catalogs(con: duckdb.DuckDBPyConnection) -> set[str]:
    return {
        name for (name,) in con.execute("SELECT database_name FROM duckdb_databases()").fetchall()
    }


def _attach(con: duckdb.DuckDBPyConnection, catalog: str, path: Path, writable: bool) -> None:
    if not writable and not path.is_file():
        raise SvtError(f"{path}: no such {catalog} file; give an existing run folder or store")
    try:
        con.execute(f"ATTACH '{quoted(path)}' AS {catalog}{'' if writable else ' (READ_ONLY)'}")
    except duckdb.Error as error:
        raise SvtError(
            f"{path}: cannot be opened as DuckDB ({str(error).splitlines()[0]}); "
            "is another process writing it, or is it another kind of file?"
        ) from error
