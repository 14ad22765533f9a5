"""`svt-sql` changes nothing, and opens nothing that was not named unless --unsafe is given."""

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import duckdb
import pytest

from svt.cli.sql import run_sql
from svt.db.target import open_target
from svt.errors import SvtError
from tests.answers import answer
from tests.conftest import Finished

CHANGES = [
    "delete from store.pairs",
    "update results.run set status = 'x'",
    "insert into results.run select * from results.run",
    "drop table results.run",
    "create table store.x as select 1",
    "create view results.x as select 1",
    "alter table store.pairs add column x integer",
    "truncate store.pairs",
    "with gone as (delete from store.pairs returning *) select count(*) from gone",
    "with new as (insert into results.run select * from run returning *) select * from new",
    "explain analyze delete from store.pairs",
    "checkpoint store",
    "vacuum analyze",
    "use memory; detach store; attach '{store}' as mine; delete from mine.pairs; select 1",
    "attach '{store}' as mine; select 1",
    "attach '{linked}' as mine; select 1",
    "attach '{linked}' as mine; with g as (delete from mine.pairs returning *) select * from g",
    "copy (select 1) to '{out}'",
    "copy (select 1) to '{store}'",
    "copy store.prompts to '{out}' (format parquet)",
    "copy from database store to memory",
    "export database '{out}'",
    "import database '{out}'",
    "set enable_external_access = true; select 1",
    "set allowed_directories = ['/']; select 1",
    "set lock_configuration = false; select 1",
    "pragma enable_profiling = 'json'; select 1",
    "set profiling_output = '{out}'; select 1",
    "from enable_profiling(format = 'json', save_location = '{out}')",
    "from enable_logging(storage = 'file', storage_config = {{'path': '{out}'}})",
    "call enable_logging(storage = 'file', storage_config = {{'path': '{out}'}})",
    "set temp_directory = '{out}'; select 1",
    "set home_directory = '{out}'; select 1",
    "create persistent secret s (type http, bearer_token 'x')",
    "install httpfs",
    "load httpfs",
    "load '{out}'",
    "update extensions",
    "prepare p as select 1; execute p",
    "select * from query('delete from store.pairs')",
]

READS = [
    "from read_text('{file}')",
    "from read_csv('{file}', header = false)",
    "from read_blob('{file}')",
    "from read_json('{file}.json')",
    "from read_parquet('{file}.parquet')",
    "from '{file}.csv'",
    "from glob('{file}*')",
    "from sniff_csv('{file}.csv')",
    "from parquet_metadata('{file}.parquet')",
    "attach '{other}' as o (read_only); select count(*) from o.prompts",
]
NETWORK = [
    "from read_csv('http://127.0.0.1:{port}/a.csv')",
    "from 'http://127.0.0.1:{port}/a.parquet'",
    "from read_text('https://127.0.0.1:{port}/a')",
    "from read_csv('s3://127.0.0.1:{port}/a.csv')",
    "attach 'http://127.0.0.1:{port}/a.duckdb' as a (read_only); select 1",
]


@pytest.fixture(scope="module")
def names(
    finished: Finished, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, object]]:
    """What stands for the names in the statements; there is nothing at `out`."""
    at = tmp_path_factory.mktemp("named")
    store = finished.stores[0].resolve()
    (at / "linked.duckdb").symlink_to(shutil.copy(store, at / "copy.duckdb"))
    (at / "file").write_text("a secret\n")
    (at / "file.csv").write_text("a,b\n1,2\n")
    (at / "file.json").write_text('[{"a": 1}]')
    answer(store, "select 1 as a", []).write_parquet(at / "file.parquet")
    hits: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {
        "store": store,
        "linked": at / "linked.duckdb",
        "file": at / "file",
        "other": at / "copy.duckdb",
        "out": at / "out",
        "port": server.server_port,
        "hits": hits,
        "at": at,
    }
    server.shutdown()
    server.server_close()


def files(at: Path) -> dict[str, bytes]:
    return {str(p.relative_to(at)): p.read_bytes() for p in at.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def shut(finished: Finished) -> Iterator[duckdb.DuckDBPyConnection]:
    """The run as `svt-sql` opens it."""
    with open_target(finished.runs[0]) as con:
        yield con


@pytest.mark.parametrize("unsafe", [False, True])
def test_nothing_is_changed(
    finished: Finished,
    names: dict[str, object],
    unsafe: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    places = [finished.cwd, Path(str(names["at"]))]
    before = [files(at) for at in places]
    with open_target(finished.runs[0], unsafe) as con:
        for statement in CHANGES:
            with pytest.raises(SvtError, match=r"^SQL: "):
                print(statement, run_sql(con, statement.format(**names), {}, unsafe))
    assert [files(at) for at in places] == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("statement", [*READS, *NETWORK])
def test_nothing_else_is_opened(
    shut: duckdb.DuckDBPyConnection, names: dict[str, object], statement: str
) -> None:
    with pytest.raises(SvtError, match=r"^SQL: "):
        run_sql(shut, statement.format(**names), {})
    assert names["hits"] == []


def test_unsafe_reads_what_is_named(finished: Finished, names: dict[str, object]) -> None:
    with open_target(finished.runs[0], unsafe=True) as con:
        for statement in READS:
            assert run_sql(con, statement.format(**names), {}, unsafe=True).height > 0, statement


@pytest.mark.parametrize(
    "statement",
    [
        "from pairs limit 1",
        "describe pairs",
        "show tables",
        "summarize prompts",
        "explain select 1",
        "pivot (select role, layer from graph_edges) on role using count(*)",
        "select 1; select 2",
        "with a as (select 1 as x) select x from a",
        "values (1)",
        "from pragma_table_info('pairs')",
    ],
)
def test_what_only_asks_is_answered(shut: duckdb.DuckDBPyConnection, statement: str) -> None:
    assert run_sql(shut, statement, {}).height > 0
