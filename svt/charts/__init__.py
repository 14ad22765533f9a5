"""Charts: functions from Polars frames to Altair charts, and their export to files and pages.

A figure of `FIGURES` is a chart with the named queries that it needs. `draw` runs these queries and
records them, so that the report can show the SQL:

    figure = draw("graph", lambda query, **params: run(con, query, **params), context)
    export(figure.spec, folder, figure.name, ("svg", "png"))
"""

from svt.charts.export import Look, export
from svt.charts.figure import ALL_SLICES, EFFECTS, Context, Figure, QueryCall, RunQuery
from svt.charts.registry import FIGURES, check_figures, choose_figures, draw
from svt.charts.sweep import sweep

__all__ = [
    "ALL_SLICES",
    "EFFECTS",
    "FIGURES",
    "Context",
    "Figure",
    "Look",
    "QueryCall",
    "RunQuery",
    "check_figures",
    "choose_figures",
    "draw",
    "export",
    "sweep",
]
