"""`svt compare`: one page with two runs next to each other."""

from collections.abc import Sequence
from pathlib import Path

from svt.cli.compose import load_run_config
from svt.cli.console import console, make_parser, write
from svt.stages.compare import compare_runs

_EPILOG = """examples:
  svt compare outputs/runs/2026-01-31_12-00-00-000000 outputs/runs/2026-01-31_13-00-00-000000
  svt compare outputs/sweeps/NAME/0 outputs/sweeps/NAME/3 --out thresholds.html
"""


def main(argv: Sequence[str]) -> None:
    """Run `svt compare ...`."""
    description = "Write a page with the graphs of two runs and tables of what differs."
    parser = make_parser("svt compare", description, _EPILOG)
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("other", type=Path, help="another run folder")
    parser.add_argument("--out", type=Path, default=Path("comparison.html"), help="[= %(default)s]")
    args = parser.parse_args(argv)
    with console("svt"):
        configs = load_run_config(args.run), load_run_config(args.other)
        write(f"{compare_runs(args.run, args.other, configs, args.out)}\n")
