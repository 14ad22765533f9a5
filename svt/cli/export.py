"""`svt-export`: write a store, or a run's results, as Parquet files for other programs."""

import argparse
from pathlib import Path

from svt.cli.console import console, write
from svt.store.export import README, export


def main(argv: list[str] | None = None) -> None:
    """Run the console script `svt-export`."""
    parser = argparse.ArgumentParser(
        prog="svt-export",
        description="Write one or more stores, or the results of a run or a sweep, as Parquet.",
    )
    parser.add_argument("target", type=Path, help="store, pattern of stores, run or sweep folder")
    parser.add_argument("folder", type=Path, help="output folder; must be empty or new")
    args = parser.parse_args(argv)
    written = args.folder.resolve()  # now, as the export may replace the working folder
    with console("svt-export", "stopped; nothing was left"):
        export(args.target, args.folder)
        files = [file for file in written.rglob("*.parquet") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
        write(f"{len(files)} files, {size / 1e6:.1f} MB in {args.folder}; see {README} there\n")
