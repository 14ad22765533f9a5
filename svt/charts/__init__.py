"""Charts: functions from Polars frames to Altair charts, their files and the report page.

A figure of `FIGURES` knows which named queries it needs. `draw` asks for them and keeps what was
asked, so that the report can show the SQL:

    figure = draw("graph", lambda query, **params: run(con, query, **params), context)
    export(figure.spec, folder, figure.name, ("svg", "png"))
"""

from svt.charts.export import Look, export
from svt.charts.figure import ALL_SLICES, EFFECTS, Ask, Asked, Context, Figure
from svt.charts.registry import FIGURES, check_figures, chosen_figures, draw
from svt.charts.sweep import sweep

__all__ = [
    "ALL_SLICES",
    "EFFECTS",
    "FIGURES",
    "Ask",
    "Asked",
    "Context",
    "Figure",
    "Look",
    "check_figures",
    "chosen_figures",
    "draw",
    "export",
    "sweep",
]
