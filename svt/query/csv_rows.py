"""Read CSV files with comments, as users write them by hand.

Blank lines and lines that begin with # are skipped. The first remaining row is the header. A quoted
cell may hold line breaks.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from svt.errors import DataError


def read_rows(file: Path, needed: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Return (line number from 1, stripped values by column) of every row.

    DataError when the file is not such a table or its header lacks a `needed` column.
    """
    try:
        rows = list(_rows(file))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file}: cannot be read as UTF-8 text ({error}); give a CSV file"
        ) from error
    if not rows:
        raise DataError(f"{file}: is empty; it needs a header with {','.join(needed)} and rows")
    (first, names), *rows = rows
    header = [name.strip() for name in names]
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{file}, row {first}: column {name!r} is there more than once")
    missing = [name for name in needed if name not in header]
    if missing:
        raise DataError(f"{file}, row {first}: the header lacks {', '.join(missing)}")
    records = []
    for number, row in rows:
        if len(row) != len(header):
            raise DataError(
                f"{file}, row {number}: has {len(row)} fields, the header {len(header)}"
            )
        records.append((number, dict(zip(header, map(str.strip, row), strict=True))))
    return records


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of the header and every row; comments are read as blank lines."""
    number = 1
    with file.open(encoding="utf-8-sig", newline="") as lines:
        without_comments = ("\n" if line.lstrip()[:1] in ("", "#") else line for line in lines)
        reader = csv.reader(without_comments, strict=True)
        try:
            for row in reader:
                if row:
                    yield number, row
                number = reader.line_num + 1
        except csv.Error as error:
            raise DataError(f"{file}, row {number}: is no row of a CSV file ({error})") from error
