"""Interventions that are killed: what was measured is kept, whole."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from svt.stages.intervene import FINISHED
from svt.store.resumable import Units
from tests.faults.forked import KILLED, Child, Limits, die, ran
from tests.faults.kills import killed, kills
from tests.faults.states import Content, content, leftovers
from tests.marks import first

N = kills(12)
NOTED = "units.log"
_add = Units.add


def add_and_note(units: Units, unit: int, parts: Iterable[Any]) -> None:
    """Units.add, and the number in a file of the folder that the child runs in."""
    _add(units, unit, parts)
    with Path(NOTED).open("a") as file:
        file.write(f"{unit}\n")


def add_until_the_third(units: Units, unit: int, parts: Iterable[Any]) -> None:
    """Die where the third unit is to be kept."""
    if unit == 2:
        die()
    add_and_note(units, unit, parts)


def add_the_third_and_die(units: Units, unit: int, parts: Iterable[Any]) -> None:
    """Die where the third unit is kept and not noted."""
    (_add if unit == 2 else add_and_note)(units, unit, parts)
    if unit == 2:
        die()


ADD = "svt.store.resumable.Units.add"
SMALL = {"svt.stages.intervene.UNIT_RUNS": 8, ADD: add_and_note}
SMALL_UNITS = Limits(values=SMALL)
STEPS = {  # a function of the child, and what stands for it
    "behind a unit that is kept": (ADD, add_the_third_and_die),
    "before a unit is kept": (ADD, add_until_the_third),
    "before the first unit is kept": (ADD, die),
    "before the results are replaced": ("os.replace", die),
    "behind the results, units still there": ("svt.stages.intervene.remove_units", die),
}

ASKED = (
    "run.path=run",
    "stages=[intervene,evaluate]",
    "intervene.repeats=1",
    "intervene.scopes=[global]",
    "intervene.kinds=[ablate]",
)


@pytest.fixture(scope="module")
def before(
    made: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Content], float]:
    """A run with a trace; the results before and after its interventions; the seconds of those."""
    cwd, template = tmp_path_factory.mktemp("before"), made / "run"
    shutil.copytree(template, cwd / "run")
    ended = ran(cwd, *ASKED, limits=SMALL_UNITS)
    assert ended.code == 0, ended.message
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


@pytest.mark.parametrize("step", first(1, [*STEPS]))
def test_interventions_killed_at_a_commit(
    before: tuple[Path, list[Content], float], tmp_path: Path, step: str
) -> None:
    shutil.copytree(before[0], tmp_path / "run")
    limits = Limits(values=dict([*SMALL.items(), STEPS[step]]))
    assert ran(tmp_path, *ASKED, limits=limits).code == KILLED
    goes_on(tmp_path, before[1])


@pytest.mark.long
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
    goes_on(tmp_path, states)


def goes_on(tmp_path: Path, states: list[Content]) -> None:
    """The results are old or new; the next run keeps the units and measures only the others."""
    run, noted = tmp_path / "run", tmp_path / NOTED
    assert content(run / "results.duckdb") in states
    measured = {int(unit) for unit in noted.read_text().split()} if noted.exists() else set()
    kept = finished(run, tmp_path) if measured and (run / FINISHED).exists() else set()
    if (run / FINISHED).exists():
        assert measured <= kept
        assert len(kept) <= len(measured) + 1
    else:  # before the first, or after all was taken over
        assert content(run / "results.duckdb") == states[bool(measured)]
    again = ran(tmp_path, *ASKED, limits=SMALL_UNITS)
    assert again.code == 0, again.message
    if kept:
        assert f"interventions: {len(kept)} of " in again.message
    assert content(run / "results.duckdb") == states[1]
    assert leftovers(run) == []
    assert not list(run.glob(f"{FINISHED}*"))
