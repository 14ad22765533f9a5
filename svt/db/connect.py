"""Connect to stores and the results of a run.

1. Attach the files as the catalogs `store` (svt/db/attach.py) and `results`.
2. Look up bare names in `results` first, then in `store`.
3. Create the macros of sql/macros, if there is a store, those of sql/macros/sweep, and the table
   `head_patterns`, the names of heads by the roles of dest and src
   (conf/dataset/*/head_patterns.csv). All are temporary, so the files are not changed.
4. Bare names never refer to Python variables. DuckDB draws no progress bar, which would mix with
   the rows on stdout.
5. Disable access to other files and addresses (svt/db/files.py), so that SQL of a configuration or
   of a user cannot read them.
"""

import csv
from functools import cache
from itertools import chain
from pathlib import Path

import duckdb

from svt.db.attach import attach_file, attach_stores
from svt.db.catalog import has_table, list_catalogs
from svt.db.files import disable_external_access, open_database
from svt.db.scripts import list_scripts, run_script
from svt.db.stores import Stores
from svt.paths import conf_dir


def connect(
    stores: Stores | None,
    results: Path | None = None,
    results_writable: bool = False,
    stay_open: bool = False,
) -> duckdb.DuckDBPyConnection:
    """Return an in-memory connection with the files attached; SvtError when one cannot be opened.

    `stores` without paths has empty tables, None has no catalog. `stay_open` leaves step 5 to the
    caller.
    """
    con = open_database()  # 4
    con.execute("SET enable_progress_bar = false")
    try:
        if results is not None:  # 1
            attach_file(con, "results", results, results_writable)
        if stores is not None:
            attach_stores(con, "store", stores.paths)
        set_search_path(con)  # 2
        load_macros(con)  # 3
        if not stay_open:
            disable_external_access(con)  # 5
    except BaseException:
        con.close()
        raise
    return con


def set_search_path(con: duckdb.DuckDBPyConnection) -> None:
    """Set the search path to those of the two catalogs that are attached (step 2)."""
    attached = [name for name in ("results", "store") if name in list_catalogs(con)]
    con.execute("SET search_path = ?", [",".join(attached)])


def load_macros(con: duckdb.DuckDBPyConnection) -> None:
    """Create the temporary macros and head_patterns (step 3), in the order of file names."""
    folders = ["macros", "macros/sweep"] if has_table(con, "store", "pairs") else ["macros/sweep"]
    con.begin()  # one transaction takes half the time
    con.execute(
        "CREATE OR REPLACE TEMP TABLE head_patterns AS SELECT unnest($dataset) AS dataset, "
        "unnest($dest_role) AS dest_role, unnest($src_role) AS src_role, unnest($name) AS name",
        _read_patterns(),
    )
    for file in chain.from_iterable(map(list_scripts, folders)):
        run_script(con, file)
    con.commit()


@cache
def _read_patterns() -> dict[str, list[str]]:
    """Return the columns of head_patterns."""
    rows = [
        {"dataset": file.parent.name, **row}
        for file in sorted(conf_dir().glob("dataset/*/head_patterns.csv"))
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    ]
    return {name: [row[name] for row in rows] for name in rows[0]}
