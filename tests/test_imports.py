"""The directions of import that keep each part about one thing, and start-up fast."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import svt

PACKAGE = Path(svt.__file__).parent
HEAVY = {"torch", "transformer_lens", "transformers"}
FORBIDDEN = {
    "compute": {"duckdb", "polars", "altair", "svt.store", "svt.query", "svt.charts"},
    "store": HEAVY | {"altair", "svt.compute", "svt.charts"},
    "query": HEAVY | {"altair", "svt.compute", "svt.charts"},
    "charts": HEAVY | {"duckdb", "svt.compute", "svt.store", "svt.query"},
    "dataset": HEAVY | {"duckdb", "altair", "svt.compute", "svt.store", "svt.query", "svt.charts"},
}


def imported(file: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("part", FORBIDDEN)
def test_a_part_imports_only_what_lies_below_it(part: str) -> None:
    files = list((PACKAGE / part).rglob("*.py"))
    assert files
    for file in files:
        for name in imported(file):
            wrong = [f for f in FORBIDDEN[part] if name == f or name.startswith(f + ".")]
            assert not wrong, f"{file.relative_to(PACKAGE)} imports {name}"


@pytest.mark.parametrize("module", ["svt.cli", "svt.query.cli", "svt.figures", "svt.pipeline"])
def test_the_command_line_starts_without_torch(module: str) -> None:
    code = f"import {module}, sys; assert not {HEAVY!r} & set(sys.modules), set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
