"""One figure of a run, and what was asked of the tables to draw it."""

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from textwrap import wrap
from typing import Any, Protocol

import polars as pl

from svt.charts.style import NOTHING, Chart, specification
from svt.config import ChartConfig, TraceConfig

ALL_SLICES = "upstream.contribution_all"
"""What a figure needs that shows contributions through all slices (dump.all_slices)."""
EFFECTS = "upstream.weight_without"
"""What a figure needs that shows exact effects (dump.effects)."""

LINE = 110
"""Characters of a line below the title."""


class Ask(Protocol):
    """Runs a named query of sql/queries with bound parameters."""

    def __call__(self, query: str, **params: Any) -> pl.DataFrame: ...


@dataclass(frozen=True)
class Context:
    """What a figure may know of its run besides the tables."""

    trace: TraceConfig
    roots: Sequence[tuple[int, int]]
    """(layer, head), the strongest first; at least one, unless the circuit was imported."""
    n_prompts: int
    chart: ChartConfig
    compare: Ask | None = None
    """Asks the tables of chart.compare_store."""
    imported: str | None = None
    """The name of an imported circuit; None for a trace."""

    @property
    def min_count(self) -> int:
        """The count from which edges are shown: trace.min_count, or min_share of the prompts."""
        if self.trace.min_count is not None:
            return self.trace.min_count
        return max(1, ceil(self.trace.min_share * self.n_prompts - 1e-9))

    @property
    def min_share(self) -> float:
        """The share of the prompts from which edges are shown; a count of prompts is one."""
        if self.trace.count == "prompts":
            return min(self.min_count / max(self.n_prompts, 1), 1.0)
        return self.trace.min_share

    @property
    def by_effect(self) -> bool:
        """Whether graphs draw their edges by effect: chart.edges, or what the trace went by."""
        return (self.chart.edges or self.trace.rule) == "effect"


@dataclass(frozen=True)
class Asked:
    """A named query, the parameters it ran with, and what it was asked of."""

    query: str
    params: dict[str, Any]
    target: str = "RUN"

    @property
    def command(self) -> str:
        """What prints the same rows: a line for `svt-sql`, the run's folder left to the reader."""
        given = (f"{name}={_typed(value)}" for name, value in self.params.items())
        return shlex.join(["svt-sql", self.target, self.query, *given])


def _typed(value: Any) -> str:
    """A value as `svt-sql` reads it: texts as they are, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


class Recorder:
    """An `Ask` that remembers what was asked, and of what."""

    def __init__(self, ask: Ask, target: str = "RUN", asked: list[Asked] | None = None) -> None:
        self._ask = ask
        self._target = target
        self.asked: list[Asked] = [] if asked is None else asked

    def __call__(self, query: str, **params: Any) -> pl.DataFrame:
        self.asked.append(Asked(query, params, self._target))
        return self._ask(query, **params)

    def elsewhere(self, ask: Ask, target: str) -> Ask:
        """`ask`, which asks another target, remembered here too."""
        return Recorder(ask, target, self.asked)


@dataclass(frozen=True)
class Figure:
    """A chart with its words: `reading` is one plain sentence on how to read it."""

    name: str
    title: str
    reading: str
    chart: Chart
    asked: tuple[Asked, ...] = ()

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The chart as Vega-Lite, without colours: its files and the page bring their own."""
        return specification(self.chart, palette=None)

    @property
    def is_empty(self) -> bool:
        """Whether the chart only says why there is nothing to draw."""
        return self.spec.get("usermeta") == NOTHING

    def standalone(self, heading: str | None = "auto") -> dict[str, Any]:
        """`spec` with `reading` below the title, for files that no page explains.

        heading: in place of the chart's own title (auto); None for no title and no lines below it.
        """
        if heading is None:
            return {key: value for key, value in self.spec.items() if key != "title"}
        head = self.spec.get("title", self.title)
        head = {"text": head} if isinstance(head, str) else head
        lines = head.get("subtitle", [])
        lines = [lines] if isinstance(lines, str) else lines
        head = head if heading == "auto" else head | {"text": heading}
        return self.spec | {"title": head | {"subtitle": [*wrap(self.reading, LINE), *lines]}}


@dataclass(frozen=True)
class FigureSpec:
    """A kind of figure: its words, and the function that asks for its frames and draws them."""

    title: str
    reading: str
    draw: Callable[[Recorder, Context], Chart]
    default: bool = True
    """Whether it is drawn unasked, if every table of `needs` has rows."""
    needs: tuple[str, ...] = ()
    """Tables, and ALL_SLICES."""
