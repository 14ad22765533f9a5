"""Writing a store: columns in, one immutable file out.

1. Tables are created from sql/schema/store in a temporary file beside the store's name.
2. Every batch goes in as Arrow columns, sorted as compute made them.
3. The checks of sql/checks must return no row; then the file is renamed into place.

A process that dies before step 3 leaves nothing under the store's name.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from svt.errors import SvtError
from svt.files import aside
from svt.query.connect import create_tables, lending, quoted
from svt.store.checks import run_checks

Columns = Mapping[str, Any]
MEMORY = "1GB"  # of the database while it writes and checks; beyond it the disk is used

# What a full or failing disk looks like: a file operation, a commit, or a database that gave up.
DISK_ERRORS = (
    OSError,
    duckdb.IOException,
    duckdb.TransactionException,
    duckdb.FatalException,
)

# Integer codes that compute writes, and the words they stand for.
_WORDS = {
    "side": ("dest", "src"),
    "component": ("head", "mlp", "embed", "pos_embed", "bias"),
}


class StoreWriter:
    """Takes tables as columns of equal length; made by `writing`."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con

    def append(self, table: str, columns: Columns) -> None:
        """Adds rows to `table`; columns that are not named are null."""
        arrow = arrow_table(columns)
        if arrow.num_rows:
            with lending(self._con, batch=arrow):
                self._con.execute(f"INSERT INTO store.{table} BY NAME SELECT * FROM batch")  # 2

    def append_all(self, batch: Mapping[str, Columns]) -> None:
        for table, columns in batch.items():
            self.append(table, columns)

    def worst(self, column: str, table: str) -> float | None:
        """The largest absolute value of a column, null without rows."""
        row = self._con.execute(f"SELECT max(abs({column})) FROM store.{table}").fetchall()[0]
        return row[0]

    def append_row(self, table: str, row: Mapping[str, Any]) -> None:
        """Adds one row; mappings and lists go in as JSON."""
        self.append(table, {name: [_plain(value)] for name, value in row.items()})


@contextmanager
def writing(path: Path) -> Iterator[StoreWriter]:
    """A writer whose file appears at `path` when the block ends well and every check passes."""
    try:
        with aside(path) as temporary:
            con = duckdb.connect(
                config={"memory_limit": MEMORY, "temp_directory": f"{temporary}.d"}
            )
            try:
                con.execute(f"ATTACH '{quoted(temporary)}' AS store")
                create_tables(con, "store", "store")  # 1
                yield StoreWriter(con)
                run_checks(con)  # 3
                con.execute("DETACH store")
            finally:
                con.close()
    except DISK_ERRORS as error:
        raise SvtError(
            f"could not write the store {path}: {str(error).splitlines()[0]}; "
            "nothing was left there. Free some space or choose another store.dir"
        ) from error


def arrow_table(columns: Columns) -> pa.Table:
    """Columns of equal length as Arrow; masked entries and NaN are null."""
    return pa.table({name: _arrow(name, values) for name, values in columns.items()})


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, Mapping | list | tuple) else value


def _arrow(name: str, values: Any) -> pa.Array:
    if name in _WORDS:
        return pa.DictionaryArray.from_arrays(
            pa.array(np.asarray(values, dtype=np.int8)), list(_WORDS[name])
        )
    if not isinstance(values, np.ndarray):
        return pa.array(values)
    missing = np.ma.getmaskarray(values)
    if values.dtype.kind == "f":
        missing = missing | np.isnan(np.ma.getdata(values))
    return pa.array(np.ma.getdata(values), mask=missing)
