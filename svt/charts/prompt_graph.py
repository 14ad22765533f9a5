"""The trace through one prompt: its tokens from left to right, the layers upwards.

1. Nodes. A node is a head at a token: it fires there, and the trace reaches it. An edge comes
   from a node that writes into one of the two tokens of a firing: into the one that attends, and it
   stays in its column, or into the one attended to, and it crosses over.
2. Strength. Of an edge it is the effect of its removal where all edges have one, else its
   contribution. An edge ranks by the weakest on its strongest way to a root, so that whatever is
   left out, what is shown hangs together. From the strongest on they are drawn, at most `MAX_EDGES`
   with at most `MAX_NODES` nodes.
3. Places and curves come from the layout of the traced graph (svt/charts/layout.py), with a column
   for each token of the prompt.
4. What a head attends to is a thin line down to a dot in the column of that token.
5. A node that is pointed at lights up with its edges; unseen marks, wider than the seen ones, tell
   the numbers.
6. In a page a menu chooses one of several prompts, all on the same scales; a file shows the first.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import altair as alt
import polars as pl

from svt.charts.graph_rows import path_of
from svt.charts.layout import Edge, Layout, Node, lay_out
from svt.charts.style import (
    SIDE_NAMES,
    Chart,
    head_name,
    inline,
    message,
    plural,
    side_colour,
    title,
)

HEADING = "The trace through one prompt"
MAX_NODES, MAX_EDGES = 100, 120
SLOT_X, SLOT_Y = 34, 30
"""Pixels for one node."""
NODE_AREA, REACH = 560, 10
MARGIN, BELOW, ABOVE = 1.6, 1.5, 1.2
"""Slots at the left, for the names of the layers, below, for the tokens, and above, for words."""
FADED = 0.08
POINTED = "(pointed_node.node || [])[0]"
CHOSEN = "datum.prompt === chosen_prompt"

Row = dict[str, Any]
Marks = Callable[[Callable[["Trace"], list[Row]]], alt.Chart]


@dataclass(frozen=True)
class Trace:
    """The trace through one prompt, as it is drawn."""

    prompt_id: int
    tokens: list[Row]
    edges: list[tuple[Edge, Row]]
    """Steps 1 and 2: between heads that fire, the strongest first."""
    drawn: list[tuple[Edge, Row]]
    roots: list[Node]
    layout: Layout
    firings: list[Row]
    """A row for each pair of a node that is drawn."""
    n_silent: int
    """Edges from writers that do not fire at the token they write to."""

    @property
    def number(self) -> dict[Node, int]:
        """The numbers by which the marks of a node find one another."""
        return {node: i for i, node in enumerate(sorted(self.layout.position))}

    @property
    def middle(self) -> dict[str, float]:
        return {role: (left + right) / 2 for role, left, right in self.layout.columns}


def prompt_graph(
    prompts: Sequence[tuple[pl.DataFrame, pl.DataFrame]],
    n_traced: int | None = None,
    *,
    by_effect: bool = True,
) -> Chart:
    """The graphs of prompts, of which a menu in the page shows one; at the start the first.

    prompts: for each the rows of the query `prompt_graph` and of `prompt_tokens`;
    n_traced: how many prompts the trace reaches, if not these alone;
    by_effect: step 2, as far as effects are stored, else by contributions alone.
    """
    traces = [_trace(pairs, tokens, by_effect) for pairs, tokens in prompts if not pairs.is_empty()]
    if not traces:
        return message(HEADING, "The trace reaches no pair of this prompt.")
    of = n_traced or len(traces)
    menu = f"The menu holds {len(traces)} of {plural(of, 'traced prompt')}, of every template and "
    return _draw(traces).properties(
        title=title(
            HEADING,
            menu + "order the one with the most shown edges first." if of > 1 else "",
            "Column: the token that a head attends from. Filled: root. Thin line to a dot: the "
            "token that it attends to. Dashed: without it the head would attend more.",
        )
    )


def _trace(pairs: pl.DataFrame, tokens: pl.DataFrame, by_effect: bool) -> Trace:
    """Steps 1 to 3 for a prompt."""
    rows = pairs.to_dicts()
    edges = _ranked([row for row in rows if row["side"] is not None and row["up_fires"]], by_effect)
    roots = sorted({_node(row) for row in rows if row["is_root"]})
    drawn = edges[: _fitting(edges, roots)]
    columns = [_column(pos) for pos in tokens["pos"].to_list()]
    layout = lay_out(roots, [edge for edge, _ in drawn], columns=columns)  # 3
    return Trace(
        pairs["prompt_id"][0],
        tokens.to_dicts(),
        edges,
        drawn,
        roots,
        layout,
        [row for row in _one_each(rows) if _node(row) in layout.position],
        sum(row["side"] is not None and not row["up_fires"] for row in rows),
    )


def _told(trace: Trace) -> str:
    """What of a prompt is shown, and what is not."""
    shown, every = len(trace.drawn), plural(len(trace.edges), "edge")
    more = f"the strongest {shown:,} of {every}" if shown < len(trace.edges) else every
    return (
        f"Prompt {trace.prompt_id}: {more} between heads that fire; not shown: "
        f"{plural(trace.n_silent, 'edge')} from writers that do not fire at the token they write to"
    )


def _ranked(rows: list[Row], by_effect: bool) -> list[tuple[Edge, Row]]:
    """Step 2: the edges with their rows, which get `size` and `rank`, the strongest first."""
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


def _fitting(edges: list[tuple[Edge, Row]], roots: list[Node]) -> int:
    """How many edges, from the first, fit."""
    nodes = set(roots)
    for i, (edge, _) in enumerate(edges):
        nodes |= {edge.up, edge.down}
        if len(nodes) > MAX_NODES or i >= MAX_EDGES:
            return i
    return len(edges)


def _node(row: Row) -> Node:
    return Node(row["layer"], row["head"], _column(row["dest"]))


def _up(row: Row) -> Node:
    return Node(row["up_layer"], row["up_head"], _column(row[row["side"]]))


def _column(pos: int) -> str:
    """The name of a token's column: names sort as the tokens stand."""
    return f"{pos:05d}"


