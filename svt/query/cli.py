"""`svt-sql`: named queries and ad-hoc SQL over a run, a sweep or a store, read-only.

1. TARGET is opened read-only; a run's store is attached beside its results.
2. The text is a named query of sql/queries, with `name=value` parameters, or any SQL.
3. The result is printed as a table, CSV, JSON or Parquet. An error is one line and exit code 2.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from svt.errors import SvtError
from svt.query.sql import Param, Query, list_queries, missing, run
from svt.query.target import open_target

_EXAMPLES = """examples:
  svt-sql RUN summary
  svt-sql RUN significant coverage=0.5
  svt-sql RUN "select * from graph_edges order by total desc limit 5"
"""


def main(argv: list[str] | None = None) -> None:
    """The console script `svt-sql`."""
    parser = argparse.ArgumentParser(
        prog="svt-sql",
        description="Queries over a run folder, a sweep folder or a store; nothing is changed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", nargs="?", help="run folder, sweep folder or .duckdb file")
    parser.add_argument("query", nargs="?", help="name of a query, or SQL text")
    parser.add_argument("params", nargs="*", metavar="name=value", help="parameters of the query")
    parser.add_argument("--format", choices=("table", "csv", "json", "parquet"), default="table")
    parser.add_argument("--list", action="store_true", help="the queries and their parameters")
    args = parser.parse_intermixed_args(argv)
    try:
        if args.list:
            print("\n".join(map(_describe, list_queries())))
        elif args.target is None or args.query is None:
            raise SvtError("give a target and a query or SQL text; --list shows the queries")
        else:
            frame = answer(Path(args.target), args.query, args.params)
            _print(frame, args.format)
    except BrokenPipeError:
        sys.stderr.close()
    except SvtError as error:
        print(f"svt-sql: {error}", file=sys.stderr)
        sys.exit(2)


def answer(target: Path, query: str, params: list[str]) -> pl.DataFrame:
    """The rows of a named query or SQL text over `target`; SvtError when anything is wrong."""
    given = dict(_pair(param) for param in params)
    named = not any(c.isspace() or c in "();" for c in query)
    with open_target(target) as con:  # 1
        try:
            if named:  # 2
                return run(con, query, **given)
            answered = con.sql(query, params=given or None)
        except duckdb.CatalogException as error:
            told = "; ".join(filter(None, (_first_line(error), missing(con))))
            raise SvtError(f"SQL: {told}") from error
        except duckdb.Error as error:
            raise SvtError(f"SQL: {_first_line(error)}") from error
        if answered is None:
            raise SvtError("SQL: this text gives no rows; write a select")
        return answered.pl()


def _pair(param: str) -> tuple[str, Any]:
    name, equals, value = param.partition("=")
    if not equals or not name:
        raise SvtError(f"parameter {param!r}: write name=value")
    return name, value


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]


def _describe(query: Query) -> str:
    params = [
        f"    {p.name} {p.type}{_choices(p)}: {p.meaning}"
        + (f" [= {p.default}]" if p.default else "")
        for p in query.params
    ]
    return "\n".join([f"{query.name}: {query.purpose}", *params])


def _choices(param: Param) -> str:
    return "{" + ",".join(param.choices) + "}" if param.choices else ""


def _print(frame: pl.DataFrame, form: str) -> None:  # 3
    if form == "csv":
        sys.stdout.write(frame.write_csv())
    elif form == "json":
        sys.stdout.write(frame.write_json() + "\n")
    elif form == "parquet":
        if sys.stdout.isatty():
            raise SvtError("Parquet is not for a terminal: redirect it, > FILE.parquet")
        frame.write_parquet(sys.stdout.buffer)
    else:
        with pl.Config(
            tbl_rows=-1,
            tbl_cols=-1,
            tbl_width_chars=200,
            fmt_str_lengths=80,
            tbl_hide_dataframe_shape=True,
            tbl_hide_column_data_types=True,
            tbl_formatting="ASCII_MARKDOWN",
        ):
            print(frame)
        print(f"{frame.height} rows")


if __name__ == "__main__":
    main()
