"""`svt-export`: Parquet that other programs read, and that opens as the store it was."""

import shutil
import textwrap
from pathlib import Path

import duckdb
import polars as pl
import pytest

from svt.cli.export import main
from svt.db.catalog import list_tables
from svt.db.connect import connect
from svt.db.stores import Stores
from svt.errors import SvtError
from svt.store import export as exporting
from svt.store.export import BY_LAYER, export
from tests.answers import answer
from tests.conftest import Finished, Svt
from tests.cut_store import cut
from tests.db.test_stores import make
from tests.faults.damaged import HEADERS


@pytest.fixture(scope="module")
def exported(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "it's a store"
    export(finished.stores[0], folder)
    return folder


@pytest.fixture(scope="module")
def two_prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    export(make(folder / "store.duckdb", 0, 1), folder / "out")
    return folder / "out"


def test_it_opens_with_every_row_and_type(finished: Finished, exported: Path) -> None:
    with connect(Stores.of(finished.stores[0])) as store, connect(Stores.of(exported)) as again:
        assert list_tables(store, "store") == list_tables(again, "store")
        for table in sorted(list_tables(store, "store")):
            one, other = (c.sql(f"FROM store.{table} ORDER BY ALL").pl() for c in (store, again))
            assert one.schema == other.schema
            assert one.equals(other), table


def test_the_trace_from_it_is_that_of_the_store(
    svt: Svt, finished: Finished, exported: Path
) -> None:
    done = svt(f'store.path="{exported}"', "stages=[trace]")
    assert done.code == 0
    for table in ("trace_pairs", "trace_edges", "graph_edges"):
        one, other = (
            answer(run, f"from results.{table}", []) for run in (finished.runs[0], done.runs[0])
        )
        assert one.height > 0
        assert one.equals(other), table
    assert answer(done.runs[0], "firings", []).equals(answer(finished.runs[0], "firings", []))


def test_queries_read_the_folder_and_nothing_else(exported: Path) -> None:
    assert answer(exported, "summary", [])["prompts"].item() == 16
    with pytest.raises(SvtError, match="disabled by configuration"):
        answer(exported, "from read_csv('/etc/hostname')", [])
    with pytest.raises(SvtError, match="is not read-only"):
        answer(exported, f"copy (select 1) to '{exported.as_posix()[:-12]}x.csv'", [])


def test_polars_reads_it(finished: Finished, exported: Path) -> None:
    scanned = pl.scan_parquet(exported / "pair_upstream/*/*.parquet", hive_partitioning=True)
    by_layer = scanned.group_by("layer").agg(pl.len()).sort("layer").collect()
    expected = answer(
        finished.stores[0],
        "select p.layer, count(*) as n from pair_upstream join pairs as p using (pair_id) "
        "group by p.layer order by p.layer",
        [],
    )
    assert by_layer.rows() == expected.rows()
    assert "pairs/*/*.parquet" in (exported / "README.md").read_text()


def code(readme: str, program: str) -> str:
    """What the README's section on the long views has for a program."""
    views = readme.split("## The long views")[1].split(f"\n{program}")[1].split("\n\n", 1)[1]
    lines = views.splitlines()
    end = next(i for i, line in enumerate(lines) if line and not line.startswith("    "))
    return textwrap.dedent("\n".join(lines[:end]))


@pytest.mark.parametrize("program", ["DuckDB", "Polars"])
def test_the_readme_makes_the_long_views(
    finished: Finished, exported: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    text = code((exported / "README.md").read_text(), program)
    monkeypatch.chdir(exported)
    if program == "DuckDB":
        with duckdb.connect() as con:
            con.execute(text)
            made = {name: con.sql(f"FROM {name}").pl() for name in ("slices", "upstream")}
    else:
        frames: dict[str, pl.LazyFrame] = {}
        exec(text, frames)
        made = {name: frames[name].collect() for name in ("slices", "upstream")}
    for name, keys in (
        ("slices", ["pair_id", "k"]),
        ("upstream", ["pair_id", "side", "component", "up_layer", "up_head"]),
    ):
        cast = "side::VARCHAR AS side, component::VARCHAR AS component"
        shown = f"* REPLACE ({cast})" if name == "upstream" else "*"
        with connect(Stores.of(finished.stores[0])) as con:
            wanted = con.sql(f"SELECT {shown} FROM {name}").pl()
        columns = [column for column in made[name].columns if column in wanted.columns]
        assert {*keys, "contribution"} <= set(columns) == set(made[name].columns)
        one, other = (frame.select(columns).sort(keys) for frame in (made[name], wanted))
        assert one.height > 0
        assert one.cast(dict(other.schema)).equals(other), name


def test_a_folder_of_an_older_svt_is_refused(tmp_path: Path, two_prompts: Path) -> None:
    shutil.copytree(two_prompts, tmp_path / "out")
    dump = pl.read_parquet(tmp_path / "out" / "dump.parquet")
    dump.with_columns(schema_version=2).write_parquet(tmp_path / "out" / "dump.parquet")
    (tmp_path / "out" / "writers.parquet").unlink()
    with pytest.raises(SvtError, match=r"out was written by svt 0 in schema 2, .* dump again"):
        connect(Stores.of(tmp_path / "out"))


def test_large_tables_are_written_some_prompts_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(tmp_path / "store.duckdb", 3, 4, 7)
    monkeypatch.setattr(exporting, "_ROWS", 4)  # of 6 pairs: two prompts, then one
    monkeypatch.setattr(exporting, "_LIST_ROWS", 4)
    export(store, tmp_path / "out")
    files = sorted(f.relative_to(tmp_path / "out") for f in (tmp_path / "out/pairs").rglob("*.*"))
    assert [str(f) for f in files] == [
        f"pairs/layer={layer}/prompts_from_{first}_0.parquet"
        for layer in (1, 2)
        for first in (3, 7)
    ]
    with connect(Stores.of(store)) as one, connect(Stores.of(tmp_path / "out")) as other:
        for table in (*BY_LAYER, "prompts"):
            a, b = (c.sql(f"FROM {table} ORDER BY ALL").pl() for c in (one, other))
            assert a.equals(b), table


def test_stores_together_become_one_folder(finished: Finished, tmp_path: Path) -> None:
    parts = cut(finished.stores[0], tmp_path / "cut", 2)
    export(tmp_path / "cut" / "*.duckdb", tmp_path / "out")
    with connect(Stores.of(parts)) as union, connect(Stores.of([tmp_path / "out"])) as again:
        for query in ("FROM dump", "FROM upstream ORDER BY ALL"):
            assert union.sql(query).pl().equals(again.sql(query).pl())


def test_the_results_of_a_run(finished: Finished, tmp_path: Path) -> None:
    export(finished.runs[0], tmp_path / "out")
    edges = pl.read_parquet(tmp_path / "out" / "graph_edges.parquet")
    assert edges.height == answer(finished.runs[0], "from results.graph_edges", []).height
    with pytest.raises(SvtError, match="give a run folder"):
        answer(tmp_path / "out", "summary", [])


def test_a_folder_that_holds_something_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make(tmp_path / "store.duckdb", 0)
    (tmp_path / "out").mkdir()
    main([str(store), str(tmp_path / "out")])  # empty is as good as new
    assert "files, " in capsys.readouterr().out
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit):
        main([str(store), str(tmp_path / "out")])
    assert "exists already; name a new or an empty folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(tmp_path / "gone.duckdb"), str(tmp_path / "other")])
    assert "gone.duckdb does not exist" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_what_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(tmp_path / "store.duckdb", 0)
    (tmp_path / ".out.tmp").mkdir()  # of a process that was killed
    (tmp_path / ".out.tmp" / "half.parquet").write_text("half")

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(exporting, "format_readme", full)
        with pytest.raises(SvtError, match=r"could not write .*out: .*No space.*nothing was left"):
            export(store, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["store.duckdb"]
    export(store, tmp_path / "out")
    assert not (tmp_path / "out" / "half.parquet").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("roles.parquet", "out lacks roles.parquet"),
        ("pair_upstream", "out lacks pair_upstream.parquet"),
        ("pair_upstream/layer=1", r"the table pair_upstream has 4 rows, 6 were written"),
        ("counts.json", r"out/counts.json cannot be read \(.*\)"),
    ],
)
def test_what_is_gone_is_named(tmp_path: Path, two_prompts: Path, name: str, message: str) -> None:
    """A prompt has lists of two sides of a pair of layer 2, and of one of layer 1."""
    shutil.copytree(two_prompts, tmp_path / "out")
    (tmp_path / "out" / name).rename(tmp_path / "gone")
    with pytest.raises(SvtError, match=rf"{message}; export the store again"):
        connect(Stores.of(tmp_path / "out"))


