"""Arguments that Hydra or a sweep cannot mean: one line each, and nothing is left."""

import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from svt.cli import main as cli


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["experiment=null"], "must be a string or a list"),
        (["dataset=null"], "must be a string or a list"),
        (["trace=2"], "must be a string or a list"),
        (["model=true"], "must be a string or a list"),
        (["dataset=[1,2]"], "a group is chosen by a name"),
        (["run.path=1"], "run.path=1: must be the folder of a finished run"),
        (["run.path={}"], "run.path={}: must be the folder of a finished run"),
        (["--experimental-rerun", "nope"], "File nope does not exist"),
        (["-m", "trace.count=glob(*)"], "the sweep has no job"),
        (["-m", "hydra.sweep.subdir=x", "trace.coverage=0.1,0.2"], "hydra.sweep.subdir=x: "),
        (["hydra.run.dir=.", "stages=[trace]"], "holds mine.tmp, which svt did not write"),
        (["-m", "hydra.sweep.dir=.", "trace.coverage=0.1"], "holds mine.tmp, which svt did not"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_line_and_nothing_left(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    args: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["svt", *args])
    (tmp_path / "mine.tmp").write_text("mine")
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as stop:
        cli.main()
    err = capfd.readouterr().err
    assert stop.value.code == 1
    assert err.startswith("svt: ") and err.count("\n") == 1
    assert message in err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "mine.tmp"]
