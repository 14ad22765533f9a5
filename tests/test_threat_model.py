"""Every line of the threat model names the tests that hold it, and they are there."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "threat-model.md"


def test_every_line_names_tests_that_are_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    lines = re.split(r"\n- ", text.split("\n\nTexts of all")[0])[1:]
    assert len(lines) == 5
    for line in lines:
        assert re.findall(r"`(tests/\S+\.py)`", line), line
    for name in re.findall(r"`(tests/\S+\.py)`", text):
        assert (PAGE.parents[1] / name).is_file(), name
