"""One catalog over any number of stores.

1. One store is attached as it is: a file, or the folder of an exported one (svt/db/parquet.py).
2. Without a store the catalog has the tables of sql/schema/store, all empty.
3. Several are attached each under a name of its own (store_1, store_2, ...), if they go together
   (svt/db/union.py).
4. The catalog is then one of views: every table is those of all stores, one after the other. What
   is of the model is the same in all and stands there once, and so does a row dump made of theirs.
"""

import glob
import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from svt.db.catalog import create_tables, lending, quoted, tables
from svt.db.identity import check_schema
from svt.db.parquet import attach_folder, is_export
from svt.db.union import by_prompts, check_alike, identities, together, union_identity
from svt.errors import SvtError
from svt.paths import expanded

Stores = Path | Sequence[Path]

_ONCE = ("singular_values", "writers")  # what is of the model, not of prompts


def attach_stores(con: duckdb.DuckDBPyConnection, catalog: str, stores: Stores) -> None:
    """Attaches the stores, read-only, as the one catalog; SvtError when they do not go together."""
    paths = listed(stores)
    if len(paths) == 1:
        attach_store(con, catalog, paths[0])  # 1
        return
    con.execute(f"ATTACH ':memory:' AS {catalog}")
    if paths:
        _attach_union(con, catalog, paths)
    else:
        create_tables(con, catalog, "store")  # 2


def attach_store(con: duckdb.DuckDBPyConnection, catalog: str, path: Path) -> None:
    """Attaches one store, a file or the folder of an exported one."""
    if is_export(path):
        attach_folder(con, catalog, path)
    else:
        attach_file(con, catalog, path)


def attach_file(
    con: duckdb.DuckDBPyConnection, catalog: str, path: Path, writable: bool = False
) -> None:
    """Attaches one file, a store or results; SvtError when it is not there or is no database."""
    kind = "results" if "results" in catalog else "store"
    if not writable and not path.is_file():
        raise SvtError(f"{path}: no such {kind} file; give an existing run folder or store")
    try:
        con.execute(f"ATTACH '{quoted(path)}' AS {catalog}{'' if writable else ' (READ_ONLY)'}")
    except duckdb.Error as error:
        if writable:  # a full disk, which who writes tells
            raise
        raise SvtError(
            f"{path} is not a {kind} that svt can read ({str(error).splitlines()[0]}); is another "
            "process writing it? If not, move it away and make it anew"
        ) from error


def dump_row(con: duckdb.DuckDBPyConnection, catalog: str, path: Path) -> dict[str, Any]:
    """The row dump of an attached store; SvtError when it is no whole store of this version."""
    try:
        rows = con.sql(f"SELECT * FROM {catalog}.dump").pl().to_dicts()
    except duckdb.Error as error:
        raise SvtError(
            f"{path} is not a store that svt can read ({str(error).splitlines()[0]}); "
            "move it away and dump again"
        ) from error
    if not rows:
        raise SvtError(
            f"{path} is not a whole store (its table dump is empty); move it away and dump again"
        )
    row: dict[str, Any] = rows[0]
    check_schema(path, row["svt_version"], row["schema_version"])
    return row


def read_identity(stores: Stores) -> str:
    """The identity that stores say they have; SvtError when one is no store of this version."""
    rows = [_dump_row(path) for path in listed(stores)]
    if len(rows) == 1:
        return str(rows[0]["identity"])
    return union_identity(list(chain.from_iterable(map(identities, rows))))


def _dump_row(path: Path) -> Mapping[str, Any]:
    with duckdb.connect() as con:
        attach_store(con, "store", path)
        return dump_row(con, "store", path)


def several(given: object) -> tuple[Path, ...] | None:
    """The stores that a list of names, a pattern or the folder of an exported store stands for.

    Null for the name of one file, and for what is no name.

    Patterns are those of a shell, names and patterns may stand together with commas between.
    SvtError for a pattern that no file fits.
    """
    if isinstance(given, list | tuple) and given and all(isinstance(name, str) for name in given):
        return tuple(chain.from_iterable(_fitting(expanded(name)) for name in given))
    if not isinstance(given, str | Path):
        return None
    path = expanded(given)
    if is_export(path):
        return (path,)
    if path.exists() or not set(str(path)) & set("*?[,"):
        return None
    return several(str(path).split(","))


def _fitting(path: Path) -> Sequence[Path]:
    if path.exists() or not set(str(path)) & set("*?["):
        return [path]
    fitting = [Path(name) for name in sorted(glob.glob(str(path)))]  # noqa: PTH207
    if not fitting:
        raise SvtError(f"{path}: no store has a name like this")
    return fitting


def as_text(stores: Stores) -> str:
    """Whole paths as they stand in results: one as it is, several as a JSON list."""
    paths = [str(path.resolve()) for path in listed(stores)]
    return paths[0] if len(paths) == 1 else json.dumps(paths)


def from_text(text: str) -> tuple[Path, ...]:
    """The paths that `as_text` wrote."""
    return tuple(map(Path, json.loads(text))) if text.startswith("[") else (Path(text),)


def in_words(stores: Stores) -> str:
    paths = listed(stores)
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0]}{more}"


def listed(stores: Stores) -> tuple[Path, ...]:
    return (stores,) if isinstance(stores, Path) else tuple(dict.fromkeys(stores))


def _attach_union(con: duckdb.DuckDBPyConnection, catalog: str, paths: Sequence[Path]) -> None:
    given = {}
    for number, path in enumerate(paths, 1):  # 3
        name = f"{catalog}_{number}"
        attach_store(con, name, path)
        given[name] = path
    rows = {name: dump_row(con, name, path) for name, path in given.items()}
    first, *others = given
    for name in others:
        check_alike(given[first], rows[first], given[name], rows[name])
    names = by_prompts(con, given)
    for table in sorted(tables(con, first) - {"dump"}):  # 4
        parts = names[:1] if table in _ONCE else names
        every = " UNION ALL ".join(f"FROM {name}.{table}" for name in parts)
        con.execute(f"CREATE VIEW {catalog}.{table} AS {every}")
    row = together([rows[name] for name in names])
    with lending(con, row=pa.Table.from_pylist([row])):
        con.execute(f"CREATE TABLE {catalog}.dump AS FROM {names[0]}.dump LIMIT 0")
        con.execute(f"INSERT INTO {catalog}.dump BY NAME SELECT * FROM row")
