"""A run that is traced again and killed: the old results or the new, never both.

What is drawn belongs to the results beside it.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.faults.forked import KILLED, Child, Limits, die, ran
from tests.faults.kills import killed, kills
from tests.faults.states import Content, content, leftovers, pictures
from tests.marks import first

N = {"chart": kills(13), "report": kills(2)}
AGAIN = ("trace.coverage=0.2", "chart.figures=[graph]")


@dataclass(frozen=True)
class State:
    results: Content
    pictures: dict[str, bytes]

    @staticmethod
    def of(run: Path) -> "State":
        return State(content(run / "results.duckdb"), pictures(run))


@dataclass(frozen=True)
class Before:
    """A run, its states before and after a new trace, and the seconds that takes."""

    run: Path
    state: State
    after: State
    seconds: float


def again(last: str, run: str = "run") -> tuple[str, ...]:
    """Overrides for all stages up to the last, over a folder of the one that the child runs in."""
    stages = ",".join(("trace", "evaluate", "chart", "report")[: 3 if last == "chart" else 4])
    return (f"run.path={run}", "run.overwrite=true", f"stages=[{stages}]", *AGAIN)


@pytest.fixture(scope="module")
def before_all(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Before]:
    """`before_all(last)`: with the states before and after all stages up to the last."""
    cwd = tmp_path_factory.mktemp("before")

    @cache
    def before(last: str) -> Before:
        shutil.copytree(made / "run", cwd / last)
        ended = ran(cwd, *again(last, last), folder=last)
        assert ended.code == 0, ended.message
        return Before(made / "run", State.of(made / "run"), State.of(cwd / last), ended.seconds)

    return before


@pytest.fixture
def before(before_all: Callable[[str], Before], last: str) -> Before:
    return before_all(last)


def check(run: Path, before: Before) -> None:
    found = State.of(run)
    state = before.state if found.results == before.state.results else before.after
    assert found.results == state.results
    for name, written in found.pictures.items():
        same = name == "report.html" or written == state.pictures[name]  # a report has its hour
        assert same, name
        assert name in state.pictures


def goes_on(cwd: Path, before: Before, last: str) -> None:
    """What the kill left is one state; the same command then makes the whole of the new one."""
    run = cwd / "run"
    check(run, before)
    ended = ran(cwd, *again(last))
    assert ended.code == 0, ended.message
    found = State.of(run)
    assert found.results == before.after.results
    assert found.pictures.keys() == before.after.pictures.keys()
    check(run, before)
    assert leftovers(run) == []


@pytest.mark.long
@pytest.mark.parametrize(("last", "k"), [(last, k) for last, n in N.items() for k in range(n)])
def test_a_killed_trace(before: Before, tmp_path: Path, last: str, k: int) -> None:
    run = tmp_path / "run"

    def begin() -> Child:
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(before.run, run)
        return Child(tmp_path, *again(last))

    killed(begin, before.seconds, k, N[last])
    goes_on(tmp_path, before, last)


@pytest.mark.parametrize(
    ("last", "step"),
    first(
        1,
        [
            ("chart", "os.replace"),
            ("chart", "svt.stages.run.remove_pictures"),
            ("chart", "svt.stages.chart.write_graphml"),
            ("report", "svt.stages.chart.write_report"),
        ],
    ),
)
def test_a_trace_killed_at_a_step_between(
    before: Before, tmp_path: Path, last: str, step: str
) -> None:
    shutil.copytree(before.run, tmp_path / "run")
    limits = Limits(values={step: die})
    assert ran(tmp_path, *again(last), limits=limits).code == KILLED
    goes_on(tmp_path, before, last)
