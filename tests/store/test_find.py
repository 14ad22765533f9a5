"""Finding a store, waiting for one another, refusing what is not the wanted store."""

import multiprocessing
import time
from pathlib import Path

import duckdb
import pytest

from svt.db.identity import SCHEMA_VERSION, Identity
from svt.db.stores import Stores
from svt.errors import SvtError
from svt.store.find import find_or_make, holds_store
from tests.store_rows import connection

WANTED = Identity("wanted", "weights")


def make(path: Path, key: str = "wanted", schema: int = SCHEMA_VERSION) -> None:
    begun = path.with_suffix(".begun")
    row = {"identity": key, "schema_version": schema, "svt_version": "0.0.1"}
    connection({"dump": [row]}, store_file=begun).close()
    begun.rename(path)


def test_a_missing_store_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "store.duckdb"
    assert not find_or_make(path, WANTED, make)
    assert find_or_make(path, WANTED, lambda _: pytest.fail("made twice"))


def test_another_content_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    make(path, key="something else")
    with pytest.raises(
        SvtError, match=r"is not the store of this configuration.*leave store\.path out"
    ):
        find_or_make(path, WANTED, make)
    assert Stores.of(path).identity == "something else"


def test_a_store_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    make(path, schema=SCHEMA_VERSION + 1)
    message = r"written by svt 0\.0\.1 in schema .*move it away and dump again"
    with pytest.raises(SvtError, match=message):
        holds_store(path, WANTED)


def test_a_store_without_its_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    make(path)
    with duckdb.connect(str(path)) as con:
        con.execute("DELETE FROM dump")
    with pytest.raises(SvtError, match=r"not a complete store .*; move it away and dump again"):
        holds_store(path, WANTED)


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    path.write_text("not a database")
    with pytest.raises(SvtError, match="not a store that svt can read"):
        holds_store(path, WANTED)


def test_a_store_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    make(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(SvtError, match="not a store that svt can read"):
        holds_store(path, WANTED)


def test_a_failed_making_leaves_the_next_one_free(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"

    def broken(_: Path) -> None:
        raise SvtError("no")

    with pytest.raises(SvtError, match="no"):
        find_or_make(path, WANTED, broken)
    assert not find_or_make(path, WANTED, make)


def _race(path: Path, made: "multiprocessing.Queue[bool]") -> None:
    def slowly(path: Path) -> None:
        time.sleep(0.3)
        make(path)

    made.put(not find_or_make(path, WANTED, slowly))


@pytest.mark.long
def test_four_processes_make_one_store(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    made = context.Queue()
    path = tmp_path / "store.duckdb"
    racers = [context.Process(target=_race, args=(path, made)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert sorted(made.get(timeout=5) for _ in racers) == [False, False, False, True]
    assert Stores.of(path).identity == "wanted"
