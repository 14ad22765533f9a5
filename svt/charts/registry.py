"""The figures by name: what each asks of the tables and how it is read."""

from collections.abc import Collection, Sequence

from altair.utils.schemapi import debug_mode

from svt.charts.figure import Ask, Context, Figure, Recorder
from svt.charts.head_figures import HEAD_FIGURES
from svt.charts.intervention_figures import INTERVENTION_FIGURES
from svt.charts.trace_figures import TRACE_FIGURES
from svt.errors import ConfigError, suggestion

FIGURES = TRACE_FIGURES | HEAD_FIGURES | INTERVENTION_FIGURES


def draw(name: str, ask: Ask, context: Context) -> Figure:
    """The figure `name` of a run; ConfigError if there is none of that name."""
    check_figures((name,))
    spec = FIGURES[name]
    recorder = Recorder(ask)
    with debug_mode(False):  # every part of a chart would be held against Vega-Lite's schema
        chart = spec.draw(recorder, context)
    return Figure(name, spec.title, spec.reading, chart, tuple(recorder.asked))


def check_figures(chosen: str | Sequence[str]) -> None:
    """ConfigError for a name of `chart.figures` that is none; `default` and `all` are fine."""
    for name in () if chosen in ("default", "all") else chosen:
        if name not in FIGURES:
            near = suggestion(name, FIGURES)
            known = ", ".join(FIGURES)
            raise ConfigError(f"chart.figures: no figure {name!r}; known: {known}{near}")


def chosen_figures(chosen: str | Sequence[str], filled: Collection[str]) -> tuple[str, ...]:
    """The names that `chart.figures` means; `all`: those whose tables are `filled` with rows."""
    check_figures(chosen)
    if chosen not in ("default", "all"):
        return tuple(chosen)
    return tuple(
        name
        for name, spec in FIGURES.items()
        if (spec.default or chosen == "all") and set(spec.needs) <= set(filled)
    )
