"""`svt-sql`: run named queries and SQL on a run, a sweep or a store, read-only.

1. Open TARGET read-only, a run with its store; attach a second target (--other) as the catalogs
   other_results and other_store.
2. Run a named query of sql/queries with `name=value` parameters, or a read-only SQL statement
   (select, from, describe, show, pivot, explain), in which named queries are views
   (svt/query/views.py). With --unsafe, SQL may attach and read other files.
3. Print the rows as a table, CSV, JSON or Parquet (svt/cli/rows.py). An error is one line and exit
   code 2; Ctrl-C interrupts a query, exit code 130.
4. Without a query, open a prompt on a terminal (svt/cli/prompt.py).
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from svt.cli.console import console, make_parser, say, write
from svt.cli.prompt import read_lines
from svt.cli.rows import print_rows
from svt.db.damage import check_damage, list_attached_files
from svt.db.target import open_target
from svt.errors import QueryError
from svt.query.described import describe_columns, describe_schema
from svt.query.exact import fetch_frame, run_interruptible
from svt.query.named import Query, explain_missing, list_queries, query_names, run
from svt.query.param import Param
from svt.query.views import make_views

_EXAMPLES = """examples:
  svt-sql RUN summary
  svt-sql RUN significant coverage=0.5
  svt-sql RUN "select * from graph_edges order by total desc limit 5"
  svt-sql RUN --other RUN compare_heads
