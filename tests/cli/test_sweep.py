"""Sweeps: one store, the jobs' results together, also when a job failed."""

import json
from pathlib import Path

import duckdb
import pytest

from svt.cli.sql import answer
from tests.conftest import Finished, Svt

FEW = ("dataset.n_prompts=6", "chart.format=[json]")
FAST = (*FEW, "stages=[dump,trace,evaluate]")


def test_a_sweep_dumps_once_and_stands_together(svt: Svt) -> None:
    done = svt("-m", *FAST, "trace.coverage=0.4,0.8", "trace=paper,released")
    assert done.code == 0
    assert len(done.stores) == 1
    (at,) = done.sweeps
    rows = answer(at, "select job, status, trace_coverage, trace from run order by job", []).rows()
    assert rows == [
        (0, "done", 0.4, "paper"),
        (1, "done", 0.4, "released"),
        (2, "done", 0.8, "paper"),
        (3, "done", 0.8, "released"),
    ]
    edges = dict(answer(at, "select job, count(*) from trace_edges group by job", []).iter_rows())
    assert edges[0] < edges[2]
    assert edges[1] < edges[3]
    for job, n in edges.items():
        alone = answer(at / str(job), "select count(*) as n from trace_edges", [])
        assert alone["n"][0] == n
    assert (at / "sweep.json").exists()
    assert not list(at.glob("sweep_roles*"))  # which are of several models
    assert answer(at, "sweep", [])["trace_coverage"].to_list() == [0.4, 0.4, 0.8, 0.8]
    assert answer(at, "select count(*) as n from pairs", [])["n"][0] > 0  # the store beside it


def test_jobs_are_drawn_only_where_the_command_says(
    svt: Svt, capfd: pytest.CaptureFixture[str]
) -> None:
    """The sweep's own picture is there in any case, in the look that the settings say."""
    few = (*FEW, "trace.coverage=0.5,0.7", "chart.figures=[slice_counts]")
    look = ("chart.format=[json,svg]", "chart.width=321", "chart.font=Georgia", "chart.title=Mine")
    (at,) = svt("-m", *few, *look).sweeps
    spec = json.loads((at / "sweep.json").read_text())
    assert spec["title"]["text"] == "Mine"
    assert spec["config"]["font"].startswith("Georgia, ")
    svg = (at / "sweep.svg").read_text()
    assert 'width="321.00"' in svg and "Georgia" in svg
    assert not [
        name for job in "01" for name in ("charts", "report.html") if (at / job / name).exists()
    ]
    assert f'run.path=outputs/sweeps/{at.name}/0 "stages=[chart,report]"' in capfd.readouterr().err
    _, drawn = svt("-m", *few, "stages=[dump,trace,evaluate,chart]").sweeps
    assert (drawn / "1" / "charts" / "slice_counts.json").exists()


def test_a_failed_job_is_named_and_the_others_are_kept(
    svt: Svt, capfd: pytest.CaptureFixture[str]
) -> None:
    done = svt("-m", *FAST, "trace.coverage=0.5,1.5,0.7")
    assert done.code == 1
    (at,) = done.sweeps
    rows = answer(at, "select job, status, trace_coverage from run order by job", []).rows()
    assert rows == [
        (0, "done", 0.5),
        (1, "trace.coverage=1.5: must lie in [0, 1]", 1.5),
        (2, "done", 0.7),
    ]
    assert answer(at, "select distinct job from graph_edges order by 1", [])["job"].to_list() == [
        0,
        2,
    ]
    err = capfd.readouterr().err
    assert "2 of 3 jobs done" in err
    assert "failed jobs: 1" in err


def test_a_job_that_crashes_does_not_take_the_sweep_along(
    svt: Svt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from svt.cli import main

    real, calls = main.run_stages, []

    def second_crashes(config, folder):  # type: ignore[no-untyped-def]
        calls.append(folder)
        if len(calls) == 2:
            raise RuntimeError("a fault of svt")
        return real(config, folder)

    monkeypatch.setattr(main, "run_stages", second_crashes)
    with pytest.raises(RuntimeError, match="a fault of svt"):
        svt("-m", *FAST, "trace.coverage=0.5,0.7")
    status = answer(Finished(1, tmp_path).sweeps[0], "select status from run order by job", [])[
        "status"
    ]
    assert status[0] == "done"
    assert "end" in status[1]


def test_a_sweep_of_dumps_stands_in_run_alone(svt: Svt) -> None:
    done = svt("-m", *FEW, "stages=[dump]", "dump.sample=0,0.5")
    assert done.code == 0
    assert len(done.stores) == 2
    rows = answer(
        done.sweeps[0], "select job, status, dump_sample from run order by job", []
    ).rows()
    assert rows == [(0, "done", 0.0), (1, "done", 0.5)]


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
    assert svt("-m", "hydra.sweep.dir=here", "trace.coverage=1.4,1.5,1.6").code == 1
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
