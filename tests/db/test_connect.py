"""Store and results in one connection."""

from pathlib import Path

import duckdb
import polars as pl
import pytest

from svt.db.catalog import create_tables
from svt.db.connect import connect
from svt.db.stores import Stores
from svt.errors import SvtError
from tests.store_rows import StoreRows, connection


@pytest.fixture
def store(tmp_path: Path) -> Path:
    rows = StoreRows(n_layers=4, n_heads=2)
    rows.prompt(0, {"end": 5})
    path = tmp_path / "it's a store.duckdb"
    con = connection(rows.tables(), store_file=str(path).replace("'", "''"))
    con.close()
    return path


def test_results_are_searched_before_the_store(store: Path, tmp_path: Path) -> None:
    con = connect(Stores.of(store), tmp_path / "r.duckdb", results_writable=True)
    create_tables(con, "results", "results")
    assert con.execute("SELECT current_setting('search_path')").fetchone() == (
        "results.main,store.main",
    )
    assert con.execute(
        "SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM dump)"
    ).fetchone() == (
        0,
        1,
    )
    con.execute("CREATE TABLE results.prompts (x INTEGER)")
    assert con.execute("SELECT count(*) FROM prompts").fetchone() == (0,)
    con.close()


def test_what_is_read_is_not_written(store: Path, tmp_path: Path) -> None:
    results = tmp_path / "r.duckdb"
    duckdb.connect(str(results)).close()
    con = connect(Stores.of(store), results)
    for statement in ("DELETE FROM store.prompts", "CREATE TABLE results.x (i INTEGER)"):
        with pytest.raises(duckdb.Error, match="read-only"):
            con.execute(statement)
    con.close()


def test_either_file_is_enough(store: Path, tmp_path: Path) -> None:
    with connect(Stores.of(store)) as con:
        assert con.execute("SELECT n_layers FROM dump").fetchone() == (4,)
        assert con.execute("SELECT shown_count(0.5, NULL)").fetchone() == (1,)
    results = tmp_path / "r.duckdb"
    with duckdb.connect(str(results)) as con:
        con.execute("CREATE TABLE run (i INTEGER)")
    with connect(None, results) as con:
        assert con.execute("SELECT count(*) FROM run").fetchone() == (0,)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(SvtError, match=r"gone.duckdb: no such store file"):
        connect(Stores.of(tmp_path / "gone.duckdb"))
    other = tmp_path / "other.duckdb"
    other.write_text("no database")
    with pytest.raises(SvtError, match=r"other.duckdb is not a store that svt can read"):
        connect(Stores.of(other))


def test_a_variable_is_no_table(store: Path) -> None:
    frame = pl.DataFrame({"x": [1, 2]})
    with connect(Stores.of(store)) as con:
        with pytest.raises(duckdb.CatalogException, match="frame does not exist"):
            con.sql("SELECT * FROM frame")
        for given in (frame, frame.to_arrow()):  # given by name, it is one
            con.register("given", given)
            assert con.sql("SELECT sum(x) FROM given").fetchall() == [(3,)]
            con.unregister("given")
