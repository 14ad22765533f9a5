"""`svt list` and `svt clean`: what there is, and that only what is named and svt's goes."""

import shutil
from pathlib import Path

import pytest

from svt.cli.inventory import clean, list_entries
from svt.errors import SvtError
from tests.conftest import Finished, svt_in


@pytest.fixture
def outputs(finished: Finished, tmp_path: Path) -> Path:
    """A run, its store (which the copied run still names where it was) and a stopped dump."""
    shutil.copytree(finished.runs[0], tmp_path / "outputs" / "runs" / "one")
    shutil.copytree(finished.cwd / "outputs" / "stores", tmp_path / "outputs" / "stores")
    (tmp_path / "outputs" / "stores" / ".x.duckdb.partial").write_bytes(b"1234")
    return tmp_path / "outputs"


def test_the_list_has_runs_and_stores(finished: Finished) -> None:
    run, store = list_entries(finished.cwd / "outputs").to_dicts()
    assert (run["kind"], run["model"], run["data"]) == ("run", "ioi-mini", "ioi 16")
    assert run["store"] == finished.stores[0].name
    assert store["store"] == "used by 1 runs"
    assert run["settings"] == store["settings"] == ""
    assert store["size"].endswith(" MB")


def test_the_list_has_what_is_unfinished_or_unreadable(outputs: Path) -> None:
    (outputs / "stores" / "odd.duckdb").write_text("no store")
    settings = dict(list_entries(outputs).select("path", "settings").rows())
    assert "stopped" in settings[str(outputs / "stores" / ".x.duckdb.partial")]
    assert "cannot be read" in settings[str(outputs / "stores" / "odd.duckdb")]


def test_only_what_is_named_goes(outputs: Path) -> None:
    (run,), stores = (outputs / "runs").iterdir(), set((outputs / "stores").iterdir())
    (told,) = clean([run], outputs)
    assert told.startswith(f"removed {run}, ")
    assert not run.exists()
    assert set((outputs / "stores").iterdir()) == stores
    clean([outputs / "stores" / ".x.duckdb.partial"], outputs)
    assert len(stores - set((outputs / "stores").iterdir())) == 1


def test_files_of_ones_own_stay_in_a_removed_run(outputs: Path) -> None:
    (run,) = (outputs / "runs").iterdir()
    (run / "charts" / "mine.svg").write_text("mine")
    (told,) = clean([run], outputs)
    assert "1 files that are not svt's stay there" in told
    assert [path for path in run.rglob("*") if path.is_file()] == [run / "charts" / "mine.svg"]


def test_a_store_that_a_run_needs_stays(finished: Finished) -> None:
    (store,) = finished.stores
    with pytest.raises(SvtError, match="was made from it; name that run too"):
        clean([store], finished.cwd / "outputs")
    assert store.exists()


@pytest.mark.parametrize("name", ["notes.txt", "folder", "gone"])
def test_what_is_not_svts_is_refused_and_nothing_goes(outputs: Path, name: str) -> None:
    (outputs / "notes.txt").write_text("mine")
    (outputs / "folder").mkdir()
    (run,) = (outputs / "runs").iterdir()
    with pytest.raises(SvtError, match="no run, sweep or store of svt"):
        clean([run, outputs / name], outputs)
    assert run.exists()


def test_the_command_prints_both(
    finished: Finished, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert svt_in(finished.cwd, "list").code == 0
    assert finished.stores[0].name in capsys.readouterr().out
    assert svt_in(outputs.parent, "clean", "outputs/notes.txt").code == 2
    assert "svt: outputs/notes.txt: no run, sweep or store of svt" in capsys.readouterr().err
    assert svt_in(outputs.parent, "clean", "outputs/runs/one").code == 0
    assert "removed outputs/runs/one" in capsys.readouterr().out


def test_a_dry_run_says_what_it_would_take(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--dry-run", "dataset.n_prompts=40", "dump.batch_size=4")
    assert svt_in(tmp_path, *few).code == 0
    out = capsys.readouterr().out
    assert "stages: dump, trace, evaluate, chart, report" in out
    assert "to be made\ndump: about " in out and " for 40 prompts" in out
    assert not list((tmp_path / "outputs").rglob("*.duckdb"))
    assert not list((tmp_path / "outputs").glob("runs/*"))
    assert svt_in(finished.cwd, "--dry-run", "dataset.n_prompts=16").code == 0
    assert f"{finished.stores[0].name}, which exists" in capsys.readouterr().out
    assert svt_in(tmp_path, "-m", "--dry-run", "trace.coverage=0.5,0.6").code == 1
    assert "--dry-run supports one run only" in capsys.readouterr().err
