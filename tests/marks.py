"""What the fast suite leaves to `make check-long`."""

import os
from collections.abc import Sequence
from typing import Any

import pytest


def examples(n: int) -> int:
    """Return how many examples hypothesis draws: n in `make check-long`, else a fifth of them."""
    return n if os.environ.get("SVT_LONG") else max(10, n // 5)


def first(n: int, values: Sequence[Any]) -> list[Any]:
    """Return parameters of a test: the first n in every run, the others behind the marker long."""
    return [*values[:n], *(pytest.param(value, marks=pytest.mark.long) for value in values[n:])]
