"""The report: one page that holds a run's charts, numbers and settings and needs nothing else.

What the page says is a `Report`; how charts get into a page is told in svt/charts/page.py.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from svt.charts.export import write_whole
from svt.charts.figure import Figure
from svt.charts.page import render
from svt.charts.style import specification

Cell = tuple[str, bool]
"""A text, and whether it is a number (and so stands at the right)."""


@dataclass(frozen=True)
class Fact:
    """A headline number."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A frame shown as it is, one plain sentence above it."""

    title: str
    frame: pl.DataFrame
    reading: str = ""

    @property
    def columns(self) -> list[Cell]:
        """Column names, underscores as spaces."""
        return [
            (name.replace("_", " "), self.frame[name].dtype.is_numeric())
            for name in self.frame.columns
        ]

    @property
    def rows(self) -> list[list[Cell]]:
        """The cells, written for people; null is a dash."""
        numeric = [is_number for _, is_number in self.columns]
        return [
            [(shown(cell), number) for cell, number in zip(row, numeric, strict=True)]
            for row in self.frame.rows()
        ]


@dataclass(frozen=True)
class Report:
    """What the page says, from top to bottom."""

    title: str
    lead: str
    """One sentence: what was run, when, on what."""
    facts: Sequence[Fact] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    left_out: Sequence[str] = ()
    """Sentences on what the page does not show, or the run did not do."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The whole configuration, nested."""
    sql: Mapping[str, str] = field(default_factory=dict)
    """The text of each query that a figure asked."""

    @property
    def settings(self) -> list[tuple[str, str]]:
        """The configuration as dotted keys and the values one would type."""
        return list(_flat(self.config))


def write_report(path: Path, report: Report) -> Path:
    """Write `report` to `path` as one HTML page; SvtError if it cannot be written."""
    return write_whole(path, page(report))


def page(report: Report) -> str:
    """The page as text."""
    charts = {figure.name: specification(figure.chart, palette=None) for figure in report.figures}
    return render("report.html.j2", charts, report=report)


def shown(value: Any) -> str:
    """A value as people write it: four significant digits, thousands apart, a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Any:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)
