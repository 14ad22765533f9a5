"""Sweeps: one store, the jobs' results together, also when a job failed."""

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from svt.cli.sweep import collect
from tests.answers import answer
from tests.conftest import Finished, Svt, svt_in

FEW = ("dataset.n_prompts=2", "dump.min_weight=0.5", "dump.sample=0", "chart.format=[json]")
FAST = (*FEW, "stages=[dump,trace,evaluate]")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Four jobs, of which the first two fail; for tests to read."""
    at = tmp_path_factory.mktemp("swept")
    return svt_in(at, "-m", *FAST, "trace.coverage=1.5,0.6", "trace=paper,released")


def test_a_sweep_dumps_once_and_collects_its_jobs(swept: Finished) -> None:
    assert len(swept.stores) == 1
    (at,) = swept.sweeps
    rows = answer(at, "select job, status, trace_coverage, trace from run order by job", []).rows()
    assert rows[2:] == [(2, "done", 0.6, "paper"), (3, "done", 0.6, "released")]
    edges = dict(answer(at, "select job, count(*) from trace_edges group by job", []).iter_rows())
    assert len({0, *edges.values()}) == 3
    for job, n in edges.items():
        alone = answer(at / str(job), "select count(*) as n from trace_edges", [])
        assert alone["n"][0] == n
    assert (at / "sweep.json").exists()
    assert not list(at.glob("sweep_roles*"))  # which are of several models
    assert answer(at, "sweep", [])["trace_coverage"].to_list() == [1.5, 1.5, 0.6, 0.6]
    assert answer(at, "select count(*) as n from pairs", [])["n"][0] > 0  # the store beside it


def test_jobs_are_drawn_only_where_the_command_says(
    svt: Svt, finished: Finished, capfd: pytest.CaptureFixture[str]
) -> None:
    """The sweep's own picture is there in any case, in the look that the settings say."""
    few = (f"store.path=['{finished.stores[0]}']", "chart.figures=[slice_counts]")
    look = ("chart.format=[json,svg]", "chart.width=321", "chart.font=Georgia", "chart.title=Mine")
    (at,) = svt("-m", *few, *look, "trace.coverage=0.5,1.5").sweeps
    spec = json.loads((at / "sweep.json").read_text())
    assert spec["title"]["text"] == "Mine"
    assert spec["config"]["font"].startswith("Georgia, ")
    svg = (at / "sweep.svg").read_text()
    assert 'width="321.00"' in svg and "Georgia" in svg
    assert (at / "0" / "results.duckdb").exists()
    assert not [name for name in ("charts", "report.html") if (at / "0" / name).exists()]
    assert f'run.path=outputs/sweeps/{at.name}/0 "stages=[chart,report]"' in capfd.readouterr().err
    _, drawn = svt("-m", *few, "chart.format=[json]", "stages=[trace,chart]").sweeps
    assert (drawn / "0" / "charts" / "slice_counts.json").exists()


def test_a_failed_job_is_named_and_the_others_are_kept(
    swept: Finished, capfd: pytest.CaptureFixture[str]
) -> None:
    assert swept.code == 1
    (at,) = swept.sweeps
    rows = answer(at, "select job, status, trace_coverage from run order by job", []).rows()
    message = "trace.coverage=1.5: must lie in [0, 1]"
    assert rows == [(0, message, 1.5), (1, message, 1.5), (2, "done", 0.6), (3, "done", 0.6)]
    jobs = answer(at, "select distinct job from graph_edges order by 1", [])
    assert jobs["job"].to_list() == [2, 3]
    assert not collect(at)
    err = capfd.readouterr().err
    assert "2 of 4 jobs done" in err
    assert "failed jobs: 0, 1" in err


def test_a_job_that_crashes_does_not_take_the_sweep_along(
    svt: Svt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from svt.cli import main

    calls = []

    def second_crashes(_: object, folder: Path) -> None:
        calls.append(folder)
        if len(calls) == 2:
            raise RuntimeError("a fault of svt")

    monkeypatch.setattr(main, "run_stages", second_crashes)
    with pytest.raises(RuntimeError, match="a fault of svt"):
        svt("-m", *FAST, "trace.coverage=0.5,0.7")
    status = answer(Finished(1, tmp_path).sweeps[0], "select status from run order by job", [])[
        "status"
    ]
    assert status[0] == "done"
    assert "end" in status[1]


def test_a_sweep_of_dumps_has_rows_in_run_only(svt: Svt) -> None:
    done = svt("-m", *FEW, "stages=[dump]", "dump.seed=0,1")
    assert done.code == 0
    assert len(done.stores) == 2
    rows = answer(done.sweeps[0], "select job, status, dump_seed from run order by job", []).rows()
    assert rows == [(0, "done", 0), (1, "done", 1)]


def test_a_sweep_that_cannot_start_is_one_message(
    svt: Svt, capfd: pytest.CaptureFixture[str]
) -> None:
    done = svt("-m", *FAST, "trace.coverrage=0.5,0.7")
    assert done.code == 1
    assert done.sweeps == []
    err = capfd.readouterr().err
    assert "coverrage" in err
    assert err.count("\n") == 1


def test_a_refused_sweep_leaves_what_was_in_its_folder(svt: Svt, tmp_path: Path) -> None:
    own = tmp_path / "mine" / "2024" / "notes.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    assert svt("-m", "hydra.sweep.dir=mine", "model=nope,nope2").code == 1
    assert [path for path in (tmp_path / "mine").rglob("*") if path.is_file()] == [own]
    assert own.read_text() == "mine"


def test_a_sweep_in_another_ones_folder_is_alone_in_its_tables(svt: Svt, tmp_path: Path) -> None:
    assert svt("-m", "hydra.sweep.dir=here", "trace.coverage=1.5,1.6").code == 1
    shutil.copytree(tmp_path / "here" / "1", tmp_path / "here" / "2")
    (tmp_path / "here" / "1a").mkdir()
    (tmp_path / "here" / "1a" / "job.json").write_text("no job's")
    assert svt("-m", "hydra.sweep.dir=here", "trace.coverage=1.7,1.8").code == 1
    rows = answer(tmp_path / "here", "select job, trace_coverage from run order by job", []).rows()
    assert rows == [(0, 1.7), (1, 1.8)]
    assert (tmp_path / "here" / "1a" / "job.json").exists()


def test_a_sweep_where_every_job_failed_says_so(svt: Svt) -> None:
    done = svt("-m", *FAST, "trace.coverage=1.5,1.6")
    assert done.code == 1
    with duckdb.connect(str(done.sweeps[0] / "sweep.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*), max(trace_coverage) FROM run").fetchall() == [(2, 1.6)]
