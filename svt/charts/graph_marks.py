"""The marks of the traced graph, and what moves in a page: a slider and what the pointer lights up.

1. Columns of the roles and names of the layers.
2. Edges: one path each, in pixels from its lower end, strong ones on top; dashed if interventions
   found them not causal. Those that pass a node stand above the nodes: they do not end there.
3. Nodes: rings, discs (boxes for what is no head) and labels.
4. The slider `least` hides edges of a smaller strength, and nodes whose edges all have one; above
   the picture stands what is left once it has been moved.
5. Unseen marks, wider than the seen ones, take the pointer and tell the numbers. An edge that is
   pointed at, or a head, lights up with what belongs to it; all other edges and names fade.

A file without a page shows the picture as the slider stands at the start.
"""

from math import floor, log10
from typing import Any

import altair as alt

from svt.charts.graph_answer import HEIGHT, answer_marks
from svt.charts.graph_rows import SLOT_X, SLOT_Y, Row, edge_rows, node_rows
from svt.charts.graph_strength import Measure
from svt.charts.layout import Edge, Layout, Node
from svt.charts.style import Chart, inline, side_colour

MARGIN = 1.7
"""Slots at the left, for the names of the layers."""
BELOW, ABOVE = 0.7, 1.2
"""Slots below and above the columns, for their names and the numbers of step 4."""
NODE_AREA, RING_AREA = 880, 1230
EDGE_REACH = 12
"""Pixels across that take the pointer for an edge."""
FADED = 0.07
DASHED = [5, 9]
"""Of edges that are not causal; the round ends of a wide line take of the gaps."""
DOTTED = [0.1, 11]
"""Of causal edges that hinder the answer."""
DASH_DOTTED = [9, 9, 0.1, 9]
"""Of edges that were tested in too few prompts to say."""
BOX = "M-1.35,-0.65H1.35V0.65H-1.35Z"

# A selection holds undefined for a mark that lacks its field, as everything in the picture is felt.
EDGE, NODE = "(pointed_edge.edge || [])[0]", "(pointed_node.node || [])[0]"
POINTED = f"isValid({EDGE}) || isValid({NODE})"
EDGE_LIT = f"({EDGE} === datum.edge || {NODE} === datum.up || {NODE} === datum.down)"
NODE_LIT = (
    f"({NODE} === datum.node || indexof(datum.edges, {EDGE}) >= 0 || datum.near[{NODE}] >= least)"
)


def draw_graph(
    layout: Layout,
    edges: list[tuple[Edge, Row]],
    roots: list[Node],
    heads: dict[tuple[int, int], Row],
    *,
    count: str,
    measure: Measure,
    start: float,
    levels: list[Row],
    answer: list[Row],
    root_dest: str,
) -> Chart:
    """The layered chart, without a title.

    edges: those that have a curve in `layout`, with their rows of `graph_links`, the strongest
    first; levels: low high text, what is shown while the slider stands between low and high;
    count: prompts, firings or visits, of which faint edges have few;
    answer: of answer_rows, above the column of `root_dest`.
    """
    lines = edge_rows(layout, edges, roots, count)
    points = node_rows(layout, edges, roots, heads)
    axes = _Axes(layout, ABOVE + HEIGHT if answer else ABOVE)
    layers = [*_columns(layout, axes)]
    if lines:
        layers += [*_edges(lines, axes, measure), _shown(levels, axes, layout, measure, start)]
    layers[1:1] = answer_marks(answer, layout, root_dest, axes.x, axes.y)  # below the names
    discs, names, felt = _nodes(points, axes)
    over = [_seen(lines, axes, measure, over=True)] if any(line["over"] for line in lines) else []
    layers += [*discs, *over, *names, felt]
    return (
        alt.layer(*layers)
        .properties(
            width=(axes.right - axes.left + MARGIN) * SLOT_X,
            height=(layout.height + BELOW + axes.above) * SLOT_Y,
            datasets={"edges": lines, "nodes": points},
        )
        .add_params(_slider(lines, measure, start))
    )


