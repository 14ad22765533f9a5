"""What a store, a run folder or SQL of somebody else can and cannot do (docs/threat-model.md)."""

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import duckdb
import pytest

from svt.cli import sql
from svt.db.connect import connect
from svt.db.files import open_database
from svt.db.stores import Stores
from svt.errors import SvtError
from svt.query.edges import choose_edges
from svt.store.results import load_config, load_stores
from tests.answers import answer
from tests.db.test_target import make_results, make_store

SECRET = "the secret"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(SECRET)
    return path


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that tests only read."""
    return make_store(tmp_path_factory.mktemp("kept") / "store.duckdb")


@pytest.fixture
def store(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(kept, tmp_path / "store.duckdb"))


def changed(path: Path, *statements: str) -> Path:
    with duckdb.connect(str(path)) as con:
        for statement in statements:
            con.execute(statement)
    return path


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("ALTER TABLE dump RENAME TO d; CREATE VIEW dump AS FROM d", "holds the view dump"),
        ("CREATE OR REPLACE VIEW slices AS SELECT 1 AS k", "holds the view slices"),
        ("CREATE VIEW mine AS FROM read_text('FILE')", "holds the view mine"),
        ("CREATE MACRO sum(x) AS 99", "holds the macro sum"),
        ("ALTER TABLE dump DROP COLUMN notes", "its table dump is not that of a store"),
        ("DROP VIEW slices; ALTER TABLE pairs DROP COLUMN weight", "its table pairs is not that"),
        ("INSERT INTO dump FROM dump", "its table dump has 2 rows"),
    ],
)
def test_a_store_holds_tables_alone(
    store: Path, secret: Path, tmp_path: Path, statement: str, message: str
) -> None:
    changed(store, *statement.replace("FILE", str(secret)).split("; "))
    for target in (store, make_results(tmp_path / "run", {"store_path": str(store)})):
        with pytest.raises(SvtError, match=message) as error:
            answer(target, "select * from store.prompts", [])
        assert "\n" not in str(error.value) and SECRET not in str(error.value)
    with pytest.raises(SvtError, match=message):
        Stores.of(store).dump  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("ALTER TABLE run RENAME TO r; CREATE VIEW run AS FROM r", "holds the view run"),
        ("CREATE TABLE pairs AS SELECT 1 AS a", "holds the table pairs"),
        ("CREATE MACRO count_of(a, b, c, d) AS 99", "holds the macro count_of"),
    ],
)
def test_results_have_no_code_and_are_no_store(
    store: Path, tmp_path: Path, statement: str, message: str
) -> None:
    run = make_results(tmp_path / "run", {"store_path": str(store), "store_identity": "i"})
    changed(run / "results.duckdb", *statement.split("; "))
    for read in (lambda: answer(run, "shown_edges", []), lambda: load_config(run)):
        with pytest.raises(SvtError, match=message):
            read()


@pytest.mark.parametrize("text", ["[]", "[1]", "[", '{"a": 1}'])
def test_a_store_path_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    run = make_results(tmp_path / "run", {"store_path": text, "store_identity": "i"})
    with pytest.raises(SvtError) as error:
        load_stores(run)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[]", "3"])
def test_a_configuration_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    run = make_results(tmp_path / "run", {"config": text})
    with pytest.raises(SvtError, match=r"run\.config is no configuration; repeat the run"):
        load_config(run)


@pytest.mark.parametrize(
    "text",
    [
        "select content from read_text('FILE')",
        "select * from enable_logging('x', storage = 'file', storage_path = 'FOLDER')",
        "select * from 'http://127.0.0.1:9/x.csv'",
        "select * from read_csv('s3://bucket/x.csv')",
        "select 1 from (select * from glob('FOLDER/*'))",
    ],
)
def test_sql_of_a_configuration_reaches_no_file(
    kept: Path, secret: Path, tmp_path: Path, text: str
) -> None:
    run = make_results(tmp_path / "run", {"store_path": str(kept), "store_identity": "i"})
    before = sorted(path.name for path in tmp_path.iterdir())
    reading = text.replace("FILE", str(secret)).replace("FOLDER", str(tmp_path))
    with connect(Stores.of(kept), run / "results.duckdb") as con:
        with pytest.raises(SvtError, match=r"intervene\.edges: .*correct the SQL") as error:
            choose_edges(con, reading)
        assert SECRET not in str(error.value)
        for setting in ("enable_external_access = true", "autoload_known_extensions = true"):
            with pytest.raises(duckdb.Error):
                con.execute(f"SET {setting}")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("content", [b"SQLite format 3\0" * 9, b"PAR1", b"", b"text"])
def test_a_target_that_is_no_duckdb_file_loads_no_extension(tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "o.sqlite"
    target.write_bytes(content)
    with pytest.raises(SvtError, match="it is no DuckDB file"):
        answer(target, "select 1", [])


def test_no_connection_installs_or_loads_an_extension() -> None:
    with open_database() as con:
        rows = con.execute(
            "SELECT value FROM duckdb_settings() WHERE name IN "
            "('autoinstall_known_extensions', 'autoload_known_extensions')"
        ).fetchall()
    assert rows == [("false",), ("false",)]


@pytest.mark.parametrize("name", ["a\\b.duckdb", os.fsdecode(b"a\xff.duckdb")])
def test_names_that_duckdb_cannot_read_are_one_line(store: Path, name: str) -> None:
    target = store.rename(store.with_name(name))
    with pytest.raises(SvtError, match="rename it"):
        answer(target, "select 1", [])


@pytest.mark.parametrize(
    ("column", "form", "message"),
    [
        ("340282366920938463463374607431768211455::UHUGEINT", "table", "more than 127 bits"),
        ("'0101'::BIT", "table", "is of type BIT"),
        ("123456789012345678901234567890123456789012345::BIGNUM", "table", "is of type BIGNUM"),
        ("[1::UHUGEINT]", "table", "is of type UHUGEINT"),
        ("interval 1 month", "table", "is of type INTERVAL"),
        ("'infinity'::DATE", "table", "holds dates that are infinite"),
        ("'-infinity'::TIMESTAMP", "csv", "holds dates that are infinite"),
        ("'infinity'::TIMESTAMPTZ", "json", "holds dates that are infinite"),
        ("'290000-01-01'::DATE", "csv", "holds dates that are infinite or beyond"),
        ("'24:00:00'::TIME", "table", "is of type TIME"),
        ("'a'::BLOB", "csv", "holds bytes, which csv does not; cast it, hex(x)"),
        ("'a'::BLOB", "json", "holds bytes, which json does not"),
        ("[1, 2]", "csv", "holds lists or the like"),
        ("'nan'::DOUBLE", "json", "holds NaN or infinity"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_before_any_row(
    kept: Path, capsys: pytest.CaptureFixture[str], column: str, form: str, message: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        sql.main([str(kept), f"select {column} as x", "--format", form])
    out, err = capsys.readouterr()
    assert (out, stop.value.code, err.count("\n")) == ("", 2, 1)
    assert message in err and "column x " in err and "; cast it, " in err


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        ("170141183460469231731687303715884105727::HUGEINT", str(2**127 - 1)),
        ("sum(i) from range(10) t(i)", "45"),
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551615::UBIGINT", str(2**64 - 1)),
        ("date '9999-12-31'", "9999-12-31"),
        ("'nan'::DOUBLE", "NaN"),
    ],
)
def test_what_it_can_hold_is_exact(
    kept: Path, capsys: pytest.CaptureFixture[str], column: str, shown: str
) -> None:
    sql.main([str(kept), f"select {column}", "--format", "csv"])
    assert capsys.readouterr().out.splitlines()[1] == shown


def test_control_characters_do_not_act_on_the_terminal(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sql.main([str(kept), "select chr(27) || '[2J' as x"])
    assert "␛[2J" in capsys.readouterr().out


def test_the_first_interruption_ends_a_query(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # a process that was started in the background ignores interruptions
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(SystemExit) as stop:
            sql.main([str(kept), "select sum(sin(i)) from range(100000000000) t(i)"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert (stop.value.code, capsys.readouterr().err) == (130, "svt-sql: stopped\n")


def test_a_query_stays_within_its_memory(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svt.db.target.MOST_BYTES", 20_000_000)
    with pytest.raises(SvtError, match="out of memory"):
        answer(kept, "select list(i) as x from range(20000000) t(i)", [])
    monkeypatch.setattr("svt.query.exact.MOST_CELLS", 1000)
    with pytest.raises(SvtError, match="gives more than 500 rows; add a limit"):
        answer(kept, "select i, i + 1 as j from range(100000000) t(i)", [])


def test_a_full_device_is_one_line(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Path("/dev/full").open("w") as full, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", full)
        with pytest.raises(SystemExit) as stop:
            sql.main([str(kept), "select 1"])
    err = capsys.readouterr().err
    assert stop.value.code == 2
    assert err == (
        "svt-sql: could not write to standard output (No space left on device); free disk space, "
        "or redirect the rows\n"
    )


@pytest.mark.parametrize("args", [["select * from range(100000)"], ["--list"]])
def test_a_closed_pipe_is_quiet(
    kept: Path, capsys: pytest.CaptureFixture[str], args: list[str]
) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", pipe)
        sql.main([str(kept), *args])
    assert capsys.readouterr().err == ""


def test_a_locked_database_is_called_locked(store: Path) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # another process writes it
        con = duckdb.connect(str(store))
        con.execute("CREATE TABLE t AS SELECT 1")
        os.write(write, b"x")
        time.sleep(60)
        os._exit(0)
    try:
        os.read(read, 1)
        with pytest.raises(SvtError, match="is locked: another process is writing it; wait"):
            answer(store, "select 1", [])
        with pytest.raises(SvtError, match="is locked"):
            Stores.of(store).dump  # noqa: B018
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_stored_configuration_chooses_no_place_to_write(tmp_path: Path) -> None:
    from svt.cli.compose import _merge_run

    stored = {"store": {"dir": "/elsewhere", "path": None}, "run": {}, "stages": []}
    run = make_results(tmp_path / "run", {"config": json.dumps(stored)})
    tree = {"store": {"dir": "outputs/stores"}, "run": {"path": str(run)}, "stages": ["chart"]}
    assert _merge_run(tree, [])["store"] == {"dir": "outputs/stores"}
