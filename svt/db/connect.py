"""One connection that sees stores and a run's results.

1. The files are attached as the catalogs `store` (svt/db/attach.py) and `results`.
2. Bare names search `results` first, then `store`.
3. The macros of sql/macros become temporary, so nothing is written into either file; those that
   read a store where there is one, those of a sweep (sql/macros/sweep) always. So does the table
   `head_patterns`: what the field calls a head by the roles it attends between, which stands in
   conf/dataset/*/head_patterns.csv.
4. A name is a table or nothing: a Python variable of that name is not looked at. DuckDB draws no
   progress bar, which would stand among the rows on stdout.
5. Then the connection is shut (svt/db/files.py): SQL of a configuration or of a user reads no other
   file, whatever it says.
"""

import csv
from pathlib import Path

import duckdb

from svt.db.attach import attach_file, attach_stores
from svt.db.catalog import catalogs, create_tables, has_table, quoted, register_tables, using
from svt.db.files import database, shut
from svt.db.stores import Stores
from svt.paths import conf_dir, sql_dir

__all__ = [
    "connect",
    "create_tables",
    "has_table",
    "load_macros",
    "quoted",
    "register_tables",
    "search",
    "using",
]


def connect(
    stores: Stores | None,
    results: Path | None = None,
    results_writable: bool = False,
    stay_open: bool = False,
) -> duckdb.DuckDBPyConnection:
    """An in-memory connection with the files attached; SvtError when one cannot be opened.

    Stores without a path give the tables of a store without rows; with None there are none. With
    `stay_open` step 5 is left to the caller.
    """
    con = database()  # 4
    con.execute("SET enable_progress_bar = false")
    try:
        if results is not None:  # 1
            attach_file(con, "results", results, results_writable)
        if stores is not None:
            attach_stores(con, "store", stores.paths)
        search(con)  # 2
        load_macros(con)  # 3
        if not stay_open:
            shut(con)  # 5
    except BaseException:
        con.close()
        raise
    return con


def search(con: duckdb.DuckDBPyConnection) -> None:
    """Step 2, for whichever of the two catalogs are attached."""
    attached = [name for name in ("results", "store") if name in catalogs(con)]
    con.execute("SET search_path = ?", [",".join(attached)])


def load_macros(con: duckdb.DuckDBPyConnection) -> None:
    """Step 3; of those of a folder each knows the ones before it by name."""
    _load_patterns(con)
    folder = sql_dir() / "macros"
    folders = [folder, folder / "sweep"] if has_table(con, "store", "pairs") else [folder / "sweep"]
    for file in (file for each in folders for file in sorted(each.glob("*.sql"))):
        con.execute(file.read_text(encoding="utf-8"))


def _load_patterns(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        "CREATE OR REPLACE TEMP TABLE head_patterns "
        "(dataset VARCHAR, dest_role VARCHAR, src_role VARCHAR, name VARCHAR)"
    )
    for file in sorted(conf_dir().glob("dataset/*/head_patterns.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                con.execute(
                    "INSERT INTO temp.head_patterns VALUES (?, ?, ?, ?)",
                    [file.parent.name, row["dest_role"], row["src_role"], row["name"]],
                )
