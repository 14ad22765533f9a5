"""The trace through one prompt: its tokens from left to right, the layers upwards.

1. A node is a head at a token from which it fires, in the trace. An edge is a signal that a node
   writes into one of the two tokens of a firing: an edge into the token that attends stays in its
   column, an edge into the token attended to crosses to another column.
2. The strength of an edge is the effect of its removal, or its contribution if not all edges have
   an effect. Edges are ranked by the weakest edge on their strongest path to a root, so that each
   prefix is connected. The strongest are drawn: at most `MAX_EDGES` with at most `MAX_NODES` nodes.
3. Places and curves are those of svt/charts/layout.py, with a column for each token of the prompt.
4. A thin line goes from each head down to a dot in the column of the token that it attends to.
5. A node under the pointer is highlighted with its edges; invisible marks, wider than the visible
   ones, have the tooltips.
6. In a page a menu selects one of the prompts, which have the same scales; a file shows the first.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import altair as alt
import polars as pl

from svt.charts.graph_encodings import HIT_LINE, LINE, Axes, make_pointer, size_width
from svt.charts.graph_rows import place_edge, round_known
from svt.charts.layout import Edge, Layout, Node, count_fitting, lay_out
from svt.charts.style import Chart, Row, head_name, inline, message, plural, side_colour, title

HEADING = "The trace through one prompt"
MAX_NODES, MAX_EDGES = 100, 120
SLOT_X, SLOT_Y = 34, 30
"""Pixels of a slot, the space of a node."""
NODE_AREA, REACH = 560, 10
MARGIN, BELOW, ABOVE = 1.6, 1.5, 1.2
"""Slots at the left for the names of layers, below for the tokens, and above for a line of text."""
FADED = 0.08
POINTED = "(pointed_node.node || [])[0]"
CHOSEN = "datum.prompt === chosen_prompt"

Marks = Callable[[Callable[["Trace"], list[Row]]], alt.Chart]


@dataclass(frozen=True)
class Trace:
    """The trace through one prompt and its layout."""

    prompt_id: int
    tokens: list[Row]
    n_edges: int
    drawn: list[tuple[Edge, Row]]
    """The edges of step 2, the strongest first."""
    roots: list[Node]
    layout: Layout
    firings: list[Row]
    """A row for each firing of the nodes."""
    n_silent: int
    """Edges from writers that do not fire at the token they write to."""


def prompt_graph(
    prompts: Sequence[tuple[pl.DataFrame, pl.DataFrame]],
    n_traced: int | None = None,
    *,
    by_effect: bool = True,
) -> Chart:
    """Draw the graphs of prompts, of which one is visible.

    prompts: for each the rows of the queries `prompt_graph` and `prompt_tokens`;
    n_traced: the number of prompts in the trace, if it has more than these;
    by_effect: rank edges by effect if effects are stored, else by contribution.
    """
    traces = [_make_trace(*frames, by_effect) for frames in prompts if not frames[0].is_empty()]
    if not traces:
        return message(HEADING, "The trace has no firing of this prompt.")
    of = n_traced or len(traces)
    menu = (
        f"The menu has {len(traces)} of {plural(of, 'traced prompt')}; of each template and order "
        "the prompt with the most edges shown is first."
    )
    return _draw(traces).properties(
        title=title(
            HEADING,
            menu if of > 1 else "",
            "Column: the token that a head attends from. Filled: root. Thin line to a dot: the "
            "token that it attends to. Dashed: without it the head would attend more.",
        )
    )


def _make_trace(pairs: pl.DataFrame, tokens: pl.DataFrame, by_effect: bool) -> Trace:
    """Return the trace of a prompt (steps 1 to 3)."""
    rows = pairs.to_dicts()
    signals = [row for row in rows if row["side"] is not None]
    edges = _rank_edges([row for row in signals if row["up_fires"]], by_effect)
    roots = sorted({_node(row) for row in rows if row["is_root"]})
    drawn = edges[: count_fitting([edge for edge, _ in edges], roots, MAX_NODES, MAX_EDGES)]
    columns = [_column(pos) for pos in tokens["pos"].to_list()]
    firings = {row["pair_id"]: row for row in rows}
    layout = lay_out(roots, [edge for edge, _ in drawn], columns=columns)  # 3
    return Trace(
        pairs["prompt_id"][0],
        tokens.to_dicts(),
        len(edges),
        drawn,
        roots,
        layout,
        [row for row in firings.values() if _node(row) in layout.position],
        len(signals) - len(edges),
    )


def _describe(trace: Trace) -> str:
    """Say how many edges of a prompt are shown and how many are not."""
    shown, every = len(trace.drawn), plural(trace.n_edges, "edge")
    more = f"the strongest {shown:,} of {every}" if shown < trace.n_edges else every
    return (
        f"Prompt {trace.prompt_id}: {more} between heads that fire; not shown: "
        f"{plural(trace.n_silent, 'edge')} from writers that do not fire at the token they write to"
    )


def _rank_edges(rows: list[Row], by_effect: bool) -> list[tuple[Edge, Row]]:
    """Return the edges, the strongest first, and their rows with `size` and `rank` (step 2)."""
    by_effect = by_effect and all(row["effect"] is not None for row in rows)
    for row in rows:
        row["size"] = abs(row["effect"] if by_effect else row["contribution"])
        row["by_effect"] = by_effect
    reach: dict[Node, float] = defaultdict(float)
    reach |= {_node(row): inf for row in rows if row["is_root"]}
    for row in sorted(rows, key=lambda row: -row["layer"]):
        row["rank"] = min(row["size"], reach[_node(row)])
        reach[_up(row)] = max(reach[_up(row)], row["rank"])
    ranked = sorted(rows, key=lambda row: (-row["rank"], -row["layer"], -row["size"]))
    return [(Edge(_up(row), _node(row), row["side"], _up(row).role), row) for row in ranked]


def _node(row: Row) -> Node:
    return Node(row["layer"], row["head"], _column(row["dest"]))


def _up(row: Row) -> Node:
    return Node(row["up_layer"], row["up_head"], _column(row[row["side"]]))


def _column(pos: int) -> str:
    """Return the name of a token's column; names sort in the order of the tokens."""
    return f"{pos:05d}"


