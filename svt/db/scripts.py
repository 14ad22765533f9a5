"""Run the files of sql/, each parsed once in a process: parsing takes longer than most files."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from svt.paths import sql_dir


def list_scripts(folder: str) -> list[Path]:
    """Return the files of a folder of sql/, in the order of their names."""
    return sorted((sql_dir() / folder).glob("*.sql"))


def run_script(
    con: duckdb.DuckDBPyConnection, file: Path, settings: Mapping[str, Any] | None = None
) -> duckdb.DuckDBPyConnection:
    """Run the statements of a file, each with those of the settings that it names.

    Return the connection with the result of the last statement.
    """
    for statement in _parse(file):
        names = statement.named_parameters
        con.execute(statement, {name: (settings or {})[name] for name in names} or None)
    return con


@cache
def _parse(file: Path) -> list[duckdb.Statement]:
    return duckdb.extract_statements(file.read_text(encoding="utf-8"))
