"""docs/walk-through.md shows what its commands print."""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import SMALL, Finished
from tests.marks import first
from tests.walk_through import DOC, blocks, printed

NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?")


@pytest.fixture(scope="module")
def run(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run, which is what the first command makes."""
    copy = tmp_path_factory.mktemp("walk") / "outputs" / "runs" / "walk"
    shutil.copytree(finished.runs[0], copy)
    return copy


@pytest.mark.parametrize("of_further_runs", first(1, [False, True]))
def test_every_command_prints_what_the_page_shows(run: Path, of_further_runs: bool) -> None:
    """In their order, over one run. Numbers may differ in their last digits, by 2% at most."""
    found = blocks(DOC.read_text(encoding="utf-8"))
    assert found[0][0] == ["svt", *SMALL]
    assert len(found) > 10
    for words, shown in found:
        if bool(re.search("outputs/|intervene|interventions", " ".join(words))) is of_further_runs:
            same(printed(words, run), shown)


def same(got: str, shown: str) -> None:
    assert _spaceless(NUMBER.sub("#", got)) == _spaceless(NUMBER.sub("#", shown))
    for mine, theirs in zip(NUMBER.findall(got), NUMBER.findall(shown), strict=True):
        mine, theirs = (float(number.replace(",", "")) for number in (mine, theirs))
        assert mine == pytest.approx(theirs, rel=0.02, abs=1e-3), shown


def _spaceless(text: str) -> str:
    """Without the spaces and rules that the width of a column decides."""
    return re.sub(r"[ -]+", " ", text)


def test_what_differs_is_seen() -> None:
    for got, shown in (("a 1.0", "a 1.1"), ("a 1", "b 1"), ("1 2", "1"), ("-1", "1")):
        with pytest.raises(AssertionError):
            same(got, shown)
    same("| 0.123456 | x |", "| 0.123457   | x |")
