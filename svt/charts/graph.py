"""The traced graph: heads by layer and token role, edges by side, width by contribution.

1. Nodes. A node is a head at a token role: the token that it writes to. The upstream end of an edge
   is its head at the edge's role. The downstream end is its head at the same role for side `dest`.
   For side `src` an edge does not know the token that its firings write to; it goes to the role
   from which the head mostly fires onto the edge's role, of those at which it is in the graph.
2. Edges below the threshold of the chosen count are left out.
3. If more than `max_nodes` nodes remain, only the strongest edges stay: the longest run of them, in
   descending order of count and then of total contribution, that needs no more nodes.
4. The rest is laid out (svt/charts/layout.py) and drawn: columns, edges, nodes, labels.
   What 2 and 3 left out is said below the title.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from math import floor, log10
from typing import Any

import altair as alt
import polars as pl

from svt.charts.layout import Edge, Layout, Node, lay_out
from svt.charts.style import SIDE_COLOURS, Chart, inline, message, plural, title

Head = tuple[int, int]

MAX_NODES = 100
SLOT_X, SLOT_Y = 43, 41
"""Pixels for one node."""
MARGIN = 1.7
"""Slots at the left, for the names of the layers."""
NODE_AREA, RING_AREA = 900, 1350
SIDE_NAMES = {"dest": "destination", "src": "source"}
HEADING = "Traced graph"
KEY = ("layer", "head", "component", "up_layer", "up_head", "side", "role")


def graph(
    edges: pl.DataFrame,
    nodes: pl.DataFrame,
    firings: pl.DataFrame,
    *,
    root_dest: str = "end",
    count: str = "prompts",
    min_count: int = 1,
    max_nodes: int = MAX_NODES,
    heading: str = HEADING,
) -> Chart:
    """The graph from a threshold on.

    edges: rows of the query `graph_edges`, unfiltered;
    nodes: of `graph_nodes`, likewise: layer head is_root n_prompts n_firings in_reference class;
    firings: of `firings`: layer head dest_role src_role n_firings;
    count: prompts, firings or visits, the column that `min_count` is held against.
    """
    heads = {(row["layer"], row["head"]): row for row in nodes.to_dicts()}
    roots = [Node(*head, root_dest) for head, row in heads.items() if row["is_root"]]
    home = _homes(edges, roots, firings)
    strength = (f"n_{count}", "total")
    kept = edges.filter(pl.col(f"n_{count}") >= min_count).sort(
        *strength, *KEY, descending=True
    )  # 2
    rows = kept.to_dicts()
    pairs = [_edge(row, home) for row in rows]
    n_shown = _strongest(pairs, roots, max_nodes)  # 3
    told = _told(edges.height, kept.height, n_shown, count, min_count, max_nodes)
    if not pairs and not roots:
        return message(heading, told)
    layout = lay_out(roots, pairs[:n_shown])  # 4
    return alt.layer(
        *_columns(layout),
        *_edges(layout, rows[:n_shown], pairs[:n_shown], count),
        *_nodes(layout, pairs[:n_shown], roots, heads),
    ).properties(
        width=(layout.width + MARGIN) * SLOT_X,
        height=(layout.height + 1.4) * SLOT_Y,
        title=title(heading, told, _key(heads, count)),
    )


def _homes(
    edges: pl.DataFrame, roots: Sequence[Node], firings: pl.DataFrame
) -> Callable[[Head, str], str]:
    """Step 1 for side `src`: the role at which a head stands that reads from a role.

    All edges count, also those not shown, so that no threshold moves a node.
    """
    at: dict[Head, set[str]] = defaultdict(set)
    for root in roots:
        at[root.layer, root.head].add(root.role)
    for row in edges.to_dicts():
        if row["component"] == "head":
            at[row["up_layer"], row["up_head"]].add(row["role"])
        if row["side"] == "dest":
            at[row["layer"], row["head"]].add(row["role"])
    fires: Counter[tuple[Head, str, str]] = Counter()
    for row in firings.drop_nulls(["dest_role", "src_role"]).to_dicts():
        fires[(row["layer"], row["head"]), row["src_role"], row["dest_role"]] = row["n_firings"]

    def home(head: Head, src_role: str) -> str:
        candidates = sorted(at[head]) or [src_role]
        return max(candidates, key=lambda role: fires[head, src_role, role])

    return home


def _edge(row: dict[str, Any], home: Callable[[Head, str], str]) -> Edge:
    """A row as an edge between nodes (step 1)."""
    up = Node(
        -1 if row["up_layer"] is None else row["up_layer"],
        -1 if row["up_head"] is None else row["up_head"],
        row["role"],
        row["component"],
    )
    head = (row["layer"], row["head"])
    at = row["role"] if row["side"] == "dest" else home(head, row["role"])
    return Edge(up, Node(*head, at), row["side"], row["role"])


def _strongest(pairs: Sequence[Edge], root_nodes: Sequence[Node], max_nodes: int) -> int:
    """How many edges, from the first, fit into `max_nodes` nodes."""
    nodes = set(root_nodes)
    for i, edge in enumerate(pairs):
        nodes |= {edge.up, edge.down}
        if len(nodes) > max_nodes:
            return i
    return len(pairs)


def _told(n_all: int, n_kept: int, n_shown: int, count: str, min_count: int, max_nodes: int) -> str:
    """What is shown and what is not, in a sentence."""
    if n_all == 0:
        return "No edges: nothing upstream of the roots was significant, or no token has a role."
    least = f"at least {plural(min_count, count.removesuffix('s'))}"
    seen = f"{plural(n_shown, 'edge')} in {least}"
    weak = f"{n_all - n_kept:,} weaker not shown"
    if n_kept == n_shown:
        return f"{seen}; {weak}." if n_all > n_kept else f"{seen}; all edges are shown."
    return (
        f"Narrowed to the strongest {plural(n_shown, 'edge')}, for at most {max_nodes} nodes: "
        f"{n_kept - n_shown:,} more in {least} and {weak}."
    )


def _key(heads: dict[Head, dict[str, Any]], count: str) -> str:
    known = any(row["in_reference"] for row in heads.values())
    ring = " Ringed: in the reference." if known else ""
    return f"Columns: the token that a head writes to. Filled: root.{ring} Faint: few {count}."


def _columns(layout: Layout) -> list[alt.Chart]:
    """Bands for the roles, named above and below, and the names of the layers at the left."""
    bands = [
        {"role": role, "left": left + 0.1, "right": right - 0.1, "middle": (left + right) / 2}
        for role, left, right in layout.columns
    ]
    layers = [
        {"layer": "embedding" if layer < 0 else f"layer {layer}", "x": 0, "y": (bottom + top) / 2}
        for layer, bottom, top in layout.rows
    ]
    roles, names = alt.Chart(inline(bands)), alt.Chart(inline(layers))
    x, y = _axes(layout)
    return [
        roles.mark_rect(style="band", cornerRadius=6).encode(
            x("left"), y(0), x2="right:Q", y2=alt.datum(layout.height)
        ),
        roles.mark_text(style="role").encode(x("middle"), y(-0.35), text="role:N"),
        roles.mark_text(style="role").encode(x("middle"), y(layout.height + 0.35), text="role:N"),
        names.mark_text(style="quiet", align="right", dx=-6).encode(x("x"), y("y"), text="layer:N"),
    ]


def _edges(
    layout: Layout, rows: list[dict[str, Any]], pairs: list[Edge], count: str
) -> list[alt.Chart]:
    """One curve for each edge, its points as lists that Vega spreads out; strong edges on top."""
    if not rows:
        return []
    values = [
        {
            "edge": i,
            "x": [round(x, 2) for x, _ in curve],
            "y": [round(y, 2) for _, y in curve],
            "from": pair.up.label,
            "to": pair.down.label,
            "side": SIDE_NAMES[pair.side],
            "role": pair.role,
            "prompts": row["n_prompts"],
            "firings": row["n_firings"],
            "visits": row["n_visits"],
            "total": round(row["total"], 4),
            "mean": round(row["total"] / max(row["n_firings"], 1), 4),
        }
        for i, (row, pair, curve) in enumerate(zip(rows, pairs, layout.curves, strict=True))
    ][::-1]
    x, y = _axes(layout)
    most = max(value[count] for value in values)
    return [
        alt.Chart(inline(values))
        .transform_flatten(["x", "y"])
        .mark_line(strokeCap="round", interpolate="catmull-rom")
        .encode(
            x("x"),
            y("y"),
            order="y:Q",
            detail="edge:N",
            color=alt.Color(
                "side:N",
                title="writes into the",
                scale=alt.Scale(
                    domain=list(SIDE_NAMES.values()), range=[SIDE_COLOURS[s] for s in SIDE_NAMES]
                ),
                legend=alt.Legend(symbolStrokeWidth=3, symbolType="stroke"),
            ),
            strokeWidth=alt.StrokeWidth(
                "total:Q",
                title="total contribution",
                scale=alt.Scale(domainMin=0, range=[0.8, 7], clamp=True),
                legend=alt.Legend(values=_round_values([value["total"] for value in values])),
            ),
            opacity=alt.Opacity(
                f"{count}:Q",
                scale=alt.Scale(domain=[0, most], range=[0.15, 0.95]),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip("from:N"),
                alt.Tooltip("to:N"),
                alt.Tooltip("side:N", title="writes into the"),
                alt.Tooltip("role:N", title="token"),
                alt.Tooltip("prompts:Q", format=","),
                alt.Tooltip("firings:Q", format=","),
                alt.Tooltip("visits:Q", format=","),
                alt.Tooltip("total:Q", title="total contribution", format=",.3~f"),
                alt.Tooltip("mean:Q", title="mean contribution", format=",.3~f"),
            ],
        )
    ]


def _round_values(totals: list[float]) -> list[float]:
    """For the legend of widths: the largest round number among the totals, and a quarter of it."""
    largest = max(totals)
    if largest <= 0:
        return [0.0]
    unit = 10.0 ** floor(log10(largest))
    return [unit * (largest // unit) / 4, unit * (largest // unit)]


def _nodes(
    layout: Layout, pairs: list[Edge], roots: list[Node], heads: dict[Head, dict[str, Any]]
) -> list[alt.Chart]:
    """Rings, discs (squares for what is no head) and labels."""
    incoming, outgoing = Counter(e.down for e in pairs), Counter(e.up for e in pairs)
    values = [
        {
            "label": node.label,
            "x": x_at,
            "y": y_at,
            "role": node.role,
            "in": incoming[node],
            "out": outgoing[node],
            "kind": _kind(node, roots),
            "reference": head.get("in_reference", False),
            "class": head.get("class"),
            "prompts": head.get("n_prompts"),
        }
        for node, (x_at, y_at) in layout.position.items()
        for head in [heads.get((node.layer, node.head), {}) if node.component == "head" else {}]
    ]
    x, y = _axes(layout)
    tooltip = [
        alt.Tooltip("label:N", title="component"),
        alt.Tooltip("role:N", title="writes to"),
        alt.Tooltip("class:N", title="reference class"),
        alt.Tooltip("prompts:Q", title="prompts in which the trace meets it firing", format=","),
        alt.Tooltip("in:Q", title="edges in"),
        alt.Tooltip("out:Q", title="edges out"),
    ]
    nodes = alt.Chart(inline(values)).encode(x("x"), y("y"))

    def of(condition: str) -> alt.Chart:
        return nodes.transform_filter(condition)

    return [
        of("datum.reference").mark_point(filled=True, style="ring", size=RING_AREA),
        of("datum.kind == 'head'")
        .mark_point(filled=True, style="node", size=NODE_AREA)
        .encode(tooltip=tooltip),
        of("datum.kind == 'root'")
        .mark_point(filled=True, style="root", size=NODE_AREA)
        .encode(tooltip=tooltip),
        of("datum.kind == 'other'")
        .mark_point(filled=True, style="node", shape="square", size=NODE_AREA)
        .encode(tooltip=tooltip),
        of("datum.kind != 'root'").mark_text(style="label").encode(text="label:N"),
        of("datum.kind == 'root'").mark_text(style="root_label").encode(text="label:N"),
    ]


def _kind(node: Node, roots: Sequence[Node]) -> str:
    if node.component != "head":
        return "other"
    return "root" if node in roots else "head"


def _axes(layout: Layout) -> tuple[Callable[[str], alt.X], Callable[[str | float], Any]]:
    """x and y encodings of a field, or of a fixed place, in the slots of the layout."""
    across = alt.Scale(domain=[-MARGIN, layout.width], nice=False, zero=False)
    up = alt.Scale(domain=[-0.7, layout.height + 0.7], nice=False, zero=False)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=across, axis=None)

    def y(at: str | float) -> Any:
        if isinstance(at, str):
            return alt.Y(f"{at}:Q", scale=up, axis=None)
        return alt.YDatum(at, scale=up, axis=None)

    return x, y
