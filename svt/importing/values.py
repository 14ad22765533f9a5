"""Parse numbers of a file, which are text or JSON; a DataError names their place."""

import math
from collections.abc import Mapping
from typing import Any

from svt.errors import DataError
from svt.words import COUNTS, Count

MAX_INDEX = 255
"""Layers and heads are stored in one byte."""

COUNT_NAMES = tuple(f"n_{count}" for count in COUNTS)

_MAX_COUNT = 9_000_000_000_000_000_000


def parse_measures(
    values: Mapping[str, Any], place: str, kind: Count, weight: str = "weight"
) -> dict[str, Any]:
    """Return the counts, total, mean and effect of an edge, None where it has no value.

    `kind` is what the value `count` counts; `weight` is the name of the value that is the mean.
    """
    counts = {name: parse_count(values.get(name), f"{place}: {name}") for name in COUNT_NAMES}
    if (count := parse_count(values.get("count"), f"{place}: count")) is not None:
        counts[f"n_{kind}"] = count
    names = {"total": "total", "mean": weight, "effect": "effect"}
    numbers = {to: parse_number(values.get(name), f"{place}: {name}") for to, name in names.items()}
    return counts | numbers


def parse_number(value: Any, place: str) -> float | None:
    """Return a finite number; None for None or an empty text."""
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise DataError(f"{place} is {_quote(value)}; it must be a finite number")
    return number


def parse_count(value: Any, place: str) -> int | None:
    """Return a count of at least 1; None for None or an empty text."""
    number = parse_number(value, place)
    if number is None:
        return None
    try:
        count = int(value)  # a float would lose the last digits of a large count
    except ValueError:
        count = int(number)
    if number != float(count) or not 1 <= count <= _MAX_COUNT:
        raise DataError(f"{place} is {_quote(value)}; it must be a whole number from 1")
    return count


def parse_index(value: Any, place: str) -> int:
    """Return the index of a layer or a head, 0 to MAX_INDEX."""
    text = str(value)
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= MAX_INDEX):
        raise DataError(f"{place} is {_quote(value)}; it must be a count from 0 to {MAX_INDEX}")
    return int(text)


def _quote(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
