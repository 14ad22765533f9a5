"""What the fast suite leaves to `make check-long`."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def examples(n: int) -> int:
    """Return how many examples hypothesis draws: n in `make check-long`, else a tenth of them."""
    return n if os.environ.get("SVT_LONG") else max(10, n // 10)


TYPICAL = ("gpt2", "gpt_neox", "mistral", "qwen3", "gemma2")
"""Families that have every part between them: rotation, parallel blocks, windows, grouped keys."""


def families(cases: Iterable[str]) -> list[Any]:
    """Return families as parameters of a test: the typical ones in every run, the others long.

    For what goes beyond the definitions, against which every family is held in every run.
    """
    return [
        case if case in TYPICAL else pytest.param(case, marks=pytest.mark.long) for case in cases
    ]


def first(n: int, values: Sequence[Any]) -> list[Any]:
    """Return parameters of a test: the first n in every run, the others behind the marker long."""
    return [
        *values[:n],
        *(pytest.param(*_several(value), marks=pytest.mark.long) for value in values[n:]),
    ]


def _several(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