"""

_BY_INDEX = ("compare_edges", "compare_heads")
_BY_ROLE = (
    "two models, whose heads with equal numbers are unrelated; to match heads by the roles "
    'they attend between: svt -m model=A,B "stages=[dump,trace,evaluate]", then svt-sql SWEEP '
    "sweep_heads"
)
_READ_ONLY = {"SELECT", "EXPLAIN", "MULTI"}  # MULTI is a PIVOT
_WRITABLE = (
    "SELECT database_name, path FROM duckdb_databases() WHERE NOT readonly AND path IS NOT NULL"
)


def main(argv: list[str] | None = None) -> None:
    """Run the console script `svt-sql`."""
    description = "Query a run folder, a sweep folder or a store, read-only."
    parser = make_parser("svt-sql", description, _EXAMPLES)
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
    parser.add_argument(
        "--schema", nargs="?", const="", metavar="TABLE", help="list tables, or TABLE's columns"
    )
    parser.add_argument("--expand", action="store_true", help="print each row as a block of lines")
    parser.add_argument("--list", action="store_true", help="list the queries and their parameters")
    args = parser.parse_intermixed_args(argv)
    with console("svt-sql", "stopped"):
        if args.list:
            write("\n".join(map(_describe, list_queries())) + "\n")
        elif args.target is None:
            raise QueryError("give a target and a query or SQL text; --list shows the queries")
        else:
            with open_target(Path(args.target), args.unsafe, args.other) as con:  # 1
                _answer(con, args)


def _answer(con: duckdb.DuckDBPyConnection, args: argparse.Namespace) -> None:
    """Run the command of the parsed arguments and print its rows (steps 2 to 4)."""
    if args.schema is not None:
        frame = describe_columns(con, args.schema) if args.schema else describe_schema(con)
        print_rows(frame, args.format, args.expand, most=frame.height)
    elif args.query is not None:
        print_rows(run_query(con, args.query, args.params, args.unsafe), args.format, args.expand)
        if args.query in _BY_INDEX and args.other and (models := _name_models(con)):
            say(f"note: {models}: {_BY_ROLE}")
    elif sys.stdin.isatty():
        names = [*describe_schema(con)["name"], *query_names()]
        read_lines(lambda words: _run_line(con, args, words), names)  # 4
    else:
        raise QueryError("give a query or SQL text; --list shows the queries, --schema the tables")


def _run_line(
    con: duckdb.DuckDBPyConnection, args: argparse.Namespace, words: Sequence[str]
) -> None:
    """Run one line of the prompt (step 4)."""
    first, rest = words[0], list(words[1:])
    if first == ".list":
        write("\n".join(map(_describe, list_queries())) + "\n")
    elif first == ".schema":
        _answer(con, argparse.Namespace(**vars(args) | {"schema": "".join(rest[:1])}))
    elif first == ".expand":
        args.expand = not args.expand
        say(f"a row at a time: {'yes' if args.expand else 'no'}")
    else:
        _answer(con, argparse.Namespace(**vars(args) | {"query": first, "params": rest}))


def run_query(
    con: duckdb.DuckDBPyConnection, query: str, params: Sequence[str], unsafe: bool
) -> pl.DataFrame:
    """Return the rows of a named query or SQL with texts `name=value` as parameters (step 2)."""
    values = {}
    for param in params:
        name, equals, value = param.partition("=")
        if not equals or not name:
            raise QueryError(f"parameter {param!r}: write name=value")
        values[name] = value
    is_name = not any(c.isspace() or c in "();" for c in query)
    return run(con, query, **values) if is_name else run_sql(con, query, values, unsafe)


def _name_models(con: duckdb.DuckDBPyConnection) -> str:
    """Return `A and B` for the models of two runs, empty if they are the same."""
    rows = con.execute(
        "SELECT a.config->>'$.model.name', b.config->>'$.model.name' "
        "FROM results.run AS a, other_results.run AS b "
        "WHERE a.store_path IS NOT NULL AND b.store_path IS NOT NULL"  # not for imported circuits
    ).fetchall()
    return "".join(f"{a} and {b}" for a, b in rows if a != b)


def run_sql(
    con: duckdb.DuckDBPyConnection, text: str, values: dict[str, Any], unsafe: bool = False
) -> pl.DataFrame:
    """Return the rows of the last statement of read-only SQL, with `values` bound to its `$names`.

    QueryError for a statement that is not read-only, or fails.
    """
    reasons = make_views(con, text)
    try:
        return _fetch_rows(con, text, values, unsafe)
    except duckdb.CatalogException as error:
        message = "; ".join(filter(None, (_one_line(error), *reasons, explain_missing(con))))
        raise QueryError(f"SQL: {message}") from error
    except duckdb.OutOfMemoryException as error:
        raise QueryError(
            f"SQL: out of memory ({_one_line(error)[:120]}); ask for less at once"
        ) from error
    except duckdb.Error as error:
        check_damage(error, list_attached_files(con))
        raise QueryError(f"SQL: {_one_line(error)}") from error
    except pl.exceptions.PolarsError as error:
        raise QueryError(
            "SQL: a column is of a type that cannot be shown "
            f"({_one_line(error)[:80]}); cast it, column::varchar"
        ) from error


def _fetch_rows(
    con: duckdb.DuckDBPyConnection, text: str, values: dict[str, Any], unsafe: bool
) -> pl.DataFrame:
    """Return the rows of the last statement; QueryError for a statement that is not read-only."""
    statements = con.extract_statements(text)
    kinds = [_name_kind(statement) for statement in statements]
    for kind in kinds:
        if kind not in (_READ_ONLY | {"ATTACH"} if unsafe else _READ_ONLY):
            raise QueryError(f"SQL: {kind} is not read-only, as svt-sql requires; write a select")
    if not statements or kinds[-1] == "ATTACH":
        raise QueryError("SQL: this text gives no rows; write a select")
    for statement in statements[:-1]:
        run_interruptible(con, partial(_run, con, statement))
    for name, path in con.execute(_WRITABLE).fetchall():
        raise QueryError(
            f"SQL: {name} would be writable; write ATTACH '{path}' AS {name} (READ_ONLY)"
        )
    return fetch_frame(con, statements[-1], values)


def _run(con: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> None:
    con.execute(statement).fetchall()


def _name_kind(statement: duckdb.Statement) -> str:
    try:
        return statement.type.name
    except ValueError:  # DuckDB has statements that its Python client does not know
        return "this statement"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]


def _describe(query: Query) -> str:
    params = [
        f"    {p.name} {p.type}{p.allowed}: {p.meaning}{_describe_default(p)}" for p in query.params
    ]
    return "\n".join([f"{query.name}: {query.purpose}", *params])


def _describe_default(param: Param) -> str:
    if param.default is None:
        return ""
    value = "null" if param.fallback is None else param.fallback
    return f" [= the {param.run}'s {param.key}, else {value}]" if param.key else f" [= {value}]"


if __name__ == "__main__":
    main()
