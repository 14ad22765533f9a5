"""`svt run.path=RUN "stages=[trace,...]"`: a new run beside the old one, which stays as it is."""

import shlex
from pathlib import Path

import pytest

from svt.cli import main, sql
from svt.config import Config
from svt.store.results import NAME, load_config
from svt.system.shell import find_command
from tests.conftest import Svt
from tests.faults.states import content, pictures

TRACE = ("stages=[trace,evaluate]", "trace.coverage=0.3")


def test_a_new_trace_makes_a_run_beside_the_old_one(
    svt: Svt, traced: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With its store and settings, but for what the command line changes."""
    before, drawn = content(traced / NAME), pictures(traced)
    old = load_config(traced)
    assert svt(f"run.path={traced}", *TRACE).code == 0
    (new,) = (path for path in traced.parent.iterdir() if path.name not in ("run", "outputs"))
    assert f"a new run, {new}; {traced} stays as it is" in capfd.readouterr().err
    assert content(traced / NAME) == before
    assert pictures(traced) == drawn != {}
    made = load_config(new)
    assert made["trace"].pop("coverage") == 0.3 != old["trace"].pop("coverage")
    for group in ("model", "dataset", "dump", "trace"):
        assert made[group] == old[group]


def test_a_job_of_a_sweep_has_no_run_beside_it(svt: Svt, traced: Path) -> None:
    sweep = traced.parent / "sweep"
    sweep.mkdir()
    (sweep / "keys.json").write_text('{"keys": []}')
    job = traced.rename(sweep / "0")
    done = svt(f"run.path={job}", *TRACE)
    assert (done.code, len(done.runs)) == (0, 1)
    assert {path.name for path in sweep.iterdir()} == {"0", "keys.json"}


def test_the_runs_own_folder_needs_overwrite(
    svt: Svt, traced: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = content(traced / NAME)
    assert svt(f"run.path={traced}", f"hydra.run.dir={traced}", *TRACE).code == 1
    assert "add run.overwrite=true" in capfd.readouterr().err
    assert content(traced / NAME) == before


def test_drawing_one_figure_or_format_leaves_the_others(svt: Svt, traced: Path) -> None:
    before = pictures(traced)
    again = (f"run.path={traced}", "stages=[chart]", "chart.figures=[slice_counts]")
    assert svt(*again, "chart.format=[svg]").code == 0
    after = pictures(traced)
    assert after.keys() - before.keys() == {"charts/slice_counts.svg"}
    assert before.items() <= after.items()


def test_what_is_printed_to_try_next_works(
    svt: Svt, traced: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command as it is printed: on this run's model and prompts; its trace stays."""
    calls = []

    def noted(config: Config, folder: Path) -> None:
        calls.append((config.stages, config.model.name, config.dataset.n_prompts, folder))

    monkeypatch.chdir(traced.parent)
    assert svt(f"run.path={traced}", "stages=[evaluate]").code == 0
    _, _, advice = capfd.readouterr().out.partition("try next:\n")
    monkeypatch.setattr(main, "run_stages", noted)
    for words in map(shlex.split, advice.splitlines()):
        if words[0] == find_command("svt-sql"):
            sql.main(words[1:])
        else:
            assert words[0] == find_command("svt")
            assert svt(*words[1:]).code in (0, 1)  # a sweep misses its jobs' results
    assert len(calls) == 1 + 1 + 4
    assert {(model, n) for _, model, n, _ in calls} == {("ioi-mini", 16)}
    assert all("trace" not in stages for stages, *_, folder in calls if folder == traced)
    assert "Traceback" not in capfd.readouterr().err


def test_a_report_and_pictures_of_ones_own_stay(
    svt: Svt, traced: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A page of svt is replaced, another file of its name is not, for any stages."""
    again = (f"run.path={traced}", "chart.figures=[slice_counts]")
    assert svt(*again, "stages=[report]").code == 0
    assert "What the words mean" in (traced / "report.html").read_text()
    own = {traced / "report.html": "<html>my notes</html>", traced / "charts" / "mine.svg": "mine"}
    for path, text in own.items():
        path.write_text(text)
    assert svt(*again, "stages=[chart,report]").code == 1
    assert "report.html: svt did not write this file; move it" in capfd.readouterr().err
    assert svt(*again, "stages=[evaluate]").code == 0
    assert {path: path.read_text() for path in own} == own
    assert sorted(path.name for path in (traced / "charts").iterdir()) == ["mine.svg"]