def _draw(traces: Sequence[Trace]) -> Chart:
    sides = [trace.layout.sides for trace in traces]
    left, right = min(low for low, _ in sides), max(high for _, high in sides)
    top = max(trace.layout.height for trace in traces) + ABOVE
    across = alt.Scale(domain=[left - MARGIN, right], nice=False, zero=False)
    upward = alt.Scale(domain=[-BELOW, top], nice=False, zero=False)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=across, axis=None)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=upward, axis=None)

    def marks(rows_of: Callable[[Trace], list[Row]]) -> alt.Chart:
        """The rows of every prompt, of which those of the one that is chosen are drawn (step 6)."""
        rows = [{"prompt": each.prompt_id, **row} for each in traces for row in rows_of(each)]
        base = alt.Chart(inline(rows))
        return base.transform_filter(CHOSEN) if len(traces) > 1 else base

    drawn = any(trace.drawn for trace in traces)
    nodes = _nodes(marks, x, y)
    layers = [
        *_columns(marks, x, y),
        *_attended(marks, x, y),
        *(_edges(marks, traces, x, y) if drawn else ()),
        *nodes[:2],
        *([_seen(marks, traces, x, y, over=True)] if drawn else ()),  # they do not end there
        *nodes[2:],
    ]
    chart: Chart = alt.layer(*layers).properties(
        width=(right - left + MARGIN) * SLOT_X, height=(top + BELOW) * SLOT_Y
    )
    return chart.add_params(_menu(traces)) if len(traces) > 1 else chart


def _menu(traces: Sequence[Trace]) -> alt.Parameter:
    """Step 6."""
    labels = [f"{trace.prompt_id}: {''.join(t['token'] for t in trace.tokens)}" for trace in traces]
    options = alt.binding_select(
        options=[trace.prompt_id for trace in traces], labels=labels, name="Prompt "
    )
    return alt.param(name="chosen_prompt", value=traces[0].prompt_id, bind=options)


def _one_each(rows: list[Row]) -> list[Row]:
    """The rows of the pairs, one a pair."""
    return list({row["pair_id"]: row for row in rows}.values())


