"""One figure of a run, and what was asked of the tables to draw it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

import polars as pl

from svt.charts.style import Chart
from svt.config import TraceConfig


class Ask(Protocol):
    """Runs a named query of sql/queries with bound parameters."""

    def __call__(self, query: str, **params: Any) -> pl.DataFrame: ...


@dataclass(frozen=True)
class Context:
    """What a figure may know of its run besides the tables."""

    trace: TraceConfig
    roots: Sequence[tuple[int, int]]
    """(layer, head), at least one, the strongest first."""
    n_prompts: int

    @property
    def min_count(self) -> int:
        """The count from which edges are shown: trace.min_count, or min_share of the prompts."""
        if self.trace.min_count is not None:
            return self.trace.min_count
        return max(1, ceil(self.trace.min_share * self.n_prompts - 1e-9))


@dataclass(frozen=True)
class Asked:
    """A named query and the parameters it ran with."""

    query: str
    params: dict[str, Any]

    @property
    def command(self) -> str:
        """What prints the same rows: a line for `svt-sql`, the run's folder left to the reader."""
        given = "".join(f" {name}={value}" for name, value in self.params.items())
        return f"svt-sql RUN {self.query}{given}"


@dataclass(frozen=True)
class Figure:
    """A chart with its words: `reading` is one plain sentence on how to read it."""

    name: str
    title: str
    reading: str
    chart: Chart
    asked: tuple[Asked, ...] = ()


class Recorder:
    """An `Ask` that remembers what was asked."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.asked: list[Asked] = []

    def __call__(self, query: str, **params: Any) -> pl.DataFrame:
        self.asked.append(Asked(query, params))
        return self._ask(query, **params)
