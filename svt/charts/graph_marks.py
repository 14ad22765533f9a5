"""The marks of the traced graph and its interaction in a page: a slider and highlighting.

1. Columns have the names of roles, rows those of layers.
2. An edge is a path in pixels from its lower end, strong edges on top; it is dashed if
   interventions show that it is not causal. Edges that pass a node are drawn above the nodes,
   because they would seem to end there.
3. A node has a disc (a box if it is not a head), a label, and a ring if it is in the reference.
4. The slider `least` hides edges of less strength, and nodes that have no other edges; once it has
   moved, a line above the picture describes what is visible.
5. Invisible marks, wider than the visible ones, receive the pointer and have the tooltips. An edge
   or head under the pointer is highlighted with its neighbours; other edges and names fade.

A file without a page shows the initial picture.
"""

from math import floor, log10
from typing import Any

import altair as alt

from svt.charts.graph_answer import HEIGHT, answer_marks
from svt.charts.graph_encodings import (
    HIT_LINE,
    LINE,
    VISIBLE_NODE,
    Axes,
    make_pointer,
    size_width,
)
from svt.charts.graph_rows import SLOT_X, SLOT_Y
from svt.charts.graph_strength import Measure
from svt.charts.layout import Layout
from svt.charts.style import Chart, Row, inline, side_colour

MARGIN = 1.7
"""Slots at the left for the names of the layers."""
BELOW, ABOVE = 0.7, 1.2
"""Slots below and above the columns for their names and the line of step 4."""
NODE_AREA, RING_AREA = 880, 1230
EDGE_REACH = 12
"""The width in pixels in which an edge receives the pointer."""
FADED = 0.07
DASHED = [5, 9]
"""Edges that are not causal; the round caps of wide lines shorten the gaps."""
DOTTED = [0.1, 11]
"""Causal edges that hinder the answer."""
DASH_DOTTED = [9, 9, 0.1, 9]
"""Edges that were tested in too few prompts to decide."""
BOX = "M-1.35,-0.65H1.35V0.65H-1.35Z"

# All marks receive the pointer; over one without the field a selection has the value undefined.
EDGE, NODE = "(pointed_edge.edge || [])[0]", "(pointed_node.node || [])[0]"
POINTED = f"isValid({EDGE}) || isValid({NODE})"
EDGE_LIT = f"({EDGE} === datum.edge || {NODE} === datum.up || {NODE} === datum.down)"
NODE_LIT = (
    f"({NODE} === datum.node || indexof(datum.edges, {EDGE}) >= 0 || datum.near[{NODE}] >= least)"
)


def draw_marks(
    layout: Layout,
    lines: list[Row],
    points: list[Row],
    *,
    measure: Measure,
    start: float,
    levels: list[Row],
    answer: list[Row],
    root_dest: str,
) -> Chart:
    """Draw the layered chart without a title.

    lines, points: from edge_rows and node_rows;
    levels: low high text, the description of the picture for slider values from low to high;
    answer: from answer_rows, drawn above the column of `root_dest`.
    """
    (left, right), above = layout.sides, ABOVE + HEIGHT if answer else ABOVE
    axes = Axes(left - MARGIN, right, -BELOW, layout.height + above)
    bands, *names = _draw_columns(layout, axes, root_dest if answer else None)
    at_root = {point["label"]: point for point in points if point["role"] == root_dest}
    to_answer = [
        line | {key: at_root[line["from"]][key] for key in ("most", "kind")} for line in answer
    ]
    edges = _draw_edges(lines, axes, measure) if lines else []
    layers = [bands, *names, *edges[:2]]
    if lines:
        layers.append(_draw_level(levels, axes, measure, start))
    layers += answer_marks(to_answer, layout, root_dest, axes)  # the legends are those of edges
    discs, labels, hits = _draw_nodes(points, axes)
    over = edges[2:] if any(line["over"] for line in lines) else []
    layers += [*discs, *over, *labels, hits]
    return (
        alt.layer(*layers)
        .properties(
            width=(right - axes.left) * SLOT_X,
            height=(axes.top + BELOW) * SLOT_Y,
            datasets={"edges": lines, "nodes": points},
        )
        .add_params(_make_slider(lines, measure, start))
    )


