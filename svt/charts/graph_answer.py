"""The top of the traced graph: the answer and the direct effects of heads on it.

1. The rows of the query `answer_edges` whose head is in the column of the roots are drawn.
2. Each is a line to the answer above that column. Its width is the mean direct effect on the logit
   difference; it is dashed if the effect is negative.
"""

import altair as alt
import polars as pl

from svt.charts.curves import Point
from svt.charts.graph_encodings import HIT_LINE, LINE, VISIBLE_NODE, Axes
from svt.charts.graph_rows import path_of
from svt.charts.layout import Layout, Node, find_clearest
from svt.charts.style import GREEN, Row, head_name, inline, plural

HEIGHT = 1.3
"""Slots between the top of the columns and the answer."""
MAX_WIDTH, MIN_WIDTH = 6.5, 0.7
"""Pixels of the strongest line, and of the weakest."""
BOX = "M-4.3,-0.6H4.3V0.6H-4.3Z"


def answer_rows(layout: Layout, effects: pl.DataFrame, role: str) -> list[Row]:
    """Return a row for each line of step 2, the weakest first."""
    end = _place_answer(layout, role)
    rows = effects.sort(pl.col("mean").abs()).to_dicts()
    largest = max((abs(row["mean"]) for row in rows), default=0.0) or 1.0
    lines = []
    for row in rows:
        node = Node(row["layer"], row["head"], role)
        if node not in layout.position:
            continue
        x, y = start = layout.position[node]
        others = [place for place in layout.position.values() if place != start]
        lines.append(
            {
                "x": round(x, 3),
                "y": round(y, 3),
                "path": path_of(find_clearest(start, end, others)),
                "width": round(max(MAX_WIDTH * (abs(row["mean"]) / largest) ** 0.5, MIN_WIDTH), 2),
                "from": head_name(row["layer"], row["head"]),
                "hinders": row["mean"] < 0,
                "mean": round(row["mean"], 4),
                "share": round(row["share"], 4) if row["share"] is not None else None,
                "positive": f"{row['n_positive']:,} of {plural(row['n_prompts'], 'prompt')}",
            }
        )
    return lines


def describe_answer(effects: pl.DataFrame) -> str:
    """Say what share of the positive direct effects of all heads the roots have."""
    roots = effects.filter("is_root")
    shares = [share for share in roots["share"].to_list() if share is not None]
    if not shares:
        return ""
    return (
        f"Top: direct effects on the logit difference; {plural(len(shares), 'root')} "
        f"{'has' if len(shares) == 1 else 'have'} {sum(shares):.0%} of the positive effects."
    )


def answer_marks(lines: list[Row], layout: Layout, role: str, axes: Axes) -> list[alt.Chart]:
    """Return the marks of step 2 and of the answer; none without lines.

    lines: from answer_rows, with the `most` and `kind` of their nodes.
    """
    if not lines:
        return []
    x, y = _place_answer(layout, role)
    paths = axes.trace_paths(alt.Chart(inline(lines)).transform_filter(VISIBLE_NODE))
    answer = axes.place(
        alt.Chart(inline([{"x": x, "y": y, "answer": f"logit difference at {role}"}]))
    )
    tooltip = [
        alt.Tooltip("from:N"),
        alt.Tooltip("mean:Q", title="mean effect on the logit difference", format="+.3~f"),
        alt.Tooltip("share:Q", title="share of all heads' positive effects", format=".0%"),
        alt.Tooltip("positive:N", title="above 0 in"),
    ]
    return [
        paths.mark_point(**LINE, stroke=GREEN, opacity=0.8).encode(
            strokeWidth=alt.StrokeWidth("width:Q", scale=None),
            strokeDash=alt.when("datum.hinders")
            .then(alt.value([3, 6]))
            .otherwise(alt.value([1, 0])),
        ),
        paths.mark_point(**HIT_LINE, strokeWidth=12).encode(tooltip=tooltip),
        answer.mark_point(style="node", filled=True, shape=BOX, size=900),
        answer.mark_text(style="label").encode(text="answer:N"),
    ]


def _place_answer(layout: Layout, role: str) -> Point:
    """Return the place of the answer, above the column of the roots."""
    return layout.middle.get(role, 0.0), layout.height + HEIGHT
