"""`svt list` and `svt clean`: what there is, and that only what is named and svt's goes."""

import shutil
import sys
from pathlib import Path

import pytest

from svt.cli.inventory import clean, list_entries
from svt.cli.main import main
from svt.errors import SvtError
from svt.version import VERSION
from tests.conftest import Finished, svt_in

FEW = ("dataset.n_prompts=2", "dump.min_weight=0.5", "dump.sample=0", "trace.roots=[[5,0]]")


@pytest.fixture
def outputs(finished: Finished, tmp_path: Path) -> Path:
    """A run, its store (which the copied run still names where it was) and a stopped dump."""
    shutil.copytree(finished.runs[0], tmp_path / "outputs" / "runs" / "one")
    shutil.copytree(finished.cwd / "outputs" / "stores", tmp_path / "outputs" / "stores")
    (tmp_path / "outputs" / "stores" / ".x.duckdb.partial").write_bytes(b"1234")
    return tmp_path / "outputs"


def test_the_version_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["svt", "--version"])
    main()
    assert capsys.readouterr().out == f"svt {VERSION}\n"


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


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run in outputs/mine, whose store.dir lies elsewhere."""
    cwd = tmp_path_factory.mktemp("moved")
    where = (f"store.dir={cwd / 'disk' / 'kept'}", "hydra.run.dir=outputs/mine")
    done = svt_in(cwd, *FEW, *where, "stages=[dump,trace]")
    assert done.code == 0
    return done


def test_the_list_has_stores_elsewhere(moved: Finished) -> None:
    (store,) = (moved.cwd / "disk" / "kept").glob("*.duckdb")
    unused, stopped = store.with_name("other.duckdb"), store.with_name(".x.duckdb.partial")
    shutil.copy(store, unused)
    stopped.write_bytes(b"1234")
    rows = {row["path"]: row for row in list_entries(moved.cwd / "outputs").to_dicts()}
    assert set(rows) == {
        str(moved.cwd / "outputs" / "mine"), *map(str, (store, unused, stopped)),
    }  # fmt: skip
    assert rows[str(store)]["store"] == "used by 1 runs"
    assert rows[str(unused)]["store"] == "not used"
    unused.unlink()
    stopped.unlink()


def test_a_store_elsewhere_stays_while_a_run_needs_it(moved: Finished) -> None:
    (store,) = (moved.cwd / "disk" / "kept").glob("*.duckdb")
    with pytest.raises(SvtError, match=r"outputs/mine was made from it; name that run too"):
        clean([store], moved.cwd / "outputs")
    assert store.exists()
    unused = Path(shutil.copy(store, store.with_name("other.duckdb")))
    (message,) = clean([unused], moved.cwd / "outputs")
    assert not unused.exists()
    assert message.endswith("outputs were not looked for")


def test_a_store_by_its_path_is_one_target(moved: Finished, tmp_path: Path) -> None:
    """Other files of a folder that only store.path names are not looked at."""
    (store,) = (moved.cwd / "disk" / "kept").glob("*.duckdb")
    (tmp_path / "mine").mkdir()
    named = Path(shutil.copy(store, tmp_path / "mine" / "named.duckdb"))
    (tmp_path / "mine" / "my own.duckdb").write_text("mine")
    done = svt_in(tmp_path, *FEW, f"store.path='{named}'", "stages=[trace]")
    assert done.code == 0
    run, listed = list_entries(tmp_path / "outputs").to_dicts()
    assert (listed["path"], run["store"]) == (str(named), "named.duckdb")
    moved = named.rename(tmp_path / "moved.duckdb")
    (alone,) = list_entries(tmp_path / "outputs").to_dicts()
    assert alone["store"] == f"{named} (gone)"
    moved.rename(named)
    clean([Path(run["path"]), named], tmp_path / "outputs")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["my own.duckdb"]
    assert not Path(run["path"]).exists()


def test_only_what_is_named_goes(outputs: Path) -> None:
    (run,), stores = (outputs / "runs").iterdir(), set((outputs / "stores").iterdir())
    (message,) = clean([run], outputs)
    assert message.startswith(f"removed {run}, ")
    assert not run.exists()
    assert set((outputs / "stores").iterdir()) == stores
    clean([outputs / "stores" / ".x.duckdb.partial"], outputs)
    assert len(stores - set((outputs / "stores").iterdir())) == 1


def test_files_of_ones_own_stay_in_a_removed_run(outputs: Path) -> None:
    (run,) = (outputs / "runs").iterdir()
    (run / "charts" / "mine.svg").write_text("mine")
    (message,) = clean([run], outputs)
    assert "1 files that are not svt's stay there" in message
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
    few = ("--dry-run", "dataset.n_prompts=4", "dump.batch_size=2")
    assert svt_in(tmp_path, *few).code == 0
    out = capsys.readouterr().out
    assert "stages: dump, trace, evaluate, chart, report" in out
    assert "to be made\ndump: about " in out and " for 4 prompts" in out
    assert not list((tmp_path / "outputs").rglob("*.duckdb"))
    assert not list((tmp_path / "outputs").glob("runs/*"))
    again = ("--dry-run", "dataset.n_prompts=16", f"store.dir={finished.stores[0].parent}")
    assert svt_in(tmp_path, *again).code == 0
    assert f"{finished.stores[0].name}, which exists" in capsys.readouterr().out
    assert svt_in(tmp_path, "-m", "--dry-run", "trace.coverage=0.5,0.6").code == 1
    assert "--dry-run supports one run only" in capsys.readouterr().err
