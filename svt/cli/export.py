"""`svt-export`: a store, or a run's results, as Parquet files for other programs."""

import argparse
import sys
from pathlib import Path

import duckdb

from svt.errors import SvtError
from svt.store.export import README, export


def main(argv: list[str] | None = None) -> None:
    """The console script `svt-export`."""
    parser = argparse.ArgumentParser(
        prog="svt-export",
        description="A store, several together, or the results of a run or a sweep, as Parquet.",
    )
    parser.add_argument("target", type=Path, help="store, pattern of stores, run or sweep folder")
    parser.add_argument("folder", type=Path, help="where to; must not hold anything yet")
    args = parser.parse_args(argv)
    written = args.folder.resolve()  # before the working folder is, perhaps, replaced
    try:
        export(args.target, args.folder)
    except SvtError as error:
        print(f"svt-export: {error}", file=sys.stderr)
        sys.exit(2)
    except duckdb.Error as error:
        print(f"svt-export: {str(error).splitlines()[0]}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("svt-export: stopped; nothing was left", file=sys.stderr)
        sys.exit(130)
    files = [file for file in written.rglob("*.parquet") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    print(f"{len(files)} files, {size / 1e6:.1f} MB in {args.folder}; see {README} there")
