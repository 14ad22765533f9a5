"""The figures by name, and the selection of figures by `chart.figures`."""

from collections.abc import Collection, Sequence

from altair.utils.schemapi import debug_mode

from svt.charts.figure import Context, Figure, Recorder, RunQuery
from svt.charts.head_figures import HEAD_FIGURES
from svt.charts.intervention_figures import INTERVENTION_FIGURES
from svt.charts.trace_figures import TRACE_FIGURES
from svt.errors import ConfigError, suggestion

FIGURES = TRACE_FIGURES | HEAD_FIGURES | INTERVENTION_FIGURES


def draw(name: str, ask: RunQuery, context: Context) -> Figure:
    """Draw the figure `name` of a run; ConfigError for an unknown name."""
    check_figures((name,))
    spec = FIGURES[name]
    recorder = Recorder(ask)
    with debug_mode(False):  # no validation of every part against the schema of Vega-Lite
        chart = spec.draw(recorder, context)
    return Figure(name, spec.title, spec.reading, chart, tuple(recorder.calls))


def check_figures(names: str | Sequence[str]) -> None:
    """Raise ConfigError for an unknown name in `chart.figures`; `default` and `all` are valid."""
    for name in () if names in ("default", "all") else names:
        if name not in FIGURES:
            near = suggestion(name, FIGURES)
            known = ", ".join(FIGURES)
            raise ConfigError(f"chart.figures: no figure {name!r}; known: {known}{near}")


def choose_figures(names: str | Sequence[str], filled: Collection[str]) -> tuple[str, ...]:
    """Return the names that `chart.figures` selects; ConfigError for an unknown name.

    filled: the tables that have rows; `default` and `all` select no figure that needs another.
    """
    check_figures(names)
    if names not in ("default", "all"):
        return tuple(names)
    return tuple(
        name
        for name, spec in FIGURES.items()
        if (spec.default or names == "all") and set(spec.needs) <= set(filled)
    )