@pytest.mark.parametrize(
    ("name", "content"),
    [("roles", b"garbage"), ("roles", None), ("counts.json", b"[1]"), ("counts.json", b"\xff")],
)
def test_a_file_that_is_another_is_named(
    tmp_path: Path, two_prompts: Path, name: str, content: bytes | None
) -> None:
    out = tmp_path / "out"
    shutil.copytree(two_prompts, out)
    file = out / (name if "." in name else f"{name}.parquet")
    if content is None:
        content = (out / "prompts.parquet").read_bytes()
    file.write_bytes(content)
    with pytest.raises(SvtError, match=rf"out.*{name}.* cannot be read .*; export the store again"):
        connect(Stores.of(out))


def test_a_damaged_store_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make(tmp_path / "store.duckdb", 0)
    with duckdb.connect(str(store), read_only=True) as con:
        ((block,),) = con.execute(
            "SELECT max(block_id) FROM pragma_storage_info('pairs') WHERE column_name = 'weight'"
        ).fetchall()
    hurt = bytearray(store.read_bytes())
    hurt[HEADERS + block * 262_144 + 100] ^= 1
    store.write_bytes(hurt)
    with pytest.raises(SystemExit):
        main([str(store), str(tmp_path / "out")])
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"svt-export: {store} is damaged (")
    assert [path.name for path in tmp_path.iterdir()] == ["store.duckdb"]


@pytest.mark.parametrize("kind", [duckdb.IOException, duckdb.InternalException])
def test_any_error_of_the_database_is_one_line(
    tmp_path: Path,
    two_prompts: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: type[duckdb.Error],
) -> None:
    def broken(*_: object) -> None:
        raise kind("Corrupt database file\nat length")

    shutil.copytree(two_prompts, tmp_path / "out")
    monkeypatch.setattr(exporting, "_write", broken)
    with pytest.raises(SystemExit):  # the folder of an exported store is no file to look into
        main([str(tmp_path / "out"), str(tmp_path / "again")])
    message = capsys.readouterr().err
    assert "Corrupt database file" in message and "is damaged" not in message
    assert message.count("\n") == 1


def test_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make(tmp_path / "store.duckdb", 0)
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    main([str(store), "."])
    assert "0 files" not in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    with connect(Stores.of(tmp_path / "out")) as con:
        assert con.execute("SELECT count(*) FROM prompts").fetchall() == [(1,)]
