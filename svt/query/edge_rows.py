"""Read rows that describe edges from a named query, SQL or a CSV file.

A `source` that begins with select, with or from is SQL, which runs in a read-only transaction. A
name of sql/queries is a named query. Anything else is the path of a CSV file, or the name of one in
conf/intervene.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from svt.db.files import open_database
from svt.errors import ConfigError
from svt.paths import conf_dir
from svt.query.csv_rows import read_rows
from svt.query.named import list_queries, load_query, query_names, run
from svt.query.views import make_views
from svt.system.text import first_line

_SQL = re.compile(r"\s*(select|with|from)(?=[\s*(])", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """One row, with its location as text for messages. An empty cell of a CSV file is None."""

    where: str
    values: Mapping[str, Any]


def check_rows(source: str, key: str, needed: Sequence[str]) -> list[Row]:
    """Check a source without a connection; return the rows of a file, else an empty list.

    ConfigError, naming `key`, when the source is invalid or lacks a `needed` column.
    """
    if _SQL.match(source):
        _check_sql(source, key)
    elif source in query_names():
        _check_query(source, key, needed)
    else:
        return _read_csv(source, key, needed)
    return []


def read_edge_rows(
    con: duckdb.DuckDBPyConnection, source: str, key: str, needed: Sequence[str]
) -> list[Row]:
    """Return the rows of a source; ConfigError as `check_rows`."""
    if rows := check_rows(source, key, needed):
        return rows
    if _SQL.match(source):
        return _read_sql(con, source, key, needed)
    records = run(con, source).to_dicts()
    return [Row(f"{key}={source}, row {i}", record) for i, record in enumerate(records, 1)]


def _read_sql(
    con: duckdb.DuckDBPyConnection, text: str, key: str, needed: Sequence[str]
) -> list[Row]:
    reasons = make_views(con, text)
    con.execute("BEGIN TRANSACTION READ ONLY")
    try:
        result = con.execute(text)
        names = [column[0] for column in result.description or ()]
        rows = result.fetchall()
    except duckdb.Error as error:
        reason = "; ".join([first_line(error), *reasons])
        raise ConfigError(f"{key}: {reason}; correct the SQL") from error
    finally:
        con.execute("ROLLBACK")
    missing = [name for name in needed if name not in names]
    if missing:
        raise ConfigError(
            f"{key}: the SQL gives the columns {', '.join(names)}; it lacks {', '.join(missing)}"
        )
    return [
        Row(f"{key}, row {i} of the SQL", dict(zip(names, row, strict=True)))
        for i, row in enumerate(rows, 1)
    ]


def _read_csv(source: str, key: str, needed: Sequence[str]) -> list[Row]:
    shipped = {file.stem: file for file in sorted((conf_dir() / "intervene").glob("*.csv"))}
    file = shipped.get(source, Path(source))
    if not file.is_file():
        raise ConfigError(
            f"{key}={source}: no such query or file; give one of the queries "
            f"{_name_usable_queries(needed)}, one of the files {', '.join(shipped)}, a CSV file, "
            "or SQL (select ...)"
        )
    rows = read_rows(file, needed)
    if not rows:
        raise ConfigError(f"{file}: has no row below its header; add one for each edge")
    return [
        Row(f"{file}, row {number}", {name: value or None for name, value in values.items()})
        for number, values in rows
    ]


def _check_sql(text: str, key: str) -> None:
    try:
        with open_database() as con:
            statements = con.extract_statements(text)
    except duckdb.Error as error:
        raise ConfigError(f"{key}: {first_line(error)}; correct the SQL") from error
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise ConfigError(f"{key}: the SQL must be one select and nothing else")


def _check_query(name: str, key: str, needed: Sequence[str]) -> None:
    query = load_query(name)
    lacking = [column for column in needed if column not in query.columns]
    if lacking:
        raise ConfigError(
            f"{key}={name}: this query gives no {', '.join(lacking)}; "
            f"those that do: {_name_usable_queries(needed)}"
        )
    required = [param.name for param in query.params if param.default is None]
    if required:
        raise ConfigError(
            f"{key}={name}: this query needs {', '.join(required)}; write its SQL, or give one of "
            f"{_name_usable_queries(needed)}"
        )


def _name_usable_queries(needed: Sequence[str]) -> str:
    """Return the names of the queries that have these columns and need no parameter."""
    return ", ".join(
        query.name
        for query in list_queries()
        if set(needed) <= set(query.columns)
        and all(param.default is not None for param in query.params)
    )
