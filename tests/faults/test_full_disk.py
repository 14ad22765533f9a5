"""A disk that fills during a stage: one message, nothing half-written, and then it goes on."""

import shutil
from pathlib import Path

import duckdb
import pytest

from svt.cli import sweep
from svt.errors import SvtError
from svt.stages.intervene import FINISHED
from svt.store.export import export
from tests.conftest import Finished
from tests.faults.conftest import Job
from tests.faults.disks import files_up_to, give_space, small_disk
from tests.faults.forked import KILLED, Ended, Limits, die, ran
from tests.faults.states import check_store, content, leftovers, pictures, stores
from tests.marks import first

INTERVENE = ("intervene.repeats=1", "intervene.scopes=[global]", "intervene.kinds=[ablate]")


def is_one_message(ended: Ended, message: str) -> None:
    assert ended.code == 1, ended.message
    assert "Traceback" not in ended.message
    assert message in ended.message


@pytest.mark.parametrize("n_bytes", first(1, [300_000, 3_000, 2_000_000]))
def test_a_dump(job: Job, tmp_path: Path, n_bytes: int) -> None:
    ended = ran(tmp_path, *job("dump"), limits=Limits(n_bytes))
    is_one_message(ended, "could not write the store")
    assert "File too large" in ended.message
    assert stores(tmp_path / "outputs/stores") == []
    assert not (tmp_path / "run").exists()
    assert ran(tmp_path, *job("dump")).code == 0
    (store,) = stores(tmp_path / "outputs/stores")
    check_store(store)


@pytest.mark.long
def test_a_store_that_lacks_its_name_alone(job: Job, tmp_path: Path) -> None:
    """What was whole before the disk filled is not thrown away; its last step waits for space."""
    folder = tmp_path / "outputs/stores"
    ended = ran(tmp_path, *job("dump"), limits=Limits(values={"svt.store.writer.run_checks": die}))
    assert ended.code == KILLED
    (partial,) = folder.glob(".*.partial")
    with duckdb.connect() as con:  # to the moment before the last checkpoint
        con.execute(f"ATTACH '{partial}' AS store")
        con.execute("CHECKPOINT store")
        con.execute("DROP SCHEMA store.unfinished CASCADE")
        left = {path: path.read_bytes() for path in folder.glob(".*.partial*")}
    for path, written in left.items():
        path.write_bytes(written)
    is_one_message(ran(tmp_path, *job("dump"), limits=Limits(3_000)), "could not write the store")
    again = ran(tmp_path, *job("dump"))
    assert again.code == 0, again.message
    assert "was complete when a run was stopped" in again.message
    check_store(*stores(folder))


@pytest.mark.long
@pytest.mark.parametrize("size", ["1m", "64k", "3m"])
def test_a_dump_on_a_small_disk(job: Job, tmp_path: Path, size: str) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, size):
        overrides = job("dump", f"store.dir={disk}")
        is_one_message(ran(tmp_path, *overrides), f"could not write the store {disk}")
        assert stores(disk) == []
        give_space(disk)
        again = ran(tmp_path, *overrides)
        assert again.code == 0, again.message
        check_store(*stores(disk))
        assert leftovers(disk) == []


# stages and what else is asked for; how large a file may become; what is said
STEPS = [
    ("trace", (), 10_000, "could not write"),
    ("chart", ("chart.figures=[graph]",), 2_000, "cannot write"),
    ("intervene", INTERVENE, 10_000, "could not write"),
    ("intervene", INTERVENE, 600_000, "could not write"),
    ("trace,evaluate", ("trace.coverage=0.3",), 600_000, "could not write"),
    ("report", ("chart.figures=[graph]",), 20_000, "cannot write"),
]


@pytest.mark.parametrize(("stages", "others", "n_bytes", "message"), first(2, STEPS))
def test_a_run(
    made: Path, tmp_path: Path, stages: str, others: tuple[str, ...], n_bytes: int, message: str
) -> None:
    run = shutil.copytree(made / "run", tmp_path / "run")
    before = content(run / "results.duckdb"), pictures(run)
    overrides = ("run.path=run", "run.overwrite=true", f"stages=[{stages}]", *others)
    is_one_message(ran(tmp_path, *overrides, limits=Limits(n_bytes)), message)
    assert content(run / "results.duckdb") == before[0]
    found = pictures(run)
    if "chart" not in stages:
        assert found == before[1]
    assert leftovers(run) == []
    again = ran(tmp_path, *overrides)
    assert again.code == 0, again.message
    assert leftovers(run) == []
    assert not (run / FINISHED).exists()


@pytest.mark.parametrize("size", first(1, ["100k", "600k"]))
def test_a_run_on_a_small_disk(job: Job, made: Path, tmp_path: Path, size: str) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, size):
        overrides = job("trace", f"store.dir={made / 'outputs/stores'}")
        is_one_message(ran(tmp_path, *overrides, folder="disk/run"), "could not write")
        assert [path.name for path in disk.rglob("*") if path.is_file()] == []
        give_space(disk)
        again = ran(tmp_path, *overrides, folder="disk/run")
        assert again.code == 0, again.message


def test_a_sweep_put_together(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with files_up_to(100_000):
        assert not sweep.collect(swept)
    assert "could not write" in capsys.readouterr().err
    assert list(swept.glob("sweep*")) == leftovers(swept) == []
    assert sweep.collect(swept)
    assert sorted(path.name for path in swept.glob("sweep*")) == ["sweep.duckdb", "sweep.json"]
    assert leftovers(swept) == []


def test_a_sweep_whose_chart_finds_no_space(
    swept: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SvtError("cannot write sweep.json: no space")

    monkeypatch.setattr(sweep, "_draw", full)
    assert not sweep.collect(swept)
    assert "svt: cannot write sweep.json: no space" in capsys.readouterr().err
    assert (swept / "sweep.duckdb").is_file()


@pytest.mark.parametrize("n_bytes", first(1, [10_000, 100]))
def test_an_export(finished: Finished, tmp_path: Path, n_bytes: int) -> None:
    folder = tmp_path / "exported"
    with files_up_to(n_bytes), pytest.raises(SvtError, match=r"could not write .*exported"):
        export(finished.stores[0], folder)
    assert list(tmp_path.iterdir()) == []
    export(finished.stores[0], folder)
    assert (folder / "pairs").is_dir()
