"""Rows of a query over a target, as svt-sql reads them."""

from pathlib import Path

import polars as pl

from svt.cli.sql import run_query
from svt.db.target import open_target


def answer(
    target: Path, query: str, params: list[str], unsafe: bool = False, other: Path | None = None
) -> pl.DataFrame:
    """Return the rows of a named query or SQL; `params` are texts `name=value`."""
    with open_target(target, unsafe, other) as con:
        return run_query(con, query, params, unsafe)
