"""Export a store, or a run's results, as Parquet files for other programs.

1. Large tables are folders split by layer, TABLE/layer=3/*.parquet, written in batches of prompts;
   all others, and empty ones, are one file, TABLE.parquet. Compression is zstd. Lists stay lists;
   the long views of a store are not written.
2. README.md says how to read the files (svt/store/export_readme.py); counts.json has the number of
   rows of each table.
3. The files are written into a temporary folder, which is renamed when it is complete. A folder
   that is not empty is refused.

svt-sql and `store.path` accept the folder of a store (svt/db/parquet.py).
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from filelock import Timeout

from svt.db.catalog import list_tables, quote_path, view_names
from svt.db.connect import connect
from svt.db.damage import check_damage
from svt.db.parquet import COUNTS
from svt.db.stores import Stores
from svt.db.target import resolve_target
from svt.errors import StoreError
from svt.store.export_readme import format_readme
from svt.store.writer import DISK_ERRORS
from svt.system.atomic import take_lock, temporary_folder
from svt.system.progress import Progress
from svt.system.text import first_line

LISTS = ("pair_slices", "pair_upstream")
BY_LAYER = ("coordinates", "pairs", "sides", *LISTS)
README = "README.md"

_ROWS = 20_000_000  # per batch
_LIST_ROWS = 200_000  # per batch of a table of lists


def export(target: Path, folder: Path) -> None:
    """Write the tables of `target` into `folder`; StoreError when it exists or the disk fails."""
    stores, results = resolve_target(target)
    with new_folder(folder) as temporary:
        try:
            rows = _write(stores, results, temporary)
        except duckdb.Error as error:
            check_damage(error, [*(stores.paths if stores else ()), *filter(None, [results])])
            raise
        text = format_readme(target.name, temporary, folder)
        (temporary / README).write_text(text, encoding="utf-8")  # 2
        (temporary / COUNTS).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _write(stores: Stores | None, results: Path | None, folder: Path) -> dict[str, int]:
    """Write every table (step 1) and return its number of rows, by name."""
    catalog = "store" if results is None else "results"
    with connect(stores, results, stay_open=True) as con:
        rows: dict[str, int] = {
            name: con.execute(f"SELECT count(*) FROM {catalog}.{name}").fetchall()[0][0]
            for name in sorted(list_tables(con, catalog) - view_names())
        }
        with Progress("export", sum(rows.values()), "rows") as progress:
            for name, n_rows in rows.items():
                if catalog == "store" and name in BY_LAYER and n_rows:
                    for n in _copy_by_layer(con, name, n_rows, folder / name):
                        progress.advance(n)
                else:
                    _copy(con, f"FROM {catalog}.{name}", folder / f"{name}.parquet")
                    progress.advance(n_rows)
    return rows


def _copy_by_layer(
    con: duckdb.DuckDBPyConnection, table: str, n_rows: int, folder: Path
) -> Iterator[int]:
    """Write a table split by layer, computed from pair_id if needed; yield the rows per batch."""
    ((n_layers, n_heads, n_ctx),) = con.execute(
        "SELECT n_layers, n_heads, n_ctx FROM store.dump"
    ).fetchall()
    n_ids = n_heads * n_ctx**2  # pair_ids of a layer and prompt
    columns = {name for name, *_ in con.execute(f"DESCRIBE store.{table}").fetchall()}
    select = "*" if "layer" in columns else f"*, pair_id // {n_ids} % {n_layers} AS layer"
    key, width = ("prompt_id", 1) if "prompt_id" in columns else ("pair_id", n_layers * n_ids)
    rows = con.execute("SELECT prompt_id FROM store.prompts ORDER BY prompt_id").fetchall()
    prompts = [prompt_id for (prompt_id,) in rows]
    n_batches = math.ceil(n_rows / (_LIST_ROWS if table in LISTS else _ROWS))
    size = math.ceil(len(prompts) / n_batches)
    split = "PARTITION_BY (layer), OVERWRITE_OR_IGNORE"
    for at in range(0, len(prompts), size):
        first, last = prompts[at], prompts[min(at + size, len(prompts)) - 1]
        yield _copy(
            con,
            f"SELECT {select} FROM store.{table} "
            f"WHERE {key} BETWEEN {first * width} AND {(last + 1) * width - 1}",
            folder,
            f", {split}, FILENAME_PATTERN 'prompts_from_{first}_{{i}}'",
        )


def _copy(con: duckdb.DuckDBPyConnection, select: str, to: Path, options: str = "") -> int:
    """Write the rows of a SELECT as Parquet and return their number."""
    ((n,),) = con.execute(
        f"COPY ({select}) TO '{quote_path(to)}' (FORMAT parquet, COMPRESSION zstd{options})"
    ).fetchall()
    return int(n)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; rename it to `folder` on success, remove it after an error (3)."""
    folder = folder.resolve()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise StoreError(f"{folder} exists already; name a new or an empty folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (
            take_lock(folder.with_name(f".{folder.name}.lock")),
            temporary_folder(folder) as temporary,
        ):
            yield temporary
    except Timeout as error:
        raise StoreError(f"another process is writing {folder}; wait for it") from error
    except DISK_ERRORS as error:
        raise StoreError(
            f"could not write {folder}: {first_line(error)}; nothing was left there"
        ) from error