def _slider(lines: list[Row], measure: Measure, start: float) -> alt.Parameter:
    """Step 4; nothing to move where all edges have the same strength."""
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


class _Axes:
    """x and y encodings of a field, or of a fixed place, in the slots of the layout."""

    def __init__(self, layout: Layout, above: float) -> None:
        self.left, self.right = layout.sides
        self.above = above
        domain = [self.left - MARGIN, self.right]
        self._across = alt.Scale(domain=domain, nice=False, zero=False)
        self._up = alt.Scale(domain=[-BELOW, layout.height + above], nice=False, zero=False)

    def x(self, field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=self._across, axis=None)

    def y(self, at: str | float) -> Any:
        if isinstance(at, str):
            return alt.Y(f"{at}:Q", scale=self._up, axis=None)
        return alt.YDatum(at, scale=self._up, axis=None)


def _columns(layout: Layout, axes: _Axes) -> list[alt.Chart]:
    """Step 1."""
    bands = [
        {"role": role, "left": left + 0.1, "right": right - 0.1, "middle": (left + right) / 2}
        for role, left, right in layout.columns
    ]
    layers = [
        {
            "layer": "embedding" if layer < 0 else f"layer {layer}",
            "x": axes.left,
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
        roles.mark_text(style="role").encode(x("middle"), y(top + 0.35), text="role:N"),
        names.mark_text(style="quiet", align="right", dx=-6).encode(x("x"), y("y"), text="layer:N"),
    ]


def _edges(lines: list[Row], axes: _Axes, measure: Measure) -> list[alt.Chart]:
    """Step 2, and 5 for edges."""
    felt = (
        _paths(axes)
        .mark_point(filled=False, fill="none", size=4, strokeWidth=EDGE_REACH, opacity=0)
        .encode(
            tooltip=[
                alt.Tooltip("from:N"),
                alt.Tooltip("to:N"),
                *_told(
                    lines,
                    side=alt.Tooltip("side:N", title="writes into the"),
                    role=alt.Tooltip("role:N", title="token"),
                    dest_role=alt.Tooltip("dest_role:N", title="which attends from"),
                    src_role=alt.Tooltip("src_role:N", title="and to"),
                    prompts=alt.Tooltip("prompts:Q", format=","),
                    firings=alt.Tooltip("firings:Q", format=","),
                    visits=alt.Tooltip("visits:Q", format=","),
                    total=alt.Tooltip("total:Q", title="total contribution", format=",.3~f"),
                    mean=alt.Tooltip("mean:Q", title="mean contribution", format=",.3~f"),
                    effect=alt.Tooltip(
                        "effect:Q", title="weight lost without it, mean", format=".3f"
                    ),
                ),
                *([alt.Tooltip("causal:N")] if "causal" in lines[0] else []),
            ]
        )
        .add_params(_pointed("edge"))
    )
    return [_seen(lines, axes, measure, over=False), felt]


def _paths(axes: _Axes) -> alt.Chart:
    return (
        alt.Chart(alt.NamedData("edges"))
        .transform_filter("datum.strength >= least")
        .encode(axes.x("x"), axes.y("y"), shape=alt.Shape("path:N", scale=None, legend=None))
    )


def _seen(lines: list[Row], axes: _Axes, measure: Measure, *, over: bool) -> alt.Chart:
    """Step 2 for the edges that pass a node, or for those that do not.

    The scales are those of all edges, wherever the slider stands.
    """
    sizes = [line["size"] for line in lines if line["size"] is not None] or [1.0]
    most = max(line["count"] for line in lines)
    paths = _paths(axes).transform_filter("datum.over" if over else "!datum.over")
    dashes = {
        "strokeDash": alt.when("datum.causal === 'no'")
        .then(alt.value(DASHED))
        .when("datum.causal === 'hinders'")
        .then(alt.value(DOTTED))
        .when("datum.causal === 'too few prompts'")
        .then(alt.value(DASH_DOTTED))
    }
    return paths.mark_point(filled=False, fill="none", size=4, strokeCap="round").encode(
        color=side_colour(),
        strokeWidth=alt.StrokeWidth(
            "size:Q",
            title=measure.size_title,
            scale=alt.Scale(
                type="sqrt", domain=[0, max(*sizes, 1e-9)], range=[0.7, 6.5], clamp=True
            ),
            legend=alt.Legend(
                symbolType="stroke",
                symbolSize=150,
                symbolOpacity=1,
                values=_round_values(sizes),
                labelExpr="format(datum.value, ',~g')",
            ),
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


def _told(rows: list[Row], **tooltips: alt.Tooltip) -> list[alt.Tooltip]:
    """Those of columns that some row tells; a trace tells all, an imported circuit may not."""
    return [
        tooltip for name, tooltip in tooltips.items() if any(row[name] is not None for row in rows)
    ]


def _pointed(what: str) -> alt.Parameter:
    return alt.selection_point(
        name=f"pointed_{what}", fields=[what], on="pointerover", clear="pointerout", empty=False
    )


def _round_values(sizes: list[float]) -> list[float]:
    """For the legend of widths: the largest round number among the sizes, and a quarter of it."""
    largest = max(sizes)
    if largest <= 0:
        return [0.0]
    unit = 10.0 ** floor(log10(largest))
    return [unit * (largest // unit) / 4, unit * (largest // unit)]


def _shown(
    levels: list[Row], axes: _Axes, layout: Layout, measure: Measure, start: float
) -> alt.Chart:
    """Step 4: the numbers above the picture."""
    return (
        alt.Chart(inline([level | {"x": 0} for level in levels]))
        .transform_filter(f"least != {start} && datum.low <= least && least <= datum.high")
        .transform_calculate(told=f"'Now shown: ' + datum.text + ', ' + {measure.least_told}")
        .mark_text(style="quiet", align="left", fontSize=12)
        .encode(axes.x("x"), axes.y(layout.height + axes.above - 0.25), text="told:N")
    )


def _nodes(points: list[Row], axes: _Axes) -> tuple[list[alt.Chart], list[alt.Chart], alt.Chart]:
    """Return discs and names of step 3, and what takes the pointer in step 5."""
    there = (
        alt.Chart(alt.NamedData("nodes"))
        .transform_filter("datum.most >= least || datum.kind == 'root'")
        .encode(axes.x("x"), axes.y("y"))
    )
    faded = alt.when(f"({POINTED}) && !({NODE_LIT})").then(alt.value(0.25)).otherwise(alt.value(1))

    def disc(condition: str, **mark: Any) -> alt.Chart:
        return (
            there.transform_filter(condition)
            .mark_point(filled=True, **mark)
            .encode(strokeOpacity=faded)
        )

    def names(condition: str, style: str, **more: Any) -> alt.Chart:
        return (
            there.transform_filter(condition).mark_text(style=style).encode(text="label:N", **more)
        )

    felt = (
        there.mark_point(filled=True, size=RING_AREA, opacity=0)
        .encode(
            tooltip=[
                alt.Tooltip("label:N", title="component"),
                alt.Tooltip("role:N", title="writes to"),
                alt.Tooltip("class:N", title="reference class"),
                *_told(
                    points,
                    does=alt.Tooltip("does:N", title="mostly attends"),
                    prompts=alt.Tooltip(
                        "prompts:Q", title="prompts in which the trace meets it firing", format=","
                    ),
                    firings=alt.Tooltip(
                        "firings:Q", title="firings that the trace meets", format=","
                    ),
                ),
            ]
        )
        .add_params(_pointed("node"))
    )
    discs = [
        disc("datum.reference", style="ring", size=RING_AREA),
        disc("datum.kind == 'head'", style="node", size=NODE_AREA),
        disc("datum.kind == 'root'", style="root", size=NODE_AREA),
        disc("datum.kind == 'other'", style="node", shape=BOX, size=NODE_AREA),
    ]
    labels = [
        names("datum.kind != 'root'", "label", opacity=faded),
        names("datum.kind == 'root'", "root_label"),
    ]
    return discs, labels, felt
