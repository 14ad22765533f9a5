"""Files that were cut off, or in which a bit was turned: an error that names them, or the truth."""

import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest

from svt.cli import sweep
from svt.errors import SvtError
from svt.stages.intervene import FINISHED
from svt.store.resumable import open_units
from svt.system.digests import Digests
from tests.answers import answer
from tests.faults.conftest import Job
from tests.faults.damaged import HEADERS, damaged
from tests.faults.forked import ran
from tests.faults.states import content, stores
from tests.marks import first


@pytest.mark.parametrize("ks", first(1, [range(9), range(9, 40)]), ids=str)  # of every kind
def test_every_damage_to_a_store_is_seen_or_changes_nothing(
    made: Path, tmp_path: Path, ks: range
) -> None:
    (store,) = stores(made / "outputs/stores")
    whole, wanted, seen = store.read_bytes(), content(store), 0
    hurt = tmp_path / "store.duckdb"
    for k in ks:
        hurt.write_bytes(damaged(whole, k))
        try:
            assert content(hurt) == wanted
        except duckdb.Error:
            seen += 1
    assert seen > len(ks) * 3 // 4


@pytest.mark.parametrize("k", first(1, [4, 0, 1, 5, 2, 3]))  # in rows, cut, the headers, behind
def test_a_damaged_store_is_named(made: Path, job: Job, tmp_path: Path, k: int) -> None:
    run = shutil.copytree(made / "run", tmp_path / "run")
    folder = shutil.copytree(made / "outputs/stores", tmp_path / "outputs/stores")
    (store,) = stores(folder)
    whole = store.read_bytes()
    hurt = bytearray(damaged(whole, k))
    if k == 4:  # in the rows of a table that the trace reads, so that the store opens
        with duckdb.connect(str(store), read_only=True) as con:
            (block,) = con.execute(
                "SELECT max(block_id) FROM pragma_storage_info('pairs') "
                "WHERE column_name = 'weight'"
            ).fetchall()[0]
        hurt = bytearray(whole)
        hurt[HEADERS + block * 262_144 + 100] ^= 1
    store.write_bytes(hurt)
    again = ran(tmp_path, *job("dump,trace"), folder="another")
    if again.code == 0:
        assert content(tmp_path / "another/results.duckdb") == content(run / "results.duckdb")
    else:
        assert "Traceback" not in again.message
        assert str(store.relative_to(tmp_path)) in again.message
        assert not (tmp_path / "another").exists()
    assert k != 4 or again.code == 1
    shutil.move(store, tmp_path)
    repaired = ran(tmp_path, *job("dump,trace"), folder="another")
    assert repaired.code == 0, repaired.message
    assert content(tmp_path / "another/results.duckdb") == content(run / "results.duckdb")


@pytest.mark.parametrize("ks", first(1, [range(9), range(9, 36)]), ids=str)  # of every kind
@pytest.mark.parametrize("query", first(1, ["select sum(weight) from pairs", "firings", "summary"]))
def test_svt_sql_names_a_damaged_store(made: Path, tmp_path: Path, query: str, ks: range) -> None:
    (store,) = stores(made / "outputs/stores")
    whole, n_errors, right = store.read_bytes(), 0, answer(store, query, [])
    hurt = tmp_path / "store.duckdb"
    for k in ks:
        hurt.write_bytes(damaged(whole, k))
        try:
            assert answer(hurt, query, []).equals(right)
        except SvtError as error:
            assert str(hurt) in str(error)
            assert "\n" not in str(error)
            n_errors += 1
    assert n_errors > len(ks) // 6


@pytest.mark.parametrize("stages", first(1, ["evaluate", "trace", "chart"]))
def test_damaged_results(made: Path, tmp_path: Path, stages: str) -> None:
    run, after = tmp_path / "run", tmp_path / "after"
    overrides = ("run.overwrite=true", f"stages=[{stages}]", "chart.figures=[graph]")
    shutil.copytree(made / "run", after)
    assert ran(tmp_path, f"run.path={after}", *overrides, folder="after").code == 0
    whole = (made / "run/results.duckdb").read_bytes()
    for k in (0, 2, 4):  # cut, in the headers, behind them
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(made / "run", run)
        (run / "results.duckdb").write_bytes(damaged(whole, k))
        ended = ran(tmp_path, f"run.path={run}", *overrides)
        assert "Traceback" not in ended.message
        if ended.code == 0:
            assert content(run / "results.duckdb") == content(after / "results.duckdb")
        else:
            assert "results.duckdb" in ended.message


def test_a_damaged_file_of_finished_units_gives_no_other_rows(tmp_path: Path) -> None:
    path, hurt = tmp_path / FINISHED, tmp_path / "hurt.duckdb"
    numbers = np.arange(3.0)
    rows = {
        "min_count": np.arange(3),
        "n_heads": np.ones(3, np.int32),
        "control": ["traced"] * 3,
        "ablation": ["mean"] * 3,
        **dict.fromkeys(("logit_diff", "logit_diff_full", "logit_diff_none", "accuracy"), numbers),
    }
    with open_units(path, "this", "faithfulness") as units:
        units.add(0, [rows])
    whole = path.read_bytes()
    for k in range(9):
        hurt.write_bytes(damaged(whole, k))
        try:
            with open_units(hurt, "this", "faithfulness") as units:
                found = units.con.execute("SELECT logit_diff FROM faithfulness").fetchall()
                assert found == ([(0.0,), (1.0,), (2.0,)] if units.done else [])
        except duckdb.Error as error:
            assert "Corrupt" in str(error)


def test_a_damaged_memory_of_digests_is_none(tmp_path: Path) -> None:
    file, cache = tmp_path / "file", tmp_path / ".digests.json"
    file.write_bytes(b"weights")

    def taken() -> str:
        digests = Digests(cache)
        found = digests.of(file)
        digests.save()
        return found

    right = taken()
    whole = cache.read_bytes()
    for k in range(200):
        place, bit = divmod(k * 7, 8)
        turned = bytearray(whole)
        turned[place % len(whole)] ^= 1 << bit
        cache.write_bytes(whole[:k] if k % 2 else turned)
        assert taken() == right


@pytest.mark.parametrize(
    ("name", "content"),
    first(
        2,
        [
            ("1/job.json", b"{"),
            *(("1/results.duckdb", c) for c in (b"no database", b"")),
            *(("1/job.json", c) for c in (b'{"status": "done"}', b"", b"[]", b"\xff", b"null")),
        ],
    ),
)
def test_a_sweep_with_a_damaged_job(
    swept: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    (swept / name).write_bytes(content)
    assert not sweep.collect(swept)
    assert "sweep: 1 of 2 jobs done" in capsys.readouterr().err
    rows = answer(swept, "select job, status from run order by job", []).rows()
    assert rows[0] == (0, "done")
    assert rows[1][1].startswith(f"its {name[2:]} cannot be read")
    edges = answer(swept, "select distinct job from graph_edges", [])
    assert edges["job"].to_list() == [0]


@pytest.mark.parametrize("content", first(3, [b"{", b"{}", None, b"", b"[]", b"\xff"]))
def test_a_sweep_with_damaged_keys(
    swept: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    if content is None:
        (swept / "keys.json").unlink()
    else:
        (swept / "keys.json").write_bytes(content)
    assert not sweep.collect(swept)
    assert "keys.json cannot be read" in capsys.readouterr().err
    assert len(list(swept.glob("*/results.duckdb"))) == 2
