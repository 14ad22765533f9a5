"""Check a store: every query of sql/checks must return no row."""

import duckdb

from svt.db.catalog import use_catalog
from svt.db.connect import load_macros
from svt.db.scripts import list_scripts, run_script
from svt.errors import StoreError

_ROWS_SHOWN = 3


def run_checks(con: duckdb.DuckDBPyConnection) -> None:
    """Run every check on the catalog `store`; StoreError shows rows of the first that fails."""
    with use_catalog(con, "store"):
        load_macros(con)
        for file in list_scripts("checks"):
            result = run_script(con, file)
            rows = result.fetchall()[:_ROWS_SHOWN]
            if rows:
                names = [column[0] for column in result.description]
                shown = "; ".join(
                    ", ".join(f"{name}={value}" for name, value in zip(names, row, strict=True))
                    for row in rows
                )
                raise StoreError(
                    f"the store is not sound: check {file.stem} returns {shown}; "
                    "this is a fault of svt, so please report it with the command that was run"
                )
