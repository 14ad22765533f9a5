"""Check a store: every query of sql/checks must return no row."""

import duckdb

from svt.db.catalog import use_catalog
from svt.db.connect import load_macros
from svt.errors import StoreError
from svt.paths import sql_dir

_ROWS_SHOWN = 3


def run_checks(con: duckdb.DuckDBPyConnection) -> None:
    """Run every check on the catalog `store`; StoreError shows rows of the first that fails."""
    with use_catalog(con, "store"):
        load_macros(con)
        for file in sorted((sql_dir() / "checks").glob("*.sql")):
            result = con.execute(file.read_text(encoding="utf-8"))
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
