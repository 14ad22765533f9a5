"""Fetch the rows of a SQL statement as a frame without loss, within a size limit.

1. A column whose type a frame cannot hold exactly is refused before the rows are computed; a column
   that an output format cannot hold is refused before a row is printed (`check_format`).
2. A column with values outside the range of the frame's type (an infinite date, an integer of more
   than 127 bits) is refused.
3. The statement runs in its own thread, so that the first Ctrl-C interrupts it.
4. A select returns at most MOST_CELLS values.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import duckdb
import polars as pl

from svt.errors import QueryError

T = TypeVar("T")

MOST_CELLS = 100_000_000
_NEVER = {
    "bit", "bignum", "interval", "union", "time with time zone", "variant", "geometry",
    "time", "time_ns",  # 24:00:00 would be null
}  # fmt: skip
_DAYS = (-719_162, 2_932_896)  # of the years 1 to 9999, from 1970
_DAY = 86_400
_UNITS = {"ms": 10**3, "us": 10**6, "ns": 10**9}


def fetch_frame(con: duckdb.DuckDBPyConnection, statement: Any, values: Any = None) -> pl.DataFrame:
    """Return the rows of a statement; QueryError when a frame cannot hold them (steps 1, 2, 4)."""
    return run_interruptible(con, lambda: _fetch(con, statement, values))


def run_interruptible(con: duckdb.DuckDBPyConnection, work: Callable[[], T]) -> T:
    """Return the result of `work`, which uses `con`, run in its own thread (step 3)."""
    with ThreadPoolExecutor(1) as pool:
        future: Future[T] = pool.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            while not wait([future], timeout=0.05).done:  # repeated: it may be between statements
                con.interrupt()
            raise


def check_format(frame: pl.DataFrame, form: str) -> None:
    """Raise QueryError for a column that CSV or JSON cannot hold (step 1)."""
    for name, kind in frame.schema.items():
        if form in ("csv", "json") and kind == pl.Binary:
            raise _refused(name, f"holds bytes, which {form} does not", "hex(column)")
        if form == "csv" and kind.is_nested():
            raise _refused(name, "holds lists or the like, which csv does not", "column::varchar")
        if form == "json" and kind.is_float() and not frame[name].drop_nulls().is_finite().all():
            raise _refused(name, "holds NaN or infinity, which json does not", "column::varchar")


def _fetch(con: duckdb.DuckDBPyConnection, statement: Any, values: Any) -> pl.DataFrame:
    relation = con.sql(statement, params=values or None)
    if relation is None:
        raise QueryError("SQL: this text gives no rows; write a select")
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    for name, kind in zip(relation.columns, relation.types, strict=True):
        for part in _list_type_ids(kind):
            if part in _NEVER or (part == "uhugeint" and kind.id != "uhugeint"):
                raise _refused(name, f"is of type {kind}", "column::varchar")
    most = max(1, MOST_CELLS // len(types))
    if relation.type == "QUERY_RESULT" or "SELECT" in str(getattr(statement, "type", "SELECT")):
        relation = relation.limit(most + 1)
    frame = relation.pl()
    if frame.height > most:
        raise QueryError(f"SQL: gives more than {most} rows; add a limit, or ask for less")
    for name, type_name in types.items():
        _check_values(frame[name], type_name)
    return frame.with_columns(pl.selectors.categorical().cast(pl.String))


def _list_type_ids(kind: Any) -> Iterator[str]:
    """Yield the id of a type and of every type nested in it."""
    yield str(kind.id)
    if kind.id in ("list", "array", "struct", "map"):
        for _, child in kind.children:
            if not isinstance(child, int):
                yield from _list_type_ids(child)


def _check_values(values: pl.Series, kind: str) -> None:
    """Raise QueryError for values outside the range of the frame's type (step 2)."""
    dtype = values.dtype
    if kind == "UHUGEINT" and (values < 0).any():
        raise _refused(values.name, "holds integers of more than 127 bits", "column::varchar")
    if dtype == pl.Date:
        low, high = _DAYS
    elif isinstance(dtype, pl.Datetime):
        unit = _UNITS[dtype.time_unit or "us"]
        low, high = _DAYS[0] * _DAY * unit, (_DAYS[1] + 1) * _DAY * unit - 1
    else:
        return
    if not values.to_physical().is_between(low, high).all():
        raise _refused(
            values.name,
            "holds dates that are infinite or beyond year 9999",
            "column::varchar",
        )


def _refused(name: str, what: str, cast: str) -> QueryError:
    return QueryError(f"SQL: column {name} {what}; cast it, {cast.replace('column', name)}")
