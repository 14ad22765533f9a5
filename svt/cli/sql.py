"""`svt-sql`: named queries and ad-hoc SQL over a run, a sweep or a store, read-only.

1. TARGET is opened read-only; a run's store is attached beside its results, and another target as
   the catalogs other_results and other_store.
2. The text is a named query of sql/queries, with `name=value` parameters, or SQL that asks:
   select, from, describe, show, pivot, explain. With --unsafe it may attach and read other files.
3. The result is printed as a table, CSV, JSON or Parquet, exactly or not at all
   (svt/query/exact.py). An error is one line and exit code 2, Ctrl-C ends a query with 130.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from svt.cli.console import console, output, write
from svt.db.damage import check_damage, files_of
from svt.db.target import open_target
from svt.errors import SvtError
from svt.query.exact import check_format, frame_of, interruptible
from svt.query.named import Query, list_queries, missing, run
from svt.query.param import Param
from svt.system.progress import say
from svt.system.text import visible

_EXAMPLES = """examples:
  svt-sql RUN summary
  svt-sql RUN significant coverage=0.5
  svt-sql RUN "select * from graph_edges order by total desc limit 5"
  svt-sql RUN --other RUN compare_heads
"""

_BY_INDEX = ("compare_edges", "compare_heads")
_BY_ROLE = (
    "two models, whose heads of one number have nothing in common; to match heads by the roles "
    'they attend between: svt -m model=A,B "stages=[dump,trace,evaluate]", then svt-sql SWEEP '
    "sweep_heads"
)
_ASKING = {"SELECT", "EXPLAIN", "MULTI"}  # the last is a PIVOT
_WRITABLE = (
    "SELECT database_name, path FROM duckdb_databases() WHERE NOT readonly AND path IS NOT NULL"
)


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
    parser.add_argument(
        "--other",
        type=Path,
        metavar="TARGET",
        help="a second target, as the catalogs other_results and other_store",
    )
    parser.add_argument(
        "--unsafe", action="store_true", help="let the SQL read other files and addresses"
    )
    parser.add_argument("--list", action="store_true", help="the queries and their parameters")
    args = parser.parse_intermixed_args(argv)
    with console("svt-sql", "stopped"):
        if args.list:
            write("\n".join(map(_describe, list_queries())) + "\n")
        elif args.target is None or args.query is None:
            raise SvtError("give a target and a query or SQL text; --list shows the queries")
        else:
            frame = answer(Path(args.target), args.query, args.params, args.unsafe, args.other)
            if args.query in _BY_INDEX and (models := _two_models(Path(args.target), args.other)):
                say(f"note: {models}: {_BY_ROLE}")
            _print(frame, args.format)


def answer(
    target: Path,
    query: str,
    params: list[str],
    unsafe: bool = False,
    other: Path | None = None,
) -> pl.DataFrame:
    """The rows of a named query or SQL text over `target`, and another beside it if one is given.

    SvtError when anything is wrong.

    With `unsafe` the text may read other files and addresses; nothing is changed all the same.
    """
    given = dict(_pair(param) for param in params)
    named = not any(c.isspace() or c in "();" for c in query)
    with open_target(target, unsafe, other) as con:  # 1
        return run(con, query, **given) if named else ask(con, query, given, unsafe)  # 2


def _two_models(target: Path, other: Path | None) -> str:
    """Return the names of the models of two runs, empty where they are one."""
    with open_target(target, other=other) as con:
        rows = con.execute(
            "SELECT a.config->>'$.model.name', b.config->>'$.model.name' "
            "FROM results.run AS a, other_results.run AS b "
            "WHERE a.store_path IS NOT NULL AND b.store_path IS NOT NULL"  # no imported circuit
        ).fetchall()
    return "".join(f"{a} and {b}" for a, b in rows if a != b)


def ask(
    con: duckdb.DuckDBPyConnection, text: str, given: dict[str, Any], unsafe: bool = False
) -> pl.DataFrame:
    """Return the rows of the last statement of SQL that only asks, with `given` bound to `$names`.

    SvtError for a statement that does not only ask, or fails.
    """
    try:
        return _rows(con, text, given, unsafe)
    except duckdb.CatalogException as error:
        told = "; ".join(filter(None, (_first_line(error), missing(con))))
        raise SvtError(f"SQL: {told}") from error
    except duckdb.OutOfMemoryException as error:
        raise SvtError(
            f"SQL: out of memory ({_first_line(error)[:120]}); ask for less at once"
        ) from error
    except duckdb.Error as error:
        check_damage(error, files_of(con))
        raise SvtError(f"SQL: {_first_line(error)}") from error
    except pl.exceptions.PolarsError as error:
        raise SvtError(
            "SQL: a column is of a type that cannot be shown "
            f"({_first_line(error)[:80]}); cast it, column::varchar"
        ) from error


def _rows(
    con: duckdb.DuckDBPyConnection, text: str, given: dict[str, Any], unsafe: bool
) -> pl.DataFrame:
    """Those of the last statement; SvtError for one that does not only ask."""
    statements = con.extract_statements(text)
    kinds = [_kind(statement) for statement in statements]
    for kind in kinds:
        if kind not in (_ASKING | {"ATTACH"} if unsafe else _ASKING):
            raise SvtError(
                f"SQL: {kind} does not only ask, and svt-sql changes nothing; write a select"
            )
    if not statements or kinds[-1] == "ATTACH":
        raise SvtError("SQL: this text gives no rows; write a select")
    for statement in statements[:-1]:
        interruptible(con, partial(_run, con, statement))
    for name, path in con.execute(_WRITABLE).fetchall():
        raise SvtError(
            f"SQL: {name} would be writable; write ATTACH '{path}' AS {name} (READ_ONLY)"
        )
    return frame_of(con, statements[-1], given)


def _run(con: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> None:
    con.execute(statement).fetchall()


def _kind(statement: duckdb.Statement) -> str:
    try:
        return statement.type.name
    except ValueError:  # DuckDB knows statements that its Python client does not
        return "this statement"


def _pair(param: str) -> tuple[str, Any]:
    name, equals, value = param.partition("=")
    if not equals or not name:
        raise SvtError(f"parameter {param!r}: write name=value")
    return name, value


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]


def _describe(query: Query) -> str:
    params = [
        f"    {p.name} {p.type}{p.allowed}: {p.meaning}{_described_default(p)}"
        for p in query.params
    ]
    return "\n".join([f"{query.name}: {query.purpose}", *params])


def _described_default(param: Param) -> str:
    if param.default is None:
        return ""
    value = "null" if param.fallback is None else param.fallback
    return f" [= the {param.run}'s {param.key}, else {value}]" if param.key else f" [= {value}]"


def _print(frame: pl.DataFrame, form: str) -> None:  # 3
    check_format(frame, form)
    try:
        _print_as(frame, form)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise SvtError(
            f"the rows cannot be written as {form} ({_first_line(error)[:80]}); take another "
            "--format, or cast such columns: column::varchar"
        ) from error


def _print_as(frame: pl.DataFrame, form: str) -> None:
    if form == "csv":
        write(frame.write_csv(), required=True)
    elif form == "json":
        write(frame.write_json() + "\n", required=True)
    elif form == "parquet":
        if sys.stdout.isatty():
            raise SvtError("Parquet is not for a terminal: redirect it, > FILE.parquet")
        with output(required=True):
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
            table = str(frame)
        write(f"{visible(table)}\n{frame.height} rows\n", required=True)


if __name__ == "__main__":
    main()