def _draw(traces: Sequence[Trace]) -> Chart:
    sides = [trace.layout.sides for trace in traces]
    left, right = min(low for low, _ in sides), max(high for _, high in sides)
    top = max(trace.layout.height for trace in traces) + ABOVE
    axes = Axes(left - MARGIN, right, -BELOW, top)

    def marks(rows_of: Callable[[Trace], list[Row]]) -> alt.Chart:
        """Return the rows of all prompts, filtered to the prompt of the menu (step 6)."""
        rows = [{"prompt": trace.prompt_id, **row} for trace in traces for row in rows_of(trace)]
        base = alt.Chart(inline(rows))
        return base.transform_filter(CHOSEN) if len(traces) > 1 else base

    edges, nodes = _draw_edges(marks, traces, axes), _draw_nodes(marks, axes)
    layers = [
        *_draw_columns(marks, axes),
        *_draw_attended(marks, axes),
        *edges[:2],
        *nodes[:2],
        *edges[2:],
        *nodes[2:],
    ]
    chart: Chart = alt.layer(*layers).properties(
        width=(right - left + MARGIN) * SLOT_X, height=(top + BELOW) * SLOT_Y
    )
    return chart.add_params(_make_menu(traces)) if len(traces) > 1 else chart


def _make_menu(traces: Sequence[Trace]) -> alt.Parameter:
    """Return the menu of step 6."""
    labels = [f"{trace.prompt_id}: {''.join(t['token'] for t in trace.tokens)}" for trace in traces]
    options = alt.binding_select(
        options=[trace.prompt_id for trace in traces], labels=labels, name="Prompt "
    )
    return alt.param(name="chosen_prompt", value=traces[0].prompt_id, bind=options)


def _draw_columns(marks: Marks, axes: Axes) -> list[alt.Chart]:
    """Draw columns, tokens and roles below, names of layers, and the description above."""
    x, y = axes.x, axes.y
    labels = marks(
        lambda trace: [
            {
                "x": trace.layout.middle[_column(t["pos"])],
                "y": -0.45,
                "role_y": -1.1,
                "token": t["token"].strip() or "␣",
                "role": t["role"] or "",
            }
            for t in trace.tokens
        ]
    )
    bands = marks(
        lambda trace: [
            {"left": left + 0.06, "right": right - 0.06, "bottom": 0, "top": trace.layout.height}
            for _, left, right in trace.layout.columns
        ]
    )
    layers = marks(
        lambda trace: [
            {"x": trace.layout.sides[0], "y": (bottom + top) / 2, "layer": f"layer {layer}"}
            for layer, bottom, top in trace.layout.rows
        ]
    )
    lines = marks(lambda trace: [{"y": trace.layout.height + 0.7, "line": _describe(trace)}])
    return [
        bands.mark_rect(style="band", cornerRadius=5).encode(
            x("left"), y("bottom"), x2="right:Q", y2="top:Q"
        ),
        labels.mark_text(style="role", fontSize=11, limit=2.4 * SLOT_X).encode(
            x(), y(), text="token:N", tooltip=[alt.Tooltip("token:N")]
        ),
        labels.mark_text(style="quiet", fontSize=10).encode(x(), y("role_y"), text="role:N"),
        layers.mark_text(style="quiet", align="right", dx=-4, fontSize=10).encode(
            x(), y(), text="layer:N"
        ),
        lines.mark_text(style="quiet", align="left", fontSize=12).encode(
            y(), x=alt.value(0), text="line:N"
        ),
    ]


