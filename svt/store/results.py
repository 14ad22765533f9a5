"""A run's results.duckdb: written temporary_path, renamed when whole, read again by later stages.

1. A new file starts from the tables of sql/schema/results, or from a copy of the run's own file
   when its trace is kept.
2. The stores are attached beside it, read-only; stages fill the tables by SQL.
3. The row `run` is written last, the file is renamed.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from svt.db.attach import attach_file
from svt.db.catalog import create_tables
from svt.db.connect import connect
from svt.db.files import database, shut, unreadable
from svt.db.stores import Stores, read_json
from svt.db.trusted import columns_of, expected_columns
from svt.errors import StoreError, SvtError
from svt.store.writer import DISK_ERRORS
from svt.system.atomic import temporary_path
from svt.system.text import first_line

NAME = "results.duckdb"


@contextmanager
def writing_results(
    folder: Path, stores: Stores, keep: bool
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with catalogs `results` (to be filled) and `store`; see the module."""
    path = folder / NAME
    try:
        with temporary_path(path) as temporary:
            if keep:  # 1
                shutil.copyfile(path, temporary)
            con = connect(stores, temporary, results_writable=True)  # 2
            try:
                if not keep:
                    create_tables(con, "results", "results")
                yield con
                con.execute("CHECKPOINT results")  # a full disk says so here, not when closing
            finally:
                con.close()
    except DISK_ERRORS as error:
        raise StoreError(
            f"could not write {path}: {first_line(error)}; what stood there still does"
        ) from error


def load_config(folder: Path) -> dict[str, Any]:
    """The configuration that a run folder's results were made with, as plain values."""
    config = read_json(_run_row(folder)["config"], f"{folder / NAME}: run.config")
    if not isinstance(config, dict):
        raise StoreError(f"{folder / NAME}: run.config is no configuration; run anew")
    return config


@contextmanager
def reading_results(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose bare names are the tables of a results file; StoreError for any other."""
    with database() as con:
        attach_file(con, "results", path)
        con.execute("SET search_path = 'results'")
        shut(con)
        try:
            yield con
        except duckdb.Error as error:
            raise unreadable(path, "results", error) from error


def check_tables(folder: Path) -> None:
    """StoreError when a run's results lack a table or a column that this svt knows."""
    path = folder / NAME
    with reading_results(path) as con:
        there = columns_of(con, "results")
    lacking = dict.fromkeys(
        f"{table}.{column}" if table in there else table
        for table, columns in expected_columns("results").items()
        for column in columns
        if column not in there.get(table, {})
    )
    if lacking:
        raise StoreError(
            f"{path} was written by an earlier svt: it has no {', '.join(lacking)}; "
            "add trace to the stages to make it anew"
        )


def has_interventions(folder: Path) -> bool:
    """Whether a run's results, if there are any, hold interventions."""
    path = folder / NAME
    if not path.is_file():
        return False
    try:
        with reading_results(path) as con:
            return bool(con.execute("SELECT 1 FROM interventions LIMIT 1").fetchall())
    except SvtError:
        return False


def load_stores(folder: Path) -> Stores:
    """The stores that a run folder's results name; StoreError when one is gone or another.

    An imported circuit has none.
    """
    row = _run_row(folder)
    stores = Stores.from_text(row["store_path"])
    for path in stores.missing:
        raise StoreError(f"{folder}: its store {path} is gone; make a new run without run.path")
    if stores.paths and stores.identity != row["store_identity"]:
        raise StoreError(f"{folder}: {stores} is not what it was made from any more; run anew")
    return stores


def stores_of(folder: Path) -> Stores:
    """Return the stores that a run folder's results name, be they there or not."""
    return Stores.from_text(_run_row(folder)["store_path"])


def _run_row(folder: Path) -> dict[str, Any]:
    path = folder / NAME
    if not path.is_file():
        raise StoreError(f"run.path={folder}: no {NAME} there; name the folder of a finished run")
    with reading_results(path) as con:
        rows = con.sql("FROM run").pl().to_dicts()
    if len(rows) != 1:
        raise StoreError(f"{path} holds no finished run; run anew")
    lacking = {"config", "store_path", "store_identity"} - rows[0].keys()
    if lacking:
        raise StoreError(f"{path}: its table run has no {', '.join(sorted(lacking))}; run anew")
    return rows[0]
