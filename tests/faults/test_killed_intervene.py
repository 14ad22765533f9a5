"""Interventions that are killed at random moments: what was measured is kept, whole."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from svt.stages.intervene import FINISHED
from svt.store.resumable import Units
from tests.faults.conftest import Job
from tests.faults.forked import Child, Limits, ran
from tests.faults.kills import killed, kills
from tests.faults.states import Content, content, leftovers

N = kills(12)
NOTED = "units.log"
_add = Units.add


def add_and_note(units: Units, unit: int, parts: Iterable[Any]) -> None:
    """Units.add, and the number in a file of the folder that the child runs in."""
    _add(units, unit, parts)
    with Path(NOTED).open("a") as file:
        file.write(f"{unit}\n")


SMALL_UNITS = Limits(
    values={"svt.stages.intervene.UNIT_RUNS": 8, "svt.store.resumable.Units.add": add_and_note}
)


ASKED = (
    "run.path=run",
    "stages=[intervene,evaluate]",
    "intervene.repeats=1",
    "intervene.scopes=[global]",
    "intervene.kinds=[ablate]",
)


@pytest.fixture(scope="module")
def before(job: Job, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Content], float]:
    """A run with a trace; the results before and after its interventions; the seconds of those."""
    cwd = tmp_path_factory.mktemp("before")
    made = ran(cwd, *job("dump,trace"))
    assert made.code == 0, made.told
    template = shutil.copytree(cwd / "run", cwd / "template")
    ended = ran(cwd, *ASKED, limits=SMALL_UNITS)
    assert ended.code == 0, ended.told
    states = [content(folder / "results.duckdb") for folder in (template, cwd / "run")]
    return template, states, ended.seconds


def finished(run: Path, tmp_path: Path) -> set[int]:
    """The units in the file of finished ones, read from a copy as the next run will read it."""
    copy = tmp_path / "copy.duckdb"
    for end in ("", ".wal"):
        path = run / (FINISHED + end)
        if path.exists():
            shutil.copy(path, f"{copy}{end}")
    with duckdb.connect(copy) as con:
        return {unit for (unit,) in con.execute("SELECT unit FROM done").fetchall()}


@pytest.mark.parametrize("k", range(N))
def test_killed_interventions(
    before: tuple[Path, list[Content], float], tmp_path: Path, k: int
) -> None:
    template, states, seconds = before
    run, noted = tmp_path / "run", tmp_path / NOTED

    def begin() -> Child:
        shutil.rmtree(run, ignore_errors=True)
        noted.unlink(missing_ok=True)
        shutil.copytree(template, run)
        return Child(tmp_path, *ASKED, limits=SMALL_UNITS)

    killed(begin, seconds, k, N)
    assert content(run / "results.duckdb") in states
    measured = {int(unit) for unit in noted.read_text().split()} if noted.exists() else set()
    kept = finished(run, tmp_path) if measured and (run / FINISHED).exists() else set()
    if (run / FINISHED).exists():
        assert measured <= kept
        assert len(kept) <= len(measured) + 1
    else:  # before the first, or after all was taken over
        assert content(run / "results.duckdb") == states[bool(measured)]
    again = ran(tmp_path, *ASKED, limits=SMALL_UNITS)
    assert again.code == 0, again.told
    if kept:
        assert f"interventions: {len(kept)} of " in again.told
    assert content(run / "results.duckdb") == states[1]
    assert leftovers(run) == []
    assert not list(run.glob(f"{FINISHED}*"))