def _make_slider(lines: list[Row], measure: Measure, start: float) -> alt.Parameter:
    """Return the slider of step 4, or a constant if all edges have the same strength."""
    strengths = {line["strength"] for line in lines}
    if len(strengths) < 2:
        return alt.param(name="least", value=start)
    return alt.param(
        name="least",
        value=start,
        bind=alt.binding_range(
            min=min(strengths), max=max(strengths), step=measure.step, name=measure.slider
        ),
    )


def _draw_columns(layout: Layout, axes: Axes, below_answer: str | None) -> list[alt.Chart]:
    """Draw bands, and the names of columns and rows (step 1).

    The answer names the column below it, so that no line to it crosses the name.
    """
    bands = [
        {"role": role, "left": left + 0.1, "right": right - 0.1, "middle": (left + right) / 2}
        for role, left, right in layout.columns
    ]
    layers = [
        {
            "layer": "embedding" if layer < 0 else f"layer {layer}",
            "x": layout.sides[0],
            "y": (bottom + top) / 2,
        }
        for layer, bottom, top in layout.rows
    ]
    roles, names = alt.Chart(inline(bands)), alt.Chart(inline(layers))
    x, y = axes.x, axes.y
    top = layout.height
    return [
        roles.mark_rect(style="band", cornerRadius=6).encode(
            x("left"), y(0), x2="right:Q", y2=alt.datum(top)
        ),
        roles.mark_text(style="role").encode(x("middle"), y(-0.35), text="role:N"),
        roles.transform_filter(alt.datum.role != below_answer)
        .mark_text(style="role")
        .encode(x("middle"), y(top + 0.35), text="role:N"),
        names.mark_text(style="quiet", align="right", dx=-6).encode(x(), y(), text="layer:N"),
    ]


def _draw_edges(lines: list[Row], axes: Axes, measure: Measure) -> list[alt.Chart]:
    """Draw the edges that pass no node, the invisible marks of all, and the edges that pass one."""
    sizes = [line["size"] for line in lines if line["size"] is not None] or [1.0]
    most = max(line["count"] for line in lines)
    edges = alt.Chart(alt.NamedData("edges")).transform_filter("datum.strength >= least")
    paths = axes.trace_paths(edges)
    dashes = {
        "strokeDash": alt.when("datum.causal === 'no'")
        .then(alt.value(DASHED))
        .when("datum.causal === 'hinders'")
        .then(alt.value(DOTTED))
        .when("datum.causal === 'too few prompts'")
        .then(alt.value(DASH_DOTTED))
    }
    visible = paths.mark_point(**LINE).encode(
        color=side_colour(),
        strokeWidth=size_width(
            measure.size_title,
            [0.7, 6.5],
            max(*sizes, 1e-9),
            values=_round_values(sizes),
            labelExpr="format(datum.value, ',~g')",
        ),
        opacity=alt.when(POINTED)
        .then(alt.value(alt.expr(f"{EDGE_LIT} ? 1 : {FADED}")))
        .otherwise(
            alt.Opacity(
                "count:Q", scale=alt.Scale(domain=[0, most], range=[0.2, 0.95]), legend=None
            )
        ),
        **(dashes if "causal" in lines[0] else {}),
    )
    tooltip = _known_tooltips(
        lines,
        alt.Tooltip("from:N"),
        alt.Tooltip("to:N"),
        alt.Tooltip("side:N", title="writes into the"),
        alt.Tooltip("role:N", title="token"),
        alt.Tooltip("dest_role:N", title="which attends from"),
        alt.Tooltip("src_role:N", title="and to"),
        alt.Tooltip("prompts:Q", format=","),
        alt.Tooltip("firings:Q", format=","),
        alt.Tooltip("visits:Q", format=","),
        alt.Tooltip("total:Q", title="total contribution", format=",.3~f"),
        alt.Tooltip("mean:Q", title="mean contribution", format=",.3~f"),
        alt.Tooltip("effect:Q", title="weight lost without it, mean", format=".3f"),
        alt.Tooltip("causal:N"),
    )
    hits = paths.mark_point(**HIT_LINE, strokeWidth=EDGE_REACH).encode(tooltip=tooltip)
    return [
        visible.transform_filter("!datum.over"),
        hits.add_params(make_pointer("edge")),
        visible.transform_filter("datum.over"),
    ]


