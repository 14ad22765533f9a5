"""Open database files safely.

1. No connection installs or loads an extension.
2. A file must have DuckDB's magic bytes; for other files DuckDB would fetch an extension.
3. Names must be UTF-8 without a backslash, which DuckDB reads as a separator of folders.
4. Disabling external access prevents a connection from opening other files or addresses and from
   changing settings; it still writes to files that are attached for writing.
5. Errors of DuckDB become messages: a lock, too little memory, or an invalid file.
"""

from pathlib import Path
from typing import Any

import duckdb

from svt.errors import StoreError
from svt.system.text import first_line

_MAGIC = slice(8, 12), b"DUCK"
_NO_EXTENSIONS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}


def open_database(
    path: Path | None = None, read_only: bool = False, **config: Any
) -> duckdb.DuckDBPyConnection:
    """Return a connection to a file, or to a database in memory (step 1)."""
    if path is not None:
        check_name(path)
    name = ":memory:" if path is None else str(path)
    return duckdb.connect(name, read_only=read_only, config={**_NO_EXTENSIONS, **config})


def disable_external_access(con: duckdb.DuckDBPyConnection) -> None:
    """Disable access to other files, and settings such as logging, which writes files (step 4)."""
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def check_file(path: Path, kind: str) -> None:
    """Raise StoreError for a path that is no DuckDB file of the expected `kind` (steps 2, 3)."""
    if not path.is_file():
        raise StoreError(f"{path}: no such {kind} file; give an existing run folder or store")
    check_name(path)
    place, magic = _MAGIC
    try:
        with path.open("rb") as file:
            header = file.read(place.stop)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}; see its permissions") from error
    if header[place] != magic:
        raise StoreError(
            f"{path} is not a {kind} that svt can read (it is no DuckDB file); "
            "give a run folder, a sweep folder or stores"
        )


def check_name(path: Path) -> None:
    """Raise StoreError for a name that DuckDB cannot read (step 3)."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise StoreError(f"{path}: its name is not UTF-8, which DuckDB needs; rename it") from error
    if "\\" in str(path):
        raise StoreError(
            f"{path}: its name holds a backslash, which DuckDB reads as a separator of folders; "
            "rename it"
        )


def explain_unreadable(path: object, kind: str, error: duckdb.Error) -> StoreError:
    """Return the StoreError for a file that DuckDB cannot read (step 5)."""
    first = first_line(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreError(f"{path}: out of memory while it was read ({first}); read less at once")
    if "Could not set lock" in first or "already open" in first:
        return StoreError(f"{path} is locked: another process is writing it; wait until it ends")
    return StoreError(
        f"{path} is not a {kind} that svt can read ({first}); move it away and make a new one"
    )
