"""The command line starts fast: neither it nor what draws imports torch before it is needed.

The directions of import inside svt are held by import-linter (pyproject.toml, `make lint`).
"""

import subprocess
import sys

HEAVY = {"torch", "transformer_lens", "transformers"}


def test_the_command_line_starts_without_torch() -> None:
    modules = "svt.cli.main, svt.cli.sql, svt.stages.chart, svt.stages.run"
    code = f"import {modules}, sys; assert not {HEAVY!r} & set(sys.modules), set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
