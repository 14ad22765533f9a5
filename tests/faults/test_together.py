"""Several processes at once, and folders in which nothing can be written."""

import shutil
import time
from pathlib import Path

import pytest

from svt.cli.own_files import LOCK
from tests.answers import answer
from tests.faults.conftest import Job
from tests.faults.disks import unwritable
from tests.faults.forked import KILLED, Child, ran
from tests.faults.states import check_store, content, leftovers, stores
from tests.marks import first

DUMPED = "planted: 4 layers, 6 heads"  # what who dumps says


@pytest.mark.parametrize("n", first(1, [2, 3, 4]))
def test_processes_that_want_the_same_store(job: Job, tmp_path: Path, n: int) -> None:
    folders = [f"run{i}" for i in range(n)]
    ended = [
        child.end()
        for child in [Child(tmp_path, *job("dump,trace"), folder=folder) for folder in folders]
    ]
    assert [run.code for run in ended] == [0] * n, [run.message for run in ended]
    assert sum(DUMPED in run.message for run in ended) == 1
    (store,) = stores(tmp_path / "outputs/stores")
    check_store(store)
    first, *others = (content(tmp_path / folder / "results.duckdb") for folder in folders)
    assert all(other == first for other in others)


def test_who_waits_for_one_that_is_killed_makes_the_store(job: Job, tmp_path: Path) -> None:
    folder = tmp_path / "outputs/stores"
    first = Child(tmp_path, *job("dump"), folder="run0")
    while not list(folder.glob(".*.partial*")) and first.process.is_alive():
        time.sleep(0.002)
    second = Child(tmp_path, *job("dump"), folder="run1")
    assert first.kill_after(0.05).code == KILLED
    ended = second.end()
    assert ended.code == 0, ended.message
    check_store(*stores(folder))


@pytest.mark.parametrize("n", first(1, [2, 3, 4]))
def test_processes_that_want_the_same_run_folder(made: Path, tmp_path: Path, n: int) -> None:
    run = shutil.copytree(made / "run", tmp_path / "run")
    stages = "stages=[trace,evaluate,chart]"
    overrides = (f"run.path={run}", "run.overwrite=true", stages, "chart.figures=[graph]")
    ended = [child.end() for child in [Child(tmp_path, *overrides) for _ in range(n)]]
    assert 0 in [one.code for one in ended]
    for one in ended:
        assert one.code == 0 or f"another run is writing in {run}" in one.message
    assert answer(run, "select count(*) from run", []).item() == 1
    assert leftovers(run) == []
    assert not (run / LOCK).exists()


def test_a_store_in_a_folder_that_cannot_be_written(job: Job, made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made / "outputs/stores", tmp_path / "outputs/stores")
    with unwritable(folder):
        ended = ran(tmp_path, *job("dump,trace"))
        assert ended.code == 0, ended.message
        assert DUMPED not in ended.message
        assert answer(tmp_path / "run", "summary", []).height == 1
        other = ran(tmp_path, *job("dump", "dump.seed=1"), folder="other")
        assert other.code == 1
        assert "svt: store.dir: cannot write in outputs/stores" in other.message
        assert "Traceback" not in other.message


def test_a_file_where_the_folder_of_stores_should_be(job: Job, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    ended = ran(tmp_path, *job("dump", "store.dir=file"))
    assert ended.code == 1
    assert "svt: store.dir: cannot write in file" in ended.message
    assert "Traceback" not in ended.message


def test_a_run_folder_that_cannot_be_written(made: Path, tmp_path: Path) -> None:
    run = shutil.copytree(made / "run", tmp_path / "run")
    before = content(run / "results.duckdb")
    with unwritable(run):
        again = (f"run.path={run}", "run.overwrite=true", "stages=[trace]", "trace.coverage=0.3")
        ended = ran(tmp_path, *again)
        assert ended.code == 1
        assert f"svt: cannot write in {run} (Read-only file system)" in ended.message.replace(
            "Permission denied", "Read-only file system"
        )
        assert "Traceback" not in ended.message
        assert answer(run, "shown_edges", []).height > 0
    assert content(run / "results.duckdb") == before
