"""Encodings that the traced graph and the graph of a prompt have in common."""

from typing import Any

import altair as alt

HIT_LINE: dict[str, Any] = {"filled": False, "fill": "none", "size": 4, "opacity": 0}
"""The mark of a path that is invisible and receives the pointer; its strokeWidth is its reach."""
LINE: dict[str, Any] = {"filled": False, "fill": "none", "size": 4, "strokeCap": "round"}
LINE |= {"invalid": "show"}
"""The mark of a visible path; one without a weight is as thin as can be."""
VISIBLE_NODE = "datum.most >= least || datum.kind == 'root'"
"""Whether a node of the traced graph is shown: a root, or one with an edge that is."""


class Axes:
    """x and y of fields, or of fixed places, in the slots of the layout."""

    def __init__(self, left: float, right: float, bottom: float, top: float) -> None:
        self.left = left
        self.top = top
        self._across = alt.Scale(domain=[left, right], nice=False, zero=False)
        self._up = alt.Scale(domain=[bottom, top], nice=False, zero=False)

    def x(self, field: str = "x") -> alt.X:
        return alt.X(f"{field}:Q", scale=self._across, axis=None)

    def y(self, at: str | float = "y") -> Any:
        if isinstance(at, str):
            return alt.Y(f"{at}:Q", scale=self._up, axis=None)
        return alt.YDatum(at, scale=self._up, axis=None)

    def place(self, chart: alt.Chart) -> alt.Chart:
        """Return the chart with its rows at their fields x and y."""
        return chart.encode(self.x(), self.y())

    def trace_paths(self, chart: alt.Chart) -> alt.Chart:
        """Return the chart with its rows as paths from x and y."""
        return self.place(chart).encode(shape=alt.Shape("path:N", scale=None, legend=None))


def make_pointer(field: str) -> alt.Parameter:
    """Return the selection `pointed_<field>` of the mark under the pointer."""
    return alt.selection_point(
        name=f"pointed_{field}", fields=[field], on="pointerover", clear="pointerout", empty=False
    )


def size_width(name: str, range_: list[float], largest: float, **legend: Any) -> alt.StrokeWidth:
    """Return the width of edges by the square root of `size`, with a legend titled `name`."""
    return alt.StrokeWidth(
        "size:Q",
        title=name,
        scale=alt.Scale(type="sqrt", domain=[0, largest], range=range_, clamp=True),
        legend=alt.Legend(symbolType="stroke", symbolSize=150, symbolOpacity=1, **legend),
    )
