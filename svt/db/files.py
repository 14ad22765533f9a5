"""Database files: opened without extensions, refused by name where they are none.

1. No connection installs or loads an extension.
2. A file is a DuckDB file by its first bytes; DuckDB itself would fetch an extension for others.
3. DuckDB reads a backslash as a separator of folders, and only names that are UTF-8.
4. A connection that is shut opens no other file or address, and takes no other setting; it still
   writes what is attached for writing.
5. An error of DuckDB is a lock, a lack of memory, or says that the file is no whole database.
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


def database(
    path: Path | None = None, read_only: bool = False, **config: Any
) -> duckdb.DuckDBPyConnection:
    """Return a connection to a file, or to a database in memory (step 1)."""
    if path is not None:
        check_name(path)
    name = ":memory:" if path is None else str(path)
    return duckdb.connect(name, read_only=read_only, config={**_NO_EXTENSIONS, **config})


def shut(con: duckdb.DuckDBPyConnection) -> None:
    """Step 4; logging and profiling, which write files, are settings too."""
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def check_file(path: Path, kind: str) -> None:
    """StoreError for a path that is no DuckDB file (steps 2 and 3); `kind` is what it should be."""
    if not path.is_file():
        raise StoreError(f"{path}: no such {kind} file; give an existing run folder or store")
    check_name(path)
    place, magic = _MAGIC
    try:
        with path.open("rb") as file:
            begin = file.read(place.stop)
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}); see who may") from error
    if begin[place] != magic:
        raise StoreError(
            f"{path} is not a {kind} that svt can read (it does not begin as a DuckDB file does); "
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


def unreadable(path: object, kind: str, error: duckdb.Error) -> StoreError:
    """Return what to say of a file that DuckDB does not read (step 5)."""
    first = first_line(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreError(
            f"{path}: out of memory while it was read ({first}); ask for less at once"
        )
    if "Could not set lock" in first or "already open" in first:
        return StoreError(f"{path} is locked: another process is writing it; wait until it is done")
    return StoreError(
        f"{path} is not a {kind} that svt can read ({first}); move it away and make it anew"
    )
