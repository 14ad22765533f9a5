"""Numbers of a file as text or JSON, or DataError with their place."""

import math
from typing import Any

from svt.errors import DataError

_LARGEST = 9_000_000_000_000_000_000


def number(value: Any, place: str) -> float | None:
    """A finite number; None for nothing or an empty text."""
    if value is None or value == "":
        return None
    try:
        read = float(value)
    except (TypeError, ValueError, OverflowError):
        read = math.nan
    if isinstance(value, bool) or not math.isfinite(read):
        raise DataError(f"{place} is {_shown(value)}; it must be a finite number")
    return read


def amount(value: Any, place: str) -> int | None:
    """A count of at least 1; None for nothing or an empty text."""
    read = number(value, place)
    if read is None:
        return None
    try:
        whole = int(value)  # a float would lose the last digits of a large count
    except ValueError:
        whole = int(read)
    if read != float(whole) or not 1 <= whole <= _LARGEST:
        raise DataError(f"{place} is {_shown(value)}; it must be a whole number from 1")
    return whole


def _shown(value: Any) -> str:
    told = repr(value)
    return told if len(told) <= 60 else f"{told[:60]}..."
