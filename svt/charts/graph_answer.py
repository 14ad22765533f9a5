"""The top of the traced graph: the answer, and what heads write for it directly.

1. Rows are those of the query `answer_edges` whose head stands in the column of the roots.
2. A line goes from each to the answer above that column, the wider the larger its mean direct
   effect on the logit difference; dashed where that is below 0.
"""

from typing import Any

import altair as alt
import polars as pl

from svt.charts.curves import Curve, Point
from svt.charts.graph_rows import path_of
from svt.charts.layout import Layout, Node, clearest
from svt.charts.style import GREEN, head_name, inline, plural

Row = dict[str, Any]

HEIGHT = 1.3
"""Slots between the top of the columns and the answer."""
WIDEST, LEAST = 6.5, 0.7
"""Pixels of the strongest line, and of the weakest."""
BOX = "M-3.4,-0.6H3.4V0.6H-3.4Z"


def answer_rows(layout: Layout, effects: pl.DataFrame, role: str) -> list[Row]:
    """Return a row for each line of step 2, the weakest first."""
    at = _place(layout, role)
    rows = effects.sort(pl.col("mean").abs()).to_dicts()
    largest = max((abs(row["mean"]) for row in rows), default=0.0) or 1.0
    lines = []
    for row in rows:
        node = Node(row["layer"], row["head"], role)
        if node not in layout.position:
            continue
        x, y = layout.position[node]
        lines.append(
            {
                "x": round(x, 3),
                "y": round(y, 3),
                "path": path_of(_curve(layout, (x, y), at)),
                "width": round(max(WIDEST * (abs(row["mean"]) / largest) ** 0.5, LEAST), 2),
                "from": head_name(row["layer"], row["head"]),
                "hinders": row["mean"] < 0,
                "mean": round(row["mean"], 4),
                "share": round(row["share"], 4) if row["share"] is not None else None,
                "positive": f"{row['n_positive']:,} of {plural(row['n_prompts'], 'prompt')}",
            }
        )
    return lines


def answer_told(effects: pl.DataFrame) -> str:
    """Say what share of all positive effects the roots carry, in a sentence."""
    roots = effects.filter("is_root")
    shares = [share for share in roots["share"].to_list() if share is not None]
    if not shares:
        return ""
    return (
        f"Top: direct effects on the logit difference; {sum(shares):.0%} of all heads' positive "
        f"ones are those of the {plural(len(shares), 'root')}."
    )


def answer_marks(lines: list[Row], layout: Layout, role: str, x: Any, y: Any) -> list[alt.Chart]:
    """The marks of step 2 and the answer; none without lines. x and y: of a field, in slots."""
    if not lines:
        return []
    place = _place(layout, role)
    paths = alt.Chart(inline(lines)).encode(
        x("x"), y("y"), shape=alt.Shape("path:N", scale=None, legend=None)
    )
    answer = alt.Chart(inline([{"x": place[0], "y": place[1], "answer": "logit difference"}]))
    tooltip = [
        alt.Tooltip("from:N"),
        alt.Tooltip("mean:Q", title="mean effect on the logit difference", format="+.3~f"),
        alt.Tooltip("share:Q", title="share of all heads' positive effects", format=".0%"),
        alt.Tooltip("positive:N", title="above 0 in"),
    ]
    line: dict[str, Any] = {"filled": False, "fill": "none", "size": 4}
    return [
        paths.mark_point(**line, stroke=GREEN, strokeCap="round", opacity=0.8).encode(
            strokeWidth=alt.StrokeWidth("width:Q", scale=None),
            strokeDash=alt.when("datum.hinders")
            .then(alt.value([3, 6]))
            .otherwise(alt.value([1, 0])),
        ),
        paths.mark_point(**line, strokeWidth=12, opacity=0).encode(tooltip=tooltip),
        answer.mark_point(style="node", filled=True, shape=BOX, size=900).encode(x("x"), y("y")),
        answer.mark_text(style="label").encode(x("x"), y("y"), text="answer:N"),
    ]


def _curve(layout: Layout, start: Point, end: Point) -> Curve:
    """Return the curve that passes the fewest other nodes, of the least bend."""
    others = [place for place in layout.position.values() if place != start]
    return clearest(start, end, others)


def _place(layout: Layout, role: str) -> Point:
    """Where the answer stands: above the column of the roots."""
    middle = next(((a + b) / 2 for name, a, b in layout.columns if name == role), 0.0)
    return middle, layout.height + HEIGHT
