"""Small tables that a user writes by hand: CSV with remarks.

Lines that begin with # are remarks, blank ones are skipped; then comes a header, then the rows.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

from svt.errors import SvtError


def read_rows(file: Path, needed: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """(line in the file from 1, values by column, stripped) of every row.

    SvtError when the file is no such table or its header lacks a `needed` column.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SvtError(
            f"{file}: cannot be read as UTF-8 text ({error}); give a CSV file"
        ) from error
    numbered = [
        (number, line)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    rows = list(csv.reader(line for _, line in numbered))
    if not rows:
        raise SvtError(f"{file}: is empty; it needs a header with {','.join(needed)} and rows")
    header = [name.strip() for name in rows[0]]
    missing = [name for name in needed if name not in header]
    if missing:
        raise SvtError(f"{file}, row {numbered[0][0]}: the header lacks {', '.join(missing)}")
    found = []
    for (number, _), row in zip(numbered[1:], rows[1:], strict=True):
        if len(row) != len(header):
            raise SvtError(f"{file}, row {number}: has {len(row)} fields, the header {len(header)}")
        found.append((number, dict(zip(header, (value.strip() for value in row), strict=True))))
    return found
