"""The report: one self-contained HTML page with the charts, numbers and settings of a run.

A `Report` has the contents of the page; svt/charts/page.py embeds the charts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, isfinite, log10
from pathlib import Path
from typing import Any

import polars as pl

from svt.charts.export import write_file
from svt.charts.figure import Figure
from svt.charts.page import render
from svt.errors import StoreError

Cell = tuple[str, bool]
"""A text, and whether it is a number, to be aligned at the right."""

_MARKS = (
    b'<meta name="generator" content="svt">',
    b"script-src 'unsafe-inline' 'unsafe-eval'",  # of pages from before that mark
)
TINY = 1e-3
"""Columns whose every number is smaller are written with exponents."""


@dataclass(frozen=True)
class Fact:
    """A headline number."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A frame that is shown as a table, below one sentence on how to read it."""

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
        """The cells as readable text: one format for each column, a dash for null."""
        numeric = [is_number for _, is_number in self.columns]
        columns = [write_values(self.frame[name]) for name in self.frame.columns]
        return [list(zip(row, numeric, strict=True)) for row in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Section:
    """A part of the page under one heading: its figures, then its tables."""

    title: str
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    beside: bool = False
    """Whether the figures stand next to each other, scaled to the page, where it is wide enough."""

    @property
    def anchor(self) -> str:
        return self.title.lower().replace(" ", "-")


@dataclass(frozen=True)
class Report:
    """The contents of the page in order: a summary, sections, the settings."""

    title: str
    lead: str
    """One sentence on the run and its data."""
    terms: Mapping[str, str] = field(default_factory=dict)
    """What the words of the page mean, said before they are used."""
    facts: Sequence[Fact] = ()
    headline: Sequence[str] = ()
    """Sentences that interpret the facts."""
    ran: Mapping[str, str] = field(default_factory=dict)
    """Short descriptions of the run: model, data, thresholds, versions, time."""
    left_out: Sequence[str] = ()
    """Sentences on what the page does not show or the run did not compute."""
    sections: Sequence[Section] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    """The whole configuration, nested."""
    sql: Mapping[str, str] = field(default_factory=dict)
    """The text of each query behind a figure."""

    @property
    def filled(self) -> list[Section]:
        """The sections with figures or tables."""
        return [section for section in self.sections if section.figures or section.tables]

    @property
    def settings(self) -> list[tuple[str, str]]:
        """The configuration as dotted keys and values in the syntax of the command line."""
        return list(flatten(self.config))


def check_report(path: Path) -> None:
    """Raise StoreError for a file at `path` that svt did not write, so that it is not replaced."""
    if path.exists() and not is_report(path):
        raise StoreError(
            f"{path}: svt did not write this file; move it, or leave out the stage report"
        )


def is_report(path: Path) -> bool:
    """Return whether a file is a report that svt wrote, by the mark at its beginning."""
    try:
        with path.open("rb") as file:
            head = file.read(1_000)
    except OSError:
        return False
    return any(mark in head for mark in _MARKS)


def write_report(path: Path, report: Report) -> Path:
    """Write `report` to `path` as one HTML page; SvtError if it cannot be written.

    A file of somebody else is not replaced (`check_report`).
    """
    check_report(path)
    charts = {figure.name: figure.spec for section in report.sections for figure in section.figures}
    return write_file(path, render("report.html.j2", charts, report=report))


def write_values(values: pl.Series) -> list[str]:
    """Return the values of a column as readable text with the same number of decimals."""
    decimals = _decimals(values) if values.dtype.is_float() else None
    return [_write_value(value, decimals) for value in values.to_list()]


def _decimals(values: pl.Series) -> int | None:
    """Return the decimals for four significant digits of the largest value; None if it is tiny."""
    sizes = [abs(value) for value in values.drop_nulls().to_list() if isfinite(value)]
    largest = max(sizes, default=0.0)
    if 0 < largest < TINY:
        return None
    whole = floor(log10(largest)) if largest else 0
    return min(4, max(0, 3 - whole))


def _write_value(value: Any, decimals: int | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if decimals is not None:
            value = round(value, decimals) + 0.0  # not -0
        text = f"{value:.2e}" if decimals is None else f"{value:,.{decimals}f}"
        return text.replace("-", "−")
    return str(value)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield a nested configuration as dotted keys and values in the command line's syntax."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)
