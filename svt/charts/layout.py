"""Where nodes and edges of a traced graph stand: layers upwards, a column for each token role.

A node is a head at a token role: the token that it writes to. A signal that goes into the
destination token of a firing stays in its column; one that goes into the source token crosses over
to the column of the head that reads it there. So the picture reads like a residual stream for every
token, with heads between them.

1. Columns: one for each role in the order of the prompt, as wide as its fullest cell needs.
   Rows: one for each layer that has a node, as high as its fullest cell needs; embeddings below
   layer 0. A cell (role, layer) holds at most `CELL_WIDTH` nodes in a line, further ones stand in
   further lines.
2. Order within a cell: barycentre sweeps. Nodes are sorted by the mean position of their neighbours
   below, then of those above, in turn; of all orders seen the one with the fewest crossings stays.
3. Edges are cubic curves that leave and arrive upwards. Of a few bends to either side the one that
   passes the fewest other nodes is taken, and no two edges between the same nodes share one.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
Floats = npt.NDArray[np.float64]

PROMPT_ORDER = ("IO-1", "IO", "IO+1", "S1-1", "S1", "S1+1", "S2-1", "S2", "verb", "end-1", "end")
CELL_WIDTH = 3
COLUMN_GAP = 0.6
ROW_GAP = 1.2
BENDS = (0.0, 0.5, -0.5, 1.0, -1.0, 1.6, -1.6)
CURVE_STEPS = 14
SWEEPS = 6


@dataclass(frozen=True, order=True)
class Node:
    """A component at a role; `layer` is -1 for the embeddings, `head` is -1 for what is no head."""

    layer: int
    head: int
    role: str
    component: str = "head"

    @property
    def label(self) -> str:
        if self.component == "head":
            return f"{self.layer}.{self.head}"
        return self.component if self.layer < 0 else f"{self.component} {self.layer}"


@dataclass(frozen=True)
class Edge:
    """A signal from `up` into the `side` token, of role `role`, of the firings of `down`."""

    up: Node
    down: Node
    side: str
    role: str


@dataclass(frozen=True)
class Layout:
    """Positions in slots: one slot is the room of one node. x grows to the right, y upwards."""

    position: dict[Node, Point]
    columns: list[tuple[str, float, float]]
    """(role, left, right)"""
    rows: list[tuple[int, float, float]]
    """(layer, bottom, top)"""
    curves: list[list[Point]]
    """The points of each edge, in the order of the edges given."""
    width: float
    height: float


def lay_out(nodes: Iterable[Node], edges: Sequence[Edge]) -> Layout:
    """Steps 1 to 3 for these nodes and edges; the same input gives the same layout."""
    everything = sorted({*nodes, *(e.up for e in edges), *(e.down for e in edges)})
    cells: dict[tuple[str, int], list[Node]] = defaultdict(list)
    for node in everything:
        cells[node.role, node.layer].append(node)
    columns = _columns(cells)
    rows = _rows(cells)
    _order(cells, columns, rows, edges)  # 2
    position = _positions(cells, columns, rows)
    return Layout(
        position=position,
        columns=columns,
        rows=rows,
        curves=_curves(position, edges),
        width=columns[-1][2] if columns else 0.0,
        height=rows[-1][2] if rows else 0.0,
    )


def role_order(roles: Iterable[str]) -> list[str]:
    """Roles of the indirect-object prompts as they stand in a prompt, then all others by name."""
    place = {role: i for i, role in enumerate(PROMPT_ORDER)}
    return sorted(set(roles), key=lambda role: (place.get(role, len(place)), role))


def _columns(cells: dict[tuple[str, int], list[Node]]) -> list[tuple[str, float, float]]:
    left, columns = 0.0, []
    for role in role_order(role for role, _ in cells):
        fullest = max(len(nodes) for (r, _), nodes in cells.items() if r == role)
        right = left + max(1.4, min(fullest, CELL_WIDTH + 0.5)) + COLUMN_GAP
        columns.append((role, left, right))
        left = right
    return columns


def _rows(cells: dict[tuple[str, int], list[Node]]) -> list[tuple[int, float, float]]:
    bottom, rows = 0.0, []
    for layer in sorted({layer for _, layer in cells}):
        fullest = max(len(nodes) for (_, at), nodes in cells.items() if at == layer)
        top = bottom + -(-fullest // CELL_WIDTH) + ROW_GAP
        rows.append((layer, bottom, top))
        bottom = top
    return rows


def _positions(
    cells: dict[tuple[str, int], list[Node]],
    columns: list[tuple[str, float, float]],
    rows: list[tuple[int, float, float]],
) -> dict[Node, Point]:
    """The nodes of a cell in centred lines, the first at the left of the lowest line."""
    middle_x = {role: (left + right) / 2 for role, left, right in columns}
    middle_y = {layer: (bottom + top) / 2 for layer, bottom, top in rows}
    position = {}
    for (role, layer), nodes in cells.items():
        n_lines = -(-len(nodes) // CELL_WIDTH)
        per_line = -(-len(nodes) // n_lines)
        # Between the nodes of a line pass the edges from the line below.
        stagger = 0.5 if n_lines > 1 and len(nodes) % n_lines == 0 else 0.0
        for i, node in enumerate(nodes):
            # Neighbours in the order go to different lines, so that a full cell stays in order from
            # left to right.
            at, line = divmod(i, n_lines)
            in_line = len(range(line, len(nodes), n_lines))
            indent = (per_line - in_line) / 2
            position[node] = (
                middle_x[role] + at + indent + stagger * (line % 2 - 0.5) - (per_line - 1) / 2,
                middle_y[layer] + line - (n_lines - 1) / 2,
            )
    return position


def _order(
    cells: dict[tuple[str, int], list[Node]],
    columns: list[tuple[str, float, float]],
    rows: list[tuple[int, float, float]],
    edges: Sequence[Edge],
) -> None:
    """Step 2, in place."""
    below: dict[Node, list[Node]] = defaultdict(list)
    above: dict[Node, list[Node]] = defaultdict(list)
    for edge in edges:
        below[edge.down].append(edge.up)
        above[edge.up].append(edge.down)
    best = {cell: list(nodes) for cell, nodes in cells.items()}
    fewest = _crossings(_positions(cells, columns, rows), edges)
    for sweep in range(SWEEPS):
        upwards = sweep % 2 == 0
        neighbours = below if upwards else above
        for layer, *_ in rows if upwards else reversed(rows):
            position = _positions(cells, columns, rows)
            for (_, at), nodes in cells.items():
                if at == layer:
                    nodes.sort(key=lambda n: (_mean_x(position, n, neighbours[n]), n))
        crossings = _crossings(_positions(cells, columns, rows), edges)
        if crossings < fewest:
            fewest, best = crossings, {cell: list(nodes) for cell, nodes in cells.items()}
    cells.update(best)


def _mean_x(position: dict[Node, Point], node: Node, others: list[Node]) -> float:
    """The mean x of the neighbours; a node without any stays where it is."""
    others = others or [node]
    return sum(position[other][0] for other in others) / len(others)


def _crossings(position: dict[Node, Point], edges: Sequence[Edge]) -> int:
    """Pairs of edges whose straight lines cross strictly between their ends."""
    lines = sorted({(*position[e.up], *position[e.down]) for e in edges})
    x0, y0, x1, y1 = np.array(lines, dtype=float).reshape(-1, 4).T

    def side(x: Floats, y: Floats) -> Floats:
        """[i, j]: on which side of line i the point j lies."""
        sides: Floats = (x1 - x0)[:, None] * (y - y0[:, None]) - (y1 - y0)[:, None] * (
            x - x0[:, None]
        )
        return sides

    parted = side(x0, y0) * side(x1, y1) < 0  # [i, j]: the ends of j lie on either side of i
    return int((parted & parted.T).sum()) // 2


def _curves(position: dict[Node, Point], edges: Sequence[Edge]) -> list[list[Point]]:
    """Step 3."""
    taken: dict[tuple[Node, Node], set[float]] = defaultdict(set)
    curves = []
    for edge in edges:
        start, end = position[edge.up], position[edge.down]
        others = [
            p
            for node, p in position.items()
            if node not in (edge.up, edge.down) and start[1] - 0.5 <= p[1] <= end[1] + 0.5
        ]
        free = [b for b in BENDS if b not in taken[edge.up, edge.down]] or [0.0]
        bend = min(free, key=lambda b: (_hits(_curve(start, end, b), others), BENDS.index(b)))
        taken[edge.up, edge.down].add(bend)
        curves.append(_curve(start, end, bend))
    return curves


def _hits(curve: list[Point], nodes: list[Point]) -> int:
    """How many nodes the curve, which rises throughout, runs over."""
    if not nodes:
        return 0
    x, y = np.array(nodes).T
    curve_x, curve_y = np.array(curve).T
    at = np.interp(y, curve_y, curve_x, left=np.inf, right=np.inf)
    return int((np.abs(at - x) < 0.5).sum())


def _curve(start: Point, end: Point, bend: float) -> list[Point]:
    """A cubic curve; `bend` moves both control points sideways."""
    (x0, y0), (x3, y3) = start, end
    lift = (y3 - y0) * 0.4
    x1, y1, x2, y2 = x0 + bend, y0 + lift, x3 + bend, y3 - lift
    points = []
    for step in range(CURVE_STEPS + 1):
        t = step / CURVE_STEPS
        a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
        points.append((a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3))
    return points
