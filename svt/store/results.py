"""Write and read results.duckdb of a run.

1. A temporary file gets the empty tables of sql/schema/results, or is a copy of the run's own file
   when its trace is kept.
2. The stores are attached beside it, read-only; stages fill the tables by SQL.
3. The row `run` is written last, and the file is renamed.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb

from svt.db.attach import attach_file
from svt.db.catalog import create_tables
from svt.db.connect import connect
from svt.db.damage import check_whole
from svt.db.files import disable_external_access, explain_unreadable, open_database
from svt.db.stores import Stores, parse_json
from svt.db.trusted import columns_of, expected_columns
from svt.errors import StoreError, SvtError
from svt.store.writer import DISK_ERRORS
from svt.system.atomic import temporary_path
from svt.system.text import first_line

NAME = "results.duckdb"


@contextmanager
def create_results(folder: Path, stores: Stores, keep: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection with the catalogs `results`, to be filled, and `store` (steps 1 to 3).

    StoreError when the disk is full or fails; the results in `folder` are then unchanged.
    """
    path = folder / NAME
    try:
        with temporary_path(path) as temporary:
            if keep:  # 1
                check_whole(path)  # also tables that no stage reads
                shutil.copyfile(path, temporary)
            with connect(stores, temporary, results_writable=True) as con:  # 2
                if not keep:
                    create_tables(con, "results", "results")
                yield con
                con.execute("CHECKPOINT results")  # raises on a full disk, as close does not
    except DISK_ERRORS as error:
        raise StoreError(
            f"could not write {path}: {first_line(error)}; an earlier file there is unchanged"
        ) from error


def load_config(folder: Path) -> dict[str, Any]:
    """Return the configuration of the results in a run folder, as plain values."""
    config = parse_json(read_run_row(folder)["config"], f"{folder / NAME}: run.config")
    if not isinstance(config, dict):
        raise StoreError(f"{folder / NAME}: run.config is no configuration; repeat the run")
    return config


@contextmanager
def open_results(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection with a results file as default catalog; StoreError for another file."""
    with open_database() as con:
        attach_file(con, "results", path)
        con.execute("SET search_path = 'results'")
        disable_external_access(con)
        try:
            yield con
        except duckdb.Error as error:
            raise explain_unreadable(path, "results", error) from error


def check_tables(folder: Path) -> None:
    """Raise StoreError when a run's results lack a table or a column of this version of svt."""
    path = folder / NAME
    with open_results(path) as con:
        present = columns_of(con, "results")
    lacking = dict.fromkeys(
        f"{table}.{column}" if table in present else table
        for table, columns in expected_columns("results").items()
        for column in columns
        if column not in present.get(table, {})
    )
    if lacking:
        raise StoreError(
            f"{path} was written by an earlier svt: it has no {', '.join(lacking)}; "
            "add trace to the stages to replace it"
        )


def has_interventions(folder: Path) -> bool:
    """Return whether a run folder has readable results with interventions."""
    with suppress(SvtError), open_results(folder / NAME) as con:
        return bool(con.execute("SELECT 1 FROM interventions LIMIT 1").fetchall())
    return False


def load_stores(folder: Path) -> Stores:
    """Return the stores of the results in a run folder, none for an imported circuit.

    StoreError when one is missing or has another identity.
    """
    row = read_run_row(folder)
    stores = Stores.from_text(row["store_path"])
    for path in stores.missing:
        raise StoreError(f"{folder}: its store {path} is gone; make a new run without run.path")
    if stores.paths and stores.identity != row["store_identity"]:
        raise StoreError(f"{folder}: {stores} is no longer what it was made from; repeat the run")
    return stores


def read_run_row(folder: Path) -> dict[str, Any]:
    """Return the row `run` of the results in a folder; StoreError when it is missing."""
    path = folder / NAME
    if not path.is_file():
        raise StoreError(f"run.path={folder}: no {NAME} there; name the folder of a finished run")
    with open_results(path) as con:
        rows = con.sql("FROM run").pl().to_dicts()
    if len(rows) != 1:
        raise StoreError(f"{path} holds no finished run; repeat the run")
    lacking = {"config", "store_path", "store_identity"} - rows[0].keys()
    if lacking:
        raise StoreError(
            f"{path}: its table run has no {', '.join(sorted(lacking))}; repeat the run"
        )
    return rows[0]