def _columns(marks: Marks, x: Any, y: Any) -> list[alt.Chart]:
    """The columns with token and role below them, the names of the layers, what is shown above."""
    labels = marks(
        lambda trace: [
            {
                "x": trace.middle[_column(t["pos"])],
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
    told = marks(lambda trace: [{"y": trace.layout.height + 0.7, "told": _told(trace)}])
    return [
        bands.mark_rect(style="band", cornerRadius=5).encode(
            x("left"), y("bottom"), x2="right:Q", y2="top:Q"
        ),
        labels.mark_text(style="role", fontSize=11, limit=2.4 * SLOT_X).encode(
            x("x"), y("y"), text="token:N", tooltip=[alt.Tooltip("token:N")]
        ),
        labels.mark_text(style="quiet", fontSize=10).encode(x("x"), y("role_y"), text="role:N"),
        layers.mark_text(style="quiet", align="right", dx=-4, fontSize=10).encode(
            x("x"), y("y"), text="layer:N"
        ),
        told.mark_text(style="quiet", align="left", fontSize=12).encode(
            y("y"), x=alt.value(0), text="told:N"
        ),
    ]


def _attended(marks: Marks, x: Any, y: Any) -> list[alt.Chart]:
    """Step 4."""

    def lines(trace: Trace) -> list[Row]:
        number, middle, rows = trace.number, trace.middle, []
        for row in trace.firings:
            from_x, from_y = trace.layout.position[_node(row)]
            rows.append(
                {
                    "node": number[_node(row)],
                    "x": round(from_x, 3),
                    "y": round(from_y, 3),
                    "to_x": round(middle[_column(row["src"])], 3),
                    "to_y": round(from_y - 0.75, 3),
                }
            )
        return rows

    base = marks(lines)
    lit = alt.when(f"{POINTED} === datum.node").then(alt.value(1)).otherwise(alt.value(0.7))
    return [
        base.mark_rule(style="attended", strokeWidth=1, strokeDash=[2, 3]).encode(
            x("x"), y("y"), x2="to_x:Q", y2="to_y:Q", opacity=lit
        ),
        base.mark_point(style="attended", filled=True, size=14).encode(
            x("to_x"), y("to_y"), opacity=lit
        ),
    ]


def _edge_rows(trace: Trace) -> list[Row]:
    """The edges of a prompt, the strongest last, so on top."""
    number, position, over = trace.number, trace.layout.position, trace.layout.over
    return [
        {
            "over": edge in over,
            "up": number[edge.up],
            "down": number[edge.down],
            "x": round(position[edge.up][0], 3),
            "y": round(position[edge.up][1], 3),
            "path": path_of(trace.layout.curves[edge], SLOT_X, SLOT_Y, over=edge in over),
            "from": edge.up.label,
            "to": edge.down.label,
            "side": SIDE_NAMES[row["side"]],
            "token": row[f"{row['side']}_token"],
            "size": round(row["size"], 4),
            "hinders": (row["effect"] or 0.0) < 0,
            **{
                key: None if row[key] is None else round(row[key], 4)
                for key in ("contribution", "share", "effect")
            },
        }
        for edge, row in trace.drawn
    ][::-1]


def _edges(marks: Marks, traces: Sequence[Trace], x: Any, y: Any) -> list[alt.Chart]:
    """The edges that pass no node, and what takes the pointer for all of them."""
    by_effect = _by_effect(traces)
    felt = (
        _paths(marks, x, y)
        .mark_point(filled=False, fill="none", size=4, strokeWidth=REACH, opacity=0)
        .encode(
            tooltip=[
                alt.Tooltip("from:N"),
                alt.Tooltip("to:N"),
                alt.Tooltip("side:N", title="writes into the"),
                alt.Tooltip("token:N"),
                alt.Tooltip("contribution:Q", format=".3~f"),
                alt.Tooltip("share:Q", title="share of the side's total", format=".0%"),
                *(
                    [alt.Tooltip("effect:Q", title="weight lost without it", format=".3f")]
                    if by_effect
                    else []
                ),
            ]
        )
    )
    return [_seen(marks, traces, x, y, over=False), felt]


def _by_effect(traces: Sequence[Trace]) -> bool:
    return all(row["by_effect"] for trace in traces for _, row in trace.drawn)


def _paths(marks: Marks, x: Any, y: Any) -> alt.Chart:
    return marks(_edge_rows).encode(
        x("x"), y("y"), shape=alt.Shape("path:N", scale=None, legend=None)
    )


def _seen(marks: Marks, traces: Sequence[Trace], x: Any, y: Any, *, over: bool) -> alt.Chart:
    """The edges that pass a node, or those that do not; the scales are those of all."""
    paths = _paths(marks, x, y).transform_filter("datum.over" if over else "!datum.over")
    belongs = f"({POINTED} === datum.up || {POINTED} === datum.down)"
    largest = max(row["size"] for trace in traces for _, row in trace.drawn) or 1.0
    return paths.mark_point(filled=False, fill="none", size=4, strokeCap="round").encode(
        color=side_colour(),
        strokeWidth=alt.StrokeWidth(
            "size:Q",
            title="weight lost without it" if _by_effect(traces) else "contribution",
            scale=alt.Scale(type="sqrt", domain=[0, largest], range=[0.5, 6]),
            legend=alt.Legend(
                symbolType="stroke",
                symbolSize=150,
                symbolOpacity=1,
                tickCount=3,
            ),
        ),
        strokeDash=alt.when("datum.hinders").then(alt.value([3, 6])).otherwise(alt.value([1, 0])),
        opacity=alt.when(f"isValid({POINTED})")
        .then(alt.value(alt.expr(f"{belongs} ? 1 : {FADED}")))
        .otherwise(
            alt.Opacity("size:Q", scale=alt.Scale(type="sqrt", range=[0.3, 0.95]), legend=None)
        ),
    )


def _node_rows(trace: Trace) -> list[Row]:
    """The nodes of a prompt; one that has several pairs tells the one of the largest weight."""
    strongest = {_node(row): row for row in sorted(trace.firings, key=lambda row: row["weight"])}
    number, position = trace.number, trace.layout.position
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


def _nodes(marks: Marks, x: Any, y: Any) -> list[alt.Chart]:
    """The nodes with their names, and what takes the pointer for them."""
    base = marks(_node_rows).encode(x("x"), y("y"))
    heads, tops = "!datum.root", "datum.root"
    return [
        base.transform_filter(heads).mark_point(filled=True, style="node", size=NODE_AREA),
        base.transform_filter(tops).mark_point(filled=True, style="root", size=NODE_AREA),
        base.transform_filter(heads).mark_text(style="label", fontSize=9).encode(text="label:N"),
        base.transform_filter(tops)
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
        .add_params(
            alt.selection_point(
                name="pointed_node",
                fields=["node"],
                on="pointerover",
                clear="pointerout",
                empty=False,
            )
        ),
    ]
