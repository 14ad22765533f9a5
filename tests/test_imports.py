"""The command line starts fast: neither it nor what draws imports torch before it is needed.

The directions of import inside svt are held by import-linter (pyproject.toml, `make lint`).
"""

import subprocess
import sys

import pytest

HEAVY = {"torch", "transformer_lens", "transformers"}


@pytest.mark.parametrize(
    "module", ["svt.cli.main", "svt.cli.sql", "svt.stages.chart", "svt.stages.run"]
)
def test_the_command_line_starts_without_torch(module: str) -> None:
    code = f"import {module}, sys; assert not {HEAVY!r} & set(sys.modules), set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
