"""A store, or a run's results, as Parquet files for other programs.

1. Tables of some size are folders split by layer, TABLE/layer=3/*.parquet, written some prompts at
   a time; all others, and empty ones, are one file, TABLE.parquet. Compressed with zstd.
2. README.md beside them tells how to read them (svt/store/export_readme.py), counts.json how
   many rows each has. Lists stay lists; the long views of a store are not written.
3. All is written aside and renamed when it is whole. A folder that holds anything is left alone.

A store opens from that folder again, for `svt-sql` and as `store.path` (svt/db/parquet.py).
"""

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from svt.db.catalog import quoted, tables, view_names
from svt.db.connect import connect
from svt.db.damage import check_damage
from svt.db.parquet import COUNTS
from svt.db.stores import Stores
from svt.db.target import files_of
from svt.errors import StoreError
from svt.store.export_readme import readme
from svt.store.writer import DISK_ERRORS
from svt.system.progress import Progress
from svt.system.text import first_line

LISTS = ("pair_slices", "pair_upstream")
BY_LAYER = ("coordinates", "pairs", "sides", *LISTS)
README = "README.md"

_ROWS = 20_000_000  # of a table at a time
_LIST_ROWS = 200_000  # of a table of lists


def export(target: Path, folder: Path) -> None:
    """Writes the tables of `target` below `folder`; StoreError when that cannot be done."""
    stores, results = files_of(target)
    with new_folder(folder) as temporary:
        try:
            rows = _write(stores, results, temporary)
        except duckdb.Error as error:
            check_damage(error, [*(stores.paths if stores else ()), *filter(None, [results])])
            raise
        text = readme(target.name, temporary, folder)
        (temporary / README).write_text(text, encoding="utf-8")  # 2
        (temporary / COUNTS).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _write(stores: Stores | None, results: Path | None, folder: Path) -> dict[str, int]:
    """Step 1; the rows of every table."""
    catalog = "store" if results is None else "results"
    with connect(stores, results, stay_open=True) as con:
        rows: dict[str, int] = {
            name: con.execute(f"SELECT count(*) FROM {catalog}.{name}").fetchall()[0][0]
            for name in sorted(tables(con, catalog) - view_names())
        }
        with Progress("export", sum(rows.values()), "rows") as progress:
            for name, n_rows in rows.items():
                if catalog == "store" and name in BY_LAYER and n_rows:
                    for n in _by_layer(con, name, n_rows, folder / name):
                        progress.advance(n)
                else:
                    _copy(con, f"FROM {catalog}.{name}", folder / f"{name}.parquet")
                    progress.advance(n_rows)
    return rows


def _by_layer(
    con: duckdb.DuckDBPyConnection, table: str, n_rows: int, folder: Path
) -> Iterator[int]:
    """Step 1, rows as they are written; what has no layer or prompt has those of its pair_id."""
    ((n_layers, n_heads, n_ctx),) = con.execute(
        "SELECT n_layers, n_heads, n_ctx FROM store.dump"
    ).fetchall()
    in_layer = n_heads * n_ctx**2  # as many pair_ids in a layer of a prompt
    columns = {name for name, *_ in con.execute(f"DESCRIBE store.{table}").fetchall()}
    every = "*" if "layer" in columns else f"*, pair_id // {in_layer} % {n_layers} AS layer"
    key, width = ("prompt_id", 1) if "prompt_id" in columns else ("pair_id", n_layers * in_layer)
    found = con.execute("SELECT prompt_id FROM store.prompts ORDER BY prompt_id").fetchall()
    prompts = [prompt_id for (prompt_id,) in found]
    at_a_time = _LIST_ROWS if table in LISTS else _ROWS
    size = math.ceil(len(prompts) / math.ceil(n_rows / at_a_time))
    split = "PARTITION_BY (layer), OVERWRITE_OR_IGNORE"
    for at in range(0, len(prompts), size):
        first, last = prompts[at], prompts[min(at + size, len(prompts)) - 1]
        yield _copy(
            con,
            f"SELECT {every} FROM store.{table} "
            f"WHERE {key} BETWEEN {first * width} AND {(last + 1) * width - 1}",
            folder,
            f", {split}, FILENAME_PATTERN 'prompts_from_{first}_{{i}}'",
        )


def _copy(con: duckdb.DuckDBPyConnection, select: str, to: Path, how: str = "") -> int:
    """Writes the rows of a select; how many."""
    ((n,),) = con.execute(
        f"COPY ({select}) TO '{quoted(to)}' (FORMAT parquet, COMPRESSION zstd{how})"
    ).fetchall()
    return int(n)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Step 3: a folder beside `folder`, renamed to it when the block ends well, else removed."""
    folder = folder.resolve()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise StoreError(f"{folder} is there already; name a new or an empty folder")
    temporary = folder.with_name(f".{folder.name}.tmp")
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
        temporary.mkdir()
        yield temporary
        temporary.replace(folder)
    except Timeout as error:
        raise StoreError(f"another process is writing {folder}; wait for it") from error
    except DISK_ERRORS as error:
        raise StoreError(
            f"could not write {folder}: {first_line(error)}; nothing was left there"
        ) from error
    finally:
        if lock.is_locked:
            shutil.rmtree(temporary, ignore_errors=True)
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
