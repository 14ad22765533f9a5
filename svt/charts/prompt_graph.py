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
"""

from collections import defaultdict
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
MARGIN, BELOW = 1.6, 1.5
"""Slots at the left, for the names of the layers, and below, for the tokens."""
FADED = 0.08
POINTED = "(pointed_node.node || [])[0]"

Row = dict[str, Any]


def prompt_graph(
    pairs: pl.DataFrame, tokens: pl.DataFrame, *, chosen: bool = False, by_effect: bool = True
) -> Chart:
    """The graph of one prompt.

    pairs: rows of the query `prompt_graph`; tokens: of `prompt_tokens`, of the same prompt;
    chosen: whether someone chose the prompt, else the query did; by_effect: step 2, as far as
    effects are stored, else by contributions alone.
    """
    if pairs.is_empty():
        return message(HEADING, "The trace reaches no pair of this prompt.")
    prompt_id, n_shown = pairs.row(0)[:2]
    rows = pairs.to_dicts()
    edges = _ranked([row for row in rows if row["side"] is not None and row["up_fires"]], by_effect)
    roots = sorted({_node(row) for row in rows if row["is_root"]})
    drawn = edges[: _fitting(edges, roots)]
    columns = [_column(pos) for pos in tokens["pos"].to_list()]
    layout = lay_out(roots, [edge for edge, _ in drawn], columns=columns)  # 3
    why = f"Of all prompts the one whose trace has the most shown edges, {n_shown:,}."
    return _draw(layout, drawn, rows, tokens.to_dicts(), roots).properties(
        title=title(
            f"{HEADING}, number {prompt_id}",
            "" if chosen else why,
            *_told(rows, edges, drawn),
        )
    )


def _told(
    rows: list[Row], edges: list[tuple[Edge, Row]], drawn: list[tuple[Edge, Row]]
) -> list[str]:
    """What is shown, what is not, and how to read it."""
    silent = sum(row["side"] is not None and not row["up_fires"] for row in rows)
    left = len(edges) - len(drawn)
    more = (
        f"the strongest {len(drawn):,} of {plural(len(edges), 'edge')}"
        if left
        else plural(len(drawn), "edge")
    )
    return [
        f"Shown: {more} between heads that fire. Not shown: {plural(silent, 'edge')} from writers "
        "that do not fire at the token they write to.",
        "Column: the token that a head attends from. Filled: root. Thin line to a dot: the token "
        "that it attends to. Dashed: without it the head would attend more.",
    ]


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


def _draw(
    layout: Layout,
    drawn: list[tuple[Edge, Row]],
    rows: list[Row],
    tokens: list[Row],
    roots: list[Node],
) -> Chart:
    number = {node: i for i, node in enumerate(sorted(layout.position))}
    firings = [row for row in _one_each(rows) if _node(row) in number]
    middle = {role: (left + right) / 2 for role, left, right in layout.columns}
    left, right = layout.sides
    across = alt.Scale(domain=[left - MARGIN, right], nice=False, zero=False)
    upward = alt.Scale(domain=[-BELOW, layout.height + 0.2], nice=False, zero=False)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=across, axis=None)

    def y(at: str | float) -> Any:
        if isinstance(at, str):
            return alt.Y(f"{at}:Q", scale=upward, axis=None)
        return alt.YDatum(at, scale=upward, axis=None)

    layers = [
        *_columns(layout, tokens, middle, x, y),
        *_attended(layout, firings, number, middle, x, y),
        *(_edges(layout, drawn, number, x, y) if drawn else ()),
        *_nodes(layout, firings, number, roots, x, y),
    ]
    chart: Chart = alt.layer(*layers).properties(
        width=(right - left + MARGIN) * SLOT_X, height=(layout.height + BELOW + 0.2) * SLOT_Y
    )
    return chart


def _one_each(rows: list[Row]) -> list[Row]:
    """The rows of the pairs, one a pair."""
    return list({row["pair_id"]: row for row in rows}.values())


def _columns(
    layout: Layout, tokens: list[Row], middle: dict[str, float], x: Any, y: Any
) -> list[alt.Chart]:
    """The columns with token and role below them, and the names of the layers."""
    bands = [{"left": left + 0.06, "right": right - 0.06} for _, left, right in layout.columns]
    names = [
        {
            "x": middle[_column(t["pos"])],
            "token": t["token"].strip() or "␣",
            "role": t["role"] or "",
        }
        for t in tokens
    ]
    rows = [
        {"x": layout.sides[0], "y": (bottom + top) / 2, "layer": f"layer {layer}"}
        for layer, bottom, top in layout.rows
    ]
    labels = alt.Chart(inline(names))
    top = layout.height
    return [
        alt.Chart(inline(bands))
        .mark_rect(style="band", cornerRadius=5)
        .encode(x("left"), y(0.0), x2="right:Q", y2=alt.datum(top)),
        labels.mark_text(style="role", fontSize=11, limit=2.4 * SLOT_X).encode(
            x("x"), y(-0.45), text="token:N", tooltip=[alt.Tooltip("token:N")]
        ),
        labels.mark_text(style="quiet", fontSize=10).encode(x("x"), y(-1.1), text="role:N"),
        alt.Chart(inline(rows))
        .mark_text(style="quiet", align="right", dx=-4, fontSize=10)
        .encode(x("x"), y("y"), text="layer:N"),
    ]


def _attended(
    layout: Layout,
    firings: list[Row],
    number: dict[Node, int],
    middle: dict[str, float],
    x: Any,
    y: Any,
) -> list[alt.Chart]:
    """Step 4."""
    lines = []
    for row in firings:
        from_x, from_y = layout.position[_node(row)]
        lines.append(
            {
                "node": number[_node(row)],
                "x": round(from_x, 3),
                "y": round(from_y, 3),
                "to_x": round(middle[_column(row["src"])], 3),
                "to_y": round(from_y - 0.75, 3),
            }
        )
    base = alt.Chart(inline(lines))
    lit = alt.when(f"{POINTED} === datum.node").then(alt.value(1)).otherwise(alt.value(0.7))
    return [
        base.mark_rule(style="attended", strokeWidth=1, strokeDash=[2, 3]).encode(
            x("x"), y("y"), x2="to_x:Q", y2="to_y:Q", opacity=lit
        ),
        base.mark_point(style="attended", filled=True, size=14).encode(
            x("to_x"), y("to_y"), opacity=lit
        ),
    ]


def _edges(
    layout: Layout, drawn: list[tuple[Edge, Row]], number: dict[Node, int], x: Any, y: Any
) -> list[alt.Chart]:
    """The edges, the strongest on top, and what takes the pointer for them."""
    by_effect = drawn[0][1]["by_effect"]
    lines = [
        {
            "up": number[edge.up],
            "down": number[edge.down],
            "x": round(layout.position[edge.up][0], 3),
            "y": round(layout.position[edge.up][1], 3),
            "path": path_of(layout.curves[edge], SLOT_X, SLOT_Y),
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
        for edge, row in drawn
    ][::-1]
    paths = alt.Chart(inline(lines)).encode(
        x("x"), y("y"), shape=alt.Shape("path:N", scale=None, legend=None)
    )
    belongs = f"({POINTED} === datum.up || {POINTED} === datum.down)"
    largest = max(line["size"] for line in lines) or 1.0
    seen = paths.mark_point(filled=False, fill="none", size=4, strokeCap="round").encode(
        color=side_colour(),
        strokeWidth=alt.StrokeWidth(
            "size:Q",
            title="weight lost without it" if by_effect else "contribution",
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
    felt = paths.mark_point(filled=False, fill="none", size=4, strokeWidth=REACH, opacity=0).encode(
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
    return [seen, felt]


def _nodes(
    layout: Layout,
    firings: list[Row],
    number: dict[Node, int],
    roots: list[Node],
    x: Any,
    y: Any,
) -> list[alt.Chart]:
    """The nodes with their names, and what takes the pointer for them; one that has several pairs
    tells the one of the largest weight.
    """
    strongest: dict[Node, Row] = {}
    for row in sorted(firings, key=lambda row: row["weight"]):
        strongest[_node(row)] = row
    points = [
        {
            "node": number[node],
            "x": round(layout.position[node][0], 3),
            "y": round(layout.position[node][1], 3),
            "label": head_name(node.layer, node.head),
            "root": node in roots,
            "pair": f"{row['dest_token']} ({row['dest']}) → {row['src_token']} ({row['src']})",
            "roles": f"{row['dest_role'] or '–'} → {row['src_role'] or '–'}",
            "pattern": row["pattern"] or "–",
            "weight": round(row["weight"], 4),
            "score": round(row["score"], 4),
            "slices": row["n_slices"],
        }
        for node, row in sorted(strongest.items())
    ]
    base = alt.Chart(inline(points)).encode(x("x"), y("y"))
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
