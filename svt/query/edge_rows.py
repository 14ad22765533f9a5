"""Rows that name edges: of a named query, a SQL text or a CSV file.

Which of them a text means: SQL begins with select, with or from; a named query is one of
sql/queries; anything else is a file, or the name of one in conf/intervene. SQL only reads: it runs
in a transaction that cannot write.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from svt.db.files import database
from svt.errors import ConfigError
from svt.paths import conf_dir
from svt.query.csv_rows import read_rows
from svt.query.named import list_queries, load_query, query_names, run
from svt.system.text import first_line

_SQL = re.compile(r"\s*(select|with|from)(?=[\s*(])", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """One row; `where` says to a person where it stands. In CSV an empty cell is None."""

    where: str
    values: Mapping[str, Any]


def check_rows(given: str, key: str, needed: Sequence[str]) -> list[Row]:
    """Refuses what `key` cannot mean, without a connection; the rows, if `given` is a file.

    `needed` are the columns that the rows must have.
    """
    if _SQL.match(given):
        _check_sql(given, key)
    elif given in query_names():
        _check_query(given, key, needed)
    else:
        return _of_csv(given, key, needed)
    return []


def rows_of(
    con: duckdb.DuckDBPyConnection, given: str, key: str, needed: Sequence[str]
) -> list[Row]:
    """The rows that `given` gives; ConfigError, naming `key`, when it cannot or lacks a column."""
    if _SQL.match(given):
        return _of_sql(con, given, key, needed)
    if given in query_names():
        _check_query(given, key, needed)
        rows = run(con, given).to_dicts()
        return [Row(f"{key}={given}, row {i}", row) for i, row in enumerate(rows, 1)]
    return _of_csv(given, key, needed)


def _of_sql(
    con: duckdb.DuckDBPyConnection, text: str, key: str, needed: Sequence[str]
) -> list[Row]:
    _check_sql(text, key)
    con.execute("BEGIN TRANSACTION READ ONLY")
    try:
        found = con.execute(text)
        names = [column[0] for column in found.description or ()]
        rows = found.fetchall()
    except duckdb.Error as error:
        raise ConfigError(f"{key}: {first_line(error)}; correct the SQL") from error
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


def _of_csv(given: str, key: str, needed: Sequence[str]) -> list[Row]:
    file = Path(given)
    if given in _shipped():
        file = _shipped()[given]
    elif not file.is_file():
        raise ConfigError(
            f"{key}={given}: no such query or file; give one of the queries {_usable(needed)}, "
            f"one of the files {', '.join(_shipped())}, a CSV file, or SQL (select ...)"
        )
    rows = read_rows(file, needed)
    if not rows:
        raise ConfigError(f"{file}: has no row below its header; add one for each edge")
    return [
        Row(f"{file}, row {number}", {name: value or None for name, value in values.items()})
        for number, values in rows
    ]


def _shipped() -> dict[str, Path]:
    """The files of conf/intervene by name."""
    return {file.stem: file for file in sorted((conf_dir() / "intervene").glob("*.csv"))}


def _check_sql(text: str, key: str) -> None:
    try:
        with database() as con:
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
            f"those that do: {_usable(needed)}"
        )
    required = [param.name for param in query.params if param.default is None]
    if required:
        raise ConfigError(
            f"{key}={name}: this query needs {', '.join(required)}; write its SQL, or give one of "
            f"{_usable(needed)}"
        )


def _usable(needed: Sequence[str]) -> str:
    """The named queries that give such rows without being told parameters."""
    return ", ".join(
        query.name
        for query in list_queries()
        if set(needed) <= set(query.columns)
        and all(param.default is not None for param in query.params)
    )
