"""A figure of a run: its chart, its texts, and the queries that were run to draw it."""

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
"""Needed by figures of contributions through all slices (dump.all_slices)."""
EFFECTS = "upstream.weight_without"
"""Needed by figures of exact effects (dump.effects)."""

LINE = 110
"""The most characters in a line below the title."""


class RunQuery(Protocol):
    """A function that runs a named query of sql/queries with bound parameters."""

    def __call__(self, query: str, **params: Any) -> pl.DataFrame: ...


@dataclass(frozen=True)
class Context:
    """The facts about a run that a figure uses besides the tables."""

    trace: TraceConfig
    roots: Sequence[tuple[int, int]]
    """(layer, head), the strongest first; at least one, unless the circuit was imported."""
    n_prompts: int
    chart: ChartConfig
    compare: RunQuery | None = None
    """Runs queries on chart.compare_store."""
    imported: str | None = None
    """The name of an imported circuit; None for a trace."""

    @property
    def min_count(self) -> int:
        """The lowest count of edges to show: trace.min_count, or min_share of the prompts."""
        if self.trace.min_count is not None:
            return self.trace.min_count
        return max(1, ceil(self.trace.min_share * self.n_prompts - 1e-9))

    @property
    def min_share(self) -> float:
        """The share of prompts that `min_count` is if it counts prompts, else trace.min_share."""
        if self.trace.count == "prompts":
            return min(self.min_count / max(self.n_prompts, 1), 1.0)
        return self.trace.min_share

    @property
    def by_effect(self) -> bool:
        """Whether graphs draw edges by effect: chart.edges, or trace.rule where it is not set."""
        return (self.chart.edges or self.trace.rule) == "effect"


@dataclass(frozen=True)
class QueryCall:
    """A named query, its parameters, and the run or store that it was run on."""

    query: str
    params: dict[str, Any]
    target: str = "RUN"

    @property
    def command(self) -> str:
        """The `svt-sql` command that prints the same rows; RUN stands for the run's folder."""
        params = (f"{name}={_format_value(value)}" for name, value in self.params.items())
        return shlex.join(["svt-sql", self.target, self.query, *params])


def _format_value(value: Any) -> str:
    """Return a value in the syntax of `svt-sql`: text unchanged, other types as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


class Recorder:
    """A `RunQuery` that records its calls."""

    def __init__(
        self, ask: RunQuery, target: str = "RUN", calls: list[QueryCall] | None = None
    ) -> None:
        self._ask = ask
        self._target = target
        self.calls: list[QueryCall] = [] if calls is None else calls

    def __call__(self, query: str, **params: Any) -> pl.DataFrame:
        self.calls.append(QueryCall(query, params, self._target))
        return self._ask(query, **params)

    def for_target(self, ask: RunQuery, target: str) -> RunQuery:
        """Return a recorder of `ask`, which queries another store, with the same list of calls."""
        return Recorder(ask, target, self.calls)


@dataclass(frozen=True)
class Figure:
    """A chart with its texts; `reading` is one sentence on how to read it."""

    name: str
    title: str
    reading: str
    chart: Chart
    calls: tuple[QueryCall, ...] = ()

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The Vega-Lite specification without the colours, which files and pages add."""
        return specification(self.chart, palette=None)

    @property
    def is_empty(self) -> bool:
        """Whether the chart is only a message that there is nothing to draw."""
        return self.spec.get("usermeta") == NOTHING

    def standalone(self, heading: str | None = "auto") -> dict[str, Any]:
        """Return `spec` with `reading` below the title, for a file outside a page.

        heading: the title; auto: that of the chart; None: no title and no lines below it.
        """
        if heading is None:
            return {key: value for key, value in self.spec.items() if key != "title"}
        title = self.spec.get("title", {"text": self.title})
        title = title if heading == "auto" else title | {"text": heading}
        lines = [*wrap_evenly(self.reading), *title.get("subtitle", [])]
        return self.spec | {"title": title | {"subtitle": lines}}


def wrap_evenly(text: str) -> list[str]:
    """Return as few lines as `LINE` allows, of nearly equal length."""
    n_lines = len(wrap(text, LINE))
    return wrap(
        text, next(width for width in range(1, LINE + 1) if len(wrap(text, width)) <= n_lines)
    )


@dataclass(frozen=True)
class FigureSpec:
    """A kind of figure: its texts, and the function that runs its queries and draws the rows."""

    title: str
    reading: str
    draw: Callable[[Recorder, Context], Chart]
    default: bool = True
    """Whether `chart.figures=default` selects it, if every table of `needs` has rows."""
    needs: tuple[str, ...] = ()
    """Names of tables, ALL_SLICES and EFFECTS."""
