"""Names of tests: short, each once, and in the words that the project uses."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
LONGEST = 59
AVOIDED = re.compile(
    r"_(told|asked|found|given|anew|whatever|lending|aside|keeping|several|listed)(_|$)"
)


@cache
def names() -> list[str]:
    """Return the name of every test function, file by file."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in TESTS.rglob("test_*.py")]
    functions = [node for tree in trees for node in ast.walk(tree)]
    return [
        node.name
        for node in functions
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def test_names_of_tests_are_short() -> None:
    assert [name for name in names() if len(name) > LONGEST] == []


def test_no_two_tests_have_one_name() -> None:
    assert [name for name, n in Counter(names()).items() if n > 1] == []


def test_names_of_tests_avoid_some_words() -> None:
    assert [name for name in names() if AVOIDED.search(name)] == []
