"""Rows of SQL as a frame, exactly or not at all, and not beyond measure.

1. A type that a frame cannot hold exactly is refused by its column before the rows are computed;
   so is one that a format cannot hold (check_format) before any row is printed.
2. Values beyond what the frame's type shows rightly (an infinite date, an integer of more than 127
   bits) are refused by their column.
3. The statement runs in a thread of its own, so that the first Ctrl-C ends it.
4. Of a single select at most MOST_CELLS values are taken.
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


def frame_of(con: duckdb.DuckDBPyConnection, statement: Any, values: Any = None) -> pl.DataFrame:
    """Return the rows; QueryError for what a frame does not hold (steps 1, 2, 4)."""
    return interruptible(con, lambda: _frame_of(con, statement, values))


def interruptible(con: duckdb.DuckDBPyConnection, work: Callable[[], T]) -> T:
    """Step 3."""
    with ThreadPoolExecutor(1) as pool:
        future: Future[T] = pool.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            while not wait([future], timeout=0.05).done:  # also between two statements
                con.interrupt()
            raise


def check_format(frame: pl.DataFrame, form: str) -> None:
    """QueryError for a column that CSV or JSON cannot hold (step 1)."""
    for name, kind in frame.schema.items():
        if form in ("csv", "json") and kind == pl.Binary:
            raise _refused(name, f"holds bytes, which {form} does not", "hex(column)")
        if form == "csv" and kind.is_nested():
            raise _refused(name, "holds lists or the like, which csv does not", "column::varchar")
        if form == "json" and kind.is_float() and not frame[name].drop_nulls().is_finite().all():
            raise _refused(name, "holds NaN or infinity, which json does not", "column::varchar")


def _frame_of(con: duckdb.DuckDBPyConnection, statement: Any, values: Any) -> pl.DataFrame:
    relation = con.sql(statement, params=values or None)
    if relation is None:
        raise QueryError("SQL: this text gives no rows; write a select")
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    for name, kind in zip(relation.columns, relation.types, strict=True):
        for part in _parts(kind):
            if part in _NEVER or (part == "uhugeint" and kind.id != "uhugeint"):
                raise _refused(name, f"is of type {kind}", "column::varchar")
    most = max(1, MOST_CELLS // len(types))
    if relation.type == "QUERY_RESULT" or "SELECT" in str(getattr(statement, "type", "SELECT")):
        relation = relation.limit(most + 1)
    frame = relation.pl()
    if frame.height > most:
        raise QueryError(f"SQL: gives more than {most} rows; add a limit, or ask for less")
    for name, told in types.items():
        _check_values(frame[name], told)
    return frame.with_columns(pl.selectors.categorical().cast(pl.String))


def _parts(kind: Any) -> Iterator[str]:
    """The names of a type and of all that it is made of."""
    yield str(kind.id)
    if kind.id in ("list", "array", "struct", "map"):
        for _, child in kind.children:
            if not isinstance(child, int):
                yield from _parts(child)


def _check_values(values: pl.Series, kind: str) -> None:
    """Step 2."""
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
