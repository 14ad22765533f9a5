"""The rows behind the marks of the traced graph: one for each edge and each node, with its place.

Edges are numbered from 0 by strength, nodes by layer and head. Marks use these numbers to find
their neighbours when the pointer is over one of them.
"""

from collections import defaultdict

from svt.charts.curves import CLEARANCE, Curve, between_discs
from svt.charts.layout import Edge, Layout, Node
from svt.charts.style import SIDE_NAMES, Row
from svt.words import COUNTS

KEPT = ("dest_role", "src_role", "strength", "causal")
"""Columns of the edges that stay as they are; `causal` where interventions were run."""
SLOT_X, SLOT_Y = 43, 41
"""Pixels of a slot, the space of a node."""


def edge_rows(layout: Layout, edges: list[tuple[Edge, Row]], count: str) -> list[Row]:
    """Return a row for each edge, the weakest first, so that strong edges are drawn on top.

    edges: those with a curve in `layout`, the strongest first, with their rows of `graph_links`.
    The threshold applies to `strength`; `size` is the width and `count` the opacity.
    """
    return [
        {
            "edge": i,
            **place_edge(layout, edge),
            "role": edge.role,
            "count": row[f"n_{count}"],
            **{name: row[f"n_{name}"] for name in COUNTS},
            **{key: round_known(row[key]) for key in ("total", "size", "mean", "effect")},
            **{key: row[key] for key in KEPT if key in row},
        }
        for i, (edge, row) in enumerate(edges)
    ][::-1]


def node_rows(
    layout: Layout,
    edges: list[tuple[Edge, Row]],
    roots: list[Node],
    heads: dict[tuple[int, int], Row],
) -> list[Row]:
    """Return a row for each node.

    `edges` are the numbers of its edges, `most` is their largest strength; `near` maps the
    neighbours to the largest strength of an edge between the two.
    """
    own: dict[Node, list[int]] = defaultdict(list)
    near: dict[Node, dict[int, int]] = defaultdict(dict)
    for i, (edge, row) in enumerate(edges):  # the strongest comes first
        for node, other in ((edge.up, edge.down), (edge.down, edge.up)):
            own[node].append(i)
            near[node].setdefault(layout.number[other], row["strength"])
    rows = []
    for node, i in layout.number.items():
        is_head = node.component == "head"
        known = heads.get((node.layer, node.head), {}) if is_head else {}
        does = {each["dest_role"]: each["text"] for each in known.get("does") or ()}
        x, y = layout.position[node]
        rows.append(
            {
                "node": i,
                "label": node.label,
                "x": round(x, 3),
                "y": round(y, 3),
                "role": node.role,
                "kind": ("root" if node in roots else "head") if is_head else "other",
                "reference": known.get("in_reference", False),
                "class": known.get("class") or "none",
                "does": does.get(node.role),
                "prompts": known.get("n_prompts"),
                "firings": known.get("n_firings"),
                "most": max(near[node].values(), default=0),
                "edges": own[node],
                "near": {str(other): most for other, most in near[node].items()},
            }
        )
    return rows


def place_edge(layout: Layout, edge: Edge, slots: tuple[int, int] = (SLOT_X, SLOT_Y)) -> Row:
    """Return the ends and the path of an edge, in slots of a width and height in pixels.

    `over`: it passes a node, so it is drawn above the nodes.
    """
    (x, y), over = layout.position[edge.up], edge in layout.over
    return {
        "over": over,
        "up": layout.number[edge.up],
        "down": layout.number[edge.down],
        "x": round(x, 3),
        "y": round(y, 3),
        "path": path_of(layout.curves[edge], *slots, over=over),
        "from": edge.up.label,
        "to": edge.down.label,
        "side": SIDE_NAMES.get(edge.side or ""),
    }


def round_known(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def path_of(curve: Curve, slot_x: int = SLOT_X, slot_y: int = SLOT_Y, *, over: bool = False) -> str:
    """Return the curve as an SVG path from its start, in pixels with y downwards.

    slot_x, slot_y: pixels of a slot; over: the path begins and ends at the rims of its nodes.
    """
    x0, y0 = curve[0]
    drawn = between_discs(curve, CLEARANCE) if over else curve
    start, *points = [f"{(x - x0) * slot_x:.1f},{(y0 - y) * slot_y:.1f}" for x, y in drawn]
    return f"M{start}C" + " ".join(points)