def _draw_attended(marks: Marks, axes: Axes) -> list[alt.Chart]:
    """Draw the lines and dots of step 4."""

    def lines(trace: Trace) -> list[Row]:
        layout, rows = trace.layout, []
        for row in trace.firings:
            x, y = layout.position[_node(row)]
            place = {"x": x, "y": y, "to_x": layout.middle[_column(row["src"])], "to_y": y - 0.75}
            rounded = {name: round(value, 3) for name, value in place.items()}
            rows.append({"node": layout.number[_node(row)], **rounded})
        return rows

    base, x, y = marks(lines), axes.x, axes.y
    opacity = alt.when(f"{POINTED} === datum.node").then(alt.value(1)).otherwise(alt.value(0.7))
    return [
        base.mark_rule(style="attended", strokeWidth=1, strokeDash=[2, 3]).encode(
            x(), y(), x2="to_x:Q", y2="to_y:Q", opacity=opacity
        ),
        base.mark_point(style="attended", filled=True, size=14).encode(
            x("to_x"), y("to_y"), opacity=opacity
        ),
    ]


def _edge_rows(trace: Trace) -> list[Row]:
    """Return a row for each edge of a prompt, the strongest last, so that it is drawn on top."""
    return [
        {
            **place_edge(trace.layout, edge, (SLOT_X, SLOT_Y)),
            "token": row[f"{row['side']}_token"],
            "size": round(row["size"], 4),
            "hinders": (row["effect"] or 0.0) < 0,
            **{key: round_known(row[key]) for key in ("contribution", "share", "effect")},
        }
        for edge, row in trace.drawn
    ][::-1]


def _draw_edges(marks: Marks, traces: Sequence[Trace], axes: Axes) -> list[alt.Chart]:
    """Draw the edges that pass no node, the invisible marks of all, and the edges that pass one."""
    drawn = [row for trace in traces for _, row in trace.drawn]
    if not drawn:
        return []
    by_effect = all(row["by_effect"] for row in drawn)
    belongs = f"({POINTED} === datum.up || {POINTED} === datum.down)"
    paths = axes.trace_paths(marks(_edge_rows))
    lines = paths.mark_point(**LINE).encode(
        color=side_colour(),
        strokeWidth=size_width(
            "weight lost without it" if by_effect else "contribution",
            [0.5, 6],
            max(row["size"] for row in drawn) or 1.0,
            tickCount=3,
        ),
        strokeDash=alt.when("datum.hinders").then(alt.value([3, 6])).otherwise(alt.value([1, 0])),
        opacity=alt.when(f"isValid({POINTED})")
        .then(alt.value(alt.expr(f"{belongs} ? 1 : {FADED}")))
        .otherwise(
            alt.Opacity("size:Q", scale=alt.Scale(type="sqrt", range=[0.3, 0.95]), legend=None)
        ),
    )
    tooltip = [
        alt.Tooltip("from:N"),
        alt.Tooltip("to:N"),
        alt.Tooltip("side:N", title="writes into the"),
        alt.Tooltip("token:N"),
        alt.Tooltip("contribution:Q", format=".3~f"),
        alt.Tooltip("share:Q", title="share of the side's total", format=".0%"),
    ]
    if by_effect:
        tooltip.append(alt.Tooltip("effect:Q", title="weight lost without it", format=".3f"))
    hits = paths.mark_point(**HIT_LINE, strokeWidth=REACH).encode(tooltip=tooltip)
    return [lines.transform_filter("!datum.over"), hits, lines.transform_filter("datum.over")]


def _node_rows(trace: Trace) -> list[Row]:
    """Return a row for each node of a prompt, with its firing of the largest weight."""
    strongest = {_node(row): row for row in sorted(trace.firings, key=lambda row: row["weight"])}
    number, position = trace.layout.number, trace.layout.position
    return [
        {
            "node": number[node],
            "x": round(position[node][0], 3),
            "y": round(position[node][1], 3),
            "label": head_name(node.layer, node.head),
            "root": node in trace.roots,
            "pair": f"{row['dest_token']} ({row['dest']}) -> {row['src_token']} ({row['src']})",
            "roles": f"{row['dest_role'] or '–'} -> {row['src_role'] or '–'}",
            "pattern": row["pattern"] or "–",
            "weight": round(row["weight"], 4),
            "score": round(row["score"], 4),
            "slices": row["n_slices"],
        }
        for node, row in sorted(strongest.items())
    ]


def _draw_nodes(marks: Marks, axes: Axes) -> list[alt.Chart]:
    """Draw the discs and labels of nodes, and their invisible marks."""
    base = axes.place(marks(_node_rows))
    heads, roots = "!datum.root", "datum.root"
    return [
        base.transform_filter(heads).mark_point(filled=True, style="node", size=NODE_AREA),
        base.transform_filter(roots).mark_point(filled=True, style="root", size=NODE_AREA),
        base.transform_filter(heads).mark_text(style="label", fontSize=9).encode(text="label:N"),
        base.transform_filter(roots)
        .mark_text(style="root_label", fontSize=9)
        .encode(text="label:N"),
        base.mark_point(filled=True, size=NODE_AREA, opacity=0)
        .encode(
            tooltip=[
                alt.Tooltip("label:N", title="head"),
                alt.Tooltip("pair:N", title="attends from and to"),
                alt.Tooltip("roles:N"),
                alt.Tooltip("pattern:N", title="known as"),
                alt.Tooltip("weight:Q", format=".3f"),
                alt.Tooltip("score:Q", format=".2f"),
                alt.Tooltip("slices:Q", title="slices in the signal"),
            ]
        )
        .add_params(make_pointer("node")),
    ]
