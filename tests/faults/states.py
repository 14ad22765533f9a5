"""What a run folder and a store folder hold, to be compared, and what must never stand there."""

import json
from pathlib import Path
from xml.etree import ElementTree

import duckdb

from svt.db.connect import connect
from svt.db.stores import Stores
from svt.store.checks import run_checks

Content = dict[str, tuple[object, ...]]

_OF_THE_HOUR = {"run": "seconds, config, store_path", "dump": "seconds, peak_bytes"}


def content(path: Path) -> Content:
    """Of every table its rows, as their number and a sum over all; times are left out."""
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{path}' AS held (READ_ONLY)")
        tables = con.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'held' ORDER BY 1"
        ).fetchall()
        return {table: _rows(con, table) for (table,) in tables}


def _rows(con: duckdb.DuckDBPyConnection, table: str) -> tuple[object, ...]:
    left_out = f"EXCLUDE ({_OF_THE_HOUR[table]})" if table in _OF_THE_HOUR else ""
    rows = f"SELECT hash(held) AS number FROM (SELECT * {left_out} FROM held.{table}) AS held"
    return con.execute(f"SELECT count(*), sum(number::HUGEINT) FROM ({rows})").fetchall()[0]


def stores(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!.]*.duckdb"))


def check_store(path: Path) -> None:
    """A file under a store's name is whole, and sound by the store's own checks."""
    with connect(Stores.of(path)) as con:
        assert con.execute("SELECT count(*) FROM store.dump").fetchall() == [(1,)]
        run_checks(con)


def pictures(run: Path) -> dict[str, bytes]:
    """The charts and the report of a run by name, each whole."""
    found = {
        str(path.relative_to(run)): path.read_bytes()
        for path in (run / "report.html", *run.glob("charts/[!.]*"))
        if path.is_file()
    }
    for name, written in found.items():
        if name.endswith(".json"):
            json.loads(written)
        elif name.endswith(".graphml"):
            ElementTree.fromstring(written)
        elif name.endswith(".html"):
            assert written.rstrip().endswith(b"</html>")
    return found


def leftovers(folder: Path) -> list[str]:
    """Files that only a process that died leaves."""
    return sorted(path.name for path in folder.rglob(".*.tmp*"))