def _known_tooltips(rows: list[Row], *tooltips: alt.Tooltip) -> list[alt.Tooltip]:
    """Return the tooltips of columns with values; imported circuits may lack some."""
    known = {name for row in rows for name, value in row.items() if value is not None}
    return [tooltip for tooltip in tooltips if tooltip.shorthand[:-2] in known]


def _round_values(sizes: list[float]) -> list[float]:
    """Return two sizes for the legend: a round number near the largest, and a quarter of it."""
    largest = max(sizes)
    if largest <= 0:
        return [0.0]
    unit = 10.0 ** floor(log10(largest))
    return [unit * (largest // unit) / 4, unit * (largest // unit)]


def _draw_level(levels: list[Row], axes: Axes, measure: Measure, start: float) -> alt.Chart:
    """Draw the line of step 4 above the picture."""
    return (
        alt.Chart(inline([level | {"x": 0} for level in levels]))
        .transform_filter(f"least != {start} && datum.low <= least && least <= datum.high")
        .transform_calculate(line=f"'Now shown: ' + datum.text + ', ' + {measure.least_text}")
        .mark_text(style="quiet", align="left", fontSize=12)
        .encode(axes.x(), axes.y(axes.top - 0.25), text="line:N")
    )


def _draw_nodes(
    points: list[Row], axes: Axes
) -> tuple[list[alt.Chart], list[alt.Chart], alt.Chart]:
    """Return discs and labels of step 3, and the invisible marks of step 5."""
    nodes = axes.place(alt.Chart(alt.NamedData("nodes")).transform_filter(VISIBLE_NODE))
    faded = alt.when(f"({POINTED}) && !({NODE_LIT})").then(alt.value(0.25)).otherwise(alt.value(1))

    def disc(condition: str, **mark: Any) -> alt.Chart:
        marks = nodes.transform_filter(condition).mark_point(filled=True, **mark)
        return marks.encode(strokeOpacity=faded)

    def label(condition: str, style: str, **encodings: Any) -> alt.Chart:
        marks = nodes.transform_filter(condition).mark_text(style=style)
        return marks.encode(text="label:N", **encodings)

    hits = (
        nodes.mark_point(filled=True, size=RING_AREA, opacity=0)
        .encode(
            tooltip=_known_tooltips(
                points,
                alt.Tooltip("label:N", title="component"),
                alt.Tooltip("role:N", title="writes to"),
                alt.Tooltip("class:N", title="reference class"),
                alt.Tooltip("does:N", title="mostly attends"),
                alt.Tooltip(
                    "prompts:Q", title="prompts in which it fires in the trace", format=","
                ),
                alt.Tooltip("firings:Q", title="firings in the trace", format=","),
            )
        )
        .add_params(make_pointer("node"))
    )
    discs = [
        disc("datum.reference", style="ring", size=RING_AREA),
        disc("datum.kind == 'head'", style="node", size=NODE_AREA),
        disc("datum.kind == 'root'", style="root", size=NODE_AREA),
        disc("datum.kind == 'other'", style="node", shape=BOX, size=NODE_AREA),
    ]
    labels = [
        label("datum.kind != 'root'", "label", opacity=faded),
        label("datum.kind == 'root'", "root_label"),
    ]
    return discs, labels, hits
