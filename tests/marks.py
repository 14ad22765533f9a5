"""What the fast suite leaves to `make check-long`."""

from collections.abc import Sequence
from typing import Any

import pytest


def first(n: int, values: Sequence[Any]) -> list[Any]:
    """Return parameters of a test: the first n in every run, the others behind the marker long."""
    return [*values[:n], *(pytest.param(value, marks=pytest.mark.long) for value in values[n:])]
