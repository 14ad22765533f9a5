"""The layout of the traced graph: layers upwards, a column for each token role.

A node is a head at a token role: the token that it writes to. A signal into the destination token
of a firing stays in its column; a signal into the source token crosses over to the column of the
head that reads it there. So a column is the residual stream of a token, and heads connect columns.

1. Each role has a column, in the order of the prompt, and each layer with a node a row, embeddings
   below layer 0. A column is as wide and a row as high as its fullest cell (role, layer) needs.
   The gaps between rows are larger where the picture would be flat. The nodes of a cell are in one
   line if the picture stays within `WIDTH`, else in more lines, with one limit for all cells.
2. The order within a cell comes from barycentre sweeps: nodes are sorted in turn by the mean
   position of their neighbours below and above, and the order with the fewest crossings is kept.
3. Edges are cubic curves that start and end vertically. The smallest bend to either side that
   passes no other node is used, or else the one that passes the fewest nodes; no two edges between
   the same nodes have the same curve. Edges that still pass a node are in `over` and have to be
   drawn above the nodes, because they would seem to end there.
4. Weaker edges, which are hidden in the initial picture, move nothing: a node that only they have
   gets a free place in its cell, and without one its edges are not drawn.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from svt.charts.curves import Curve, Floats, Point, count_hits, hits, points_of, rising

PROMPT_ORDER = ("IO-1", "IO", "IO+1", "S1-1", "S1", "S1+1", "S2-1", "S2", "verb", "end-1", "end")
WIDTH = 24.0
LEAST_IN_LINE = 3
COLUMN_GAP = 0.6
HEIGHT_BY_WIDTH = 0.8
ROW_GAP, WIDEST_ROW_GAP = 1.2, 3.0
BENDS = (0.0, 0.5, -0.5, 1.0, -1.0, 1.6, -1.6)
WIDER_BENDS = sorted(
    product((0.0, *(s * b for b in (0.7, 1.4, 2.2, 3.2, 4.5, 6.0) for s in (1, -1))), repeat=2),
    key=lambda bends: (abs(bends[0]) + abs(bends[1]) + abs(bends[0] - bends[1]), bends),
)
"""Bends of the lower and the upper control point, the smallest first."""
SWEEPS = 6


@dataclass(frozen=True, order=True)
class Node:
    """A component at a role; `layer` is -1 for embeddings, `head` is -1 for other components."""

    layer: int
    head: int
    role: str
    component: str = "head"

    @property
    def label(self) -> str:
        if self.component == "head":
            return f"{self.layer}.{self.head}"
        name = self.component.removesuffix("_embed")
        return name if self.layer < 0 else f"{name} {self.layer}"


@dataclass(frozen=True)
class Edge:
    """A signal from `up` into the token at `side`, with role `role`, of the firings of `down`.

    `side` is dest or src, or None if it is not known in an imported circuit.
    """

    up: Node
    down: Node
    side: str | None
    role: str


@dataclass(frozen=True)
class Layout:
    """Positions in slots, the spaces of nodes; x points to the right, y upwards."""

    position: dict[Node, Point]
    columns: list[tuple[str, float, float]]
    """(role, left, right)"""
    rows: list[tuple[int, float, float]]
    """(layer, bottom, top)"""
    curves: dict[Edge, Curve]
    """The curves of all edges, and of weaker edges whose nodes have a place."""

    @cached_property
    def over(self) -> set[Edge]:
        """The edges that pass a node other than their ends (step 3)."""
        return {
            edge
            for edge, curve in self.curves.items()
            if hits(curve, [p for n, p in self.position.items() if n not in (edge.up, edge.down)])
        }

    @cached_property
    def number(self) -> dict[Node, int]:
        """The number of each node, by layer and head, which joins its marks."""
        return {node: i for i, node in enumerate(sorted(self.position))}

    @cached_property
    def middle(self) -> dict[str, float]:
        """The x of the middle of each column."""
        return {role: (left + right) / 2 for role, left, right in self.columns}

    @property
    def width(self) -> float:
        return self.columns[-1][2] if self.columns else 0.0

    @property
    def sides(self) -> tuple[float, float]:
        """The smallest and largest x of columns and curves, which may bend beyond the columns."""
        across = [x for curve in self.curves.values() for x in points_of(curve)[:, 0].tolist()]
        return min([0.0, *across]), max([self.width, *across])

    @property
    def height(self) -> float:
        return self.rows[-1][2] if self.rows else 0.0


def lay_out(
    nodes: Iterable[Node],
    edges: Sequence[Edge],
    weaker: Sequence[Edge] = (),
    columns: Iterable[str] = (),
    order: Sequence[str] = (),
) -> Layout:
    """Lay out nodes and edges (steps 1 to 4); the same input gives the same layout.

    columns: roles that have a column even without nodes;
    order: roles from left to right, for roles that are not those of indirect-object prompts.
    """
    cells: dict[tuple[str, int], list[Node]] = defaultdict(list)
    for node in sorted({*nodes, *(e.up for e in edges), *(e.down for e in edges)}):
        cells[node.role, node.layer].append(node)
    grid = _make_grid(cells, columns, order)  # 1
    _order_cells(cells, grid, edges)  # 2
    position = _place_nodes(cells, grid)
    curves = _route_edges(position, edges)  # 3
    position = _add_nodes(position, grid, weaker)  # 4
    curves |= _route_edges(position, [e for e in weaker if {e.up, e.down} <= position.keys()])
    return Layout(position, grid.columns, grid.rows, curves)


def count_fitting(
    edges: Sequence[Edge], roots: Iterable[Node], max_nodes: int, max_edges: int
) -> int:
    """Return the length of the longest prefix of the edges within both limits, with the roots."""
    nodes = set(roots)
    for i, edge in enumerate(edges):
        nodes |= {edge.up, edge.down}
        if len(nodes) > max_nodes or i >= max_edges:
            return i
    return len(edges)


def sort_roles(roles: Iterable[str], order: Sequence[str] = ()) -> list[str]:
    """Return the roles from left to right, those without a known place last, by name.

    Roles of indirect-object prompts are in the order of the prompt; with other roles, in `order`.
    """
    names = set(roles)
    known = PROMPT_ORDER if not order or names <= set(PROMPT_ORDER) else order
    place = {role: i for i, role in enumerate(known)}
    return sorted(names, key=lambda role: (place.get(role, len(place)), role))


@dataclass(frozen=True)
class _Grid:
    columns: list[tuple[str, float, float]]
    rows: list[tuple[int, float, float]]
    in_line: int
    """The most nodes of a cell in a line."""
    row_gap: float


def _make_grid(
    cells: dict[tuple[str, int], list[Node]], columns: Iterable[str], order: Sequence[str]
) -> _Grid:
    """Return the columns and rows of step 1."""
    fullest: dict[str, int] = defaultdict(int, dict.fromkeys(columns, 0))
    for (role, _), nodes in cells.items():
        fullest[role] = max(fullest[role], len(nodes))
    in_line = max(fullest.values(), default=LEAST_IN_LINE)
    while in_line > LEAST_IN_LINE and sum(_widths(fullest, in_line)) > WIDTH:
        in_line -= 1
    roles = sort_roles(fullest, order)
    edges = np.cumsum([0.0, *_widths({role: fullest[role] for role in roles}, in_line)]).tolist()
    spans = list(zip(roles, edges, edges[1:], strict=False))
    lines = {
        layer: -(-max(len(nodes) for (_, at), nodes in cells.items() if at == layer) // in_line)
        for layer in sorted({layer for _, layer in cells})
    }
    gap = (HEIGHT_BY_WIDTH * edges[-1] - sum(lines.values())) / max(len(lines), 1)
    gap = min(max(gap, ROW_GAP), WIDEST_ROW_GAP)
    bottoms = np.cumsum([0.0, *(n + gap for n in lines.values())]).tolist()
    rows = list(zip(lines, bottoms, bottoms[1:], strict=False))
    return _Grid(spans, rows, in_line, gap)


def _widths(fullest: dict[str, int], in_line: int) -> list[float]:
    """Return the width of each column; neighbouring lines are staggered by half a slot."""
    return [
        max(1.4, min(n, in_line) + (0.5 if n > in_line else 0.0)) + COLUMN_GAP
        for n in fullest.values()
    ]


def _place_nodes(cells: dict[tuple[str, int], list[Node]], grid: _Grid) -> dict[Node, Point]:
    """Place the nodes of each cell in centred lines, the first at the left of the lowest line."""
    middle_x = {role: (left + right) / 2 for role, left, right in grid.columns}
    middle_y = {layer: (bottom + top) / 2 for layer, bottom, top in grid.rows}
    position = {}
    for (role, layer), nodes in cells.items():
        n_lines = -(-len(nodes) // grid.in_line)
        per_line = -(-len(nodes) // n_lines)
        # Staggered lines let the edges from the line below pass between nodes.
        stagger = 0.5 if n_lines > 1 and len(nodes) % n_lines == 0 else 0.0
        for i, node in enumerate(nodes):
            # Neighbours in the order are in different lines, so that x follows the order.
            at, line = divmod(i, n_lines)
            in_line = len(range(line, len(nodes), n_lines))
            indent = (per_line - in_line) / 2
            position[node] = (
                middle_x[role] + at + indent + stagger * (line % 2 - 0.5) - (per_line - 1) / 2,
                middle_y[layer] + line - (n_lines - 1) / 2,
            )
    return position


def _order_cells(
    cells: dict[tuple[str, int], list[Node]], grid: _Grid, edges: Sequence[Edge]
) -> None:
    """Order the nodes of each cell in place (step 2)."""
    below: dict[Node, list[Node]] = defaultdict(list)
    above: dict[Node, list[Node]] = defaultdict(list)
    for edge in edges:
        below[edge.down].append(edge.up)
        above[edge.up].append(edge.down)
    best = {cell: list(nodes) for cell, nodes in cells.items()}
    fewest = _count_crossings(_place_nodes(cells, grid), edges)
    for sweep in range(SWEEPS):
        upwards = sweep % 2 == 0
        neighbours = below if upwards else above
        for layer, *_ in grid.rows if upwards else reversed(grid.rows):
            position = _place_nodes(cells, grid)
            for (_, at), nodes in cells.items():
                if at == layer:
                    nodes.sort(key=lambda n: (_mean_x(position, n, neighbours[n]), n))
        crossings = _count_crossings(_place_nodes(cells, grid), edges)
        if crossings < fewest:
            fewest, best = crossings, {cell: list(nodes) for cell, nodes in cells.items()}
    cells.update(best)


def _mean_x(position: dict[Node, Point], node: Node, others: list[Node]) -> float:
    """Return the mean x of the neighbours, or that of the node if it has none."""
    others = others or [node]
    return sum(position[other][0] for other in others) / len(others)


def _count_crossings(position: dict[Node, Point], edges: Sequence[Edge]) -> int:
    """Count the pairs of edges whose straight lines cross between their ends."""
    lines = sorted({(*position[e.up], *position[e.down]) for e in edges})
    x0, y0, x1, y1 = np.array(lines, dtype=float).reshape(-1, 4).T

    def side(x: Floats, y: Floats) -> Floats:
        """Return the side of line i on which point j lies, as a sign: [i, j]."""
        return (x1 - x0)[:, None] * (y - y0[:, None]) - (y1 - y0)[:, None] * (x - x0[:, None])

    parted = side(x0, y0) * side(x1, y1) < 0  # [i, j]: the ends of j are on different sides of i
    return int((parted & parted.T).sum()) // 2


def _route_edges(position: dict[Node, Point], edges: Sequence[Edge]) -> dict[Edge, Curve]:
    """Return the curve of each edge (step 3)."""
    taken: dict[tuple[Node, Node], set[Curve]] = defaultdict(set)
    curves = {}
    for edge in edges:
        start, end = position[edge.up], position[edge.down]
        others = [
            p
            for node, p in position.items()
            if node not in (edge.up, edge.down) and start[1] - 0.5 <= p[1] <= end[1] + 0.5
        ]
        used = taken[edge.up, edge.down]
        curves[edge] = find_clearest(start, end, others, used)
        used.add(curves[edge])
    return curves


def find_clearest(
    start: Point, end: Point, others: Sequence[Point], used: Collection[Curve] = ()
) -> Curve:
    """Return the curve with the smallest bend, not in `used`, that passes the fewest `others`."""
    candidates: list[tuple[int, Curve]] = []
    for bends in ([(bend,) for bend in BENDS], WIDER_BENDS):
        curves = [rising(start, end, *bend) for bend in bends]
        free = [curve for curve in curves if curve not in used]
        n_hits = count_hits(free, others)
        best = int(n_hits.argmin())
        candidates.append((int(n_hits[best]), free[best]))
        if n_hits[best] == 0:
            break
    return min(candidates, key=lambda each: each[0])[1]


def _add_nodes(
    position: dict[Node, Point], grid: _Grid, weaker: Sequence[Edge]
) -> dict[Node, Point]:
    """Return the positions with the nodes of weaker edges that have places for both ends."""
    placed = dict(position)
    for edge in weaker:
        added: dict[Node, Point] = {}
        for node, other in ((edge.up, edge.down), (edge.down, edge.up)):
            if node not in placed:
                near = placed.get(other) or added.get(other)
                place = _find_place(node, near, placed | added, grid)
                if place is None:
                    break
                added[node] = place
        else:
            placed |= added
    return placed


def _find_place(
    node: Node, near: Point | None, placed: dict[Node, Point], grid: _Grid
) -> Point | None:
    """Return the free place of the node's cell with the x nearest to `near`, or the leftmost.

    None if the cell has no free place.
    """
    column = next((ends for role, *ends in grid.columns if role == node.role), None)
    row = next((ends for layer, *ends in grid.rows if layer == node.layer), None)
    if column is None or row is None:
        return None
    free = [
        (x, y)
        for x, y in _list_places(column, row, grid.row_gap)
        if all(
            abs(x - other_x) >= 1 or abs(y - other_y) >= 1 for other_x, other_y in placed.values()
        )
    ]
    aim = near[0] if near else column[0]
    return min(free, key=lambda place: (abs(place[0] - aim), place), default=None)


def _list_places(column: Sequence[float], row: Sequence[float], row_gap: float) -> list[Point]:
    """Return the places of a cell, half a slot apart in its lines."""
    (left, right), (bottom, top) = column, row
    n_lines = round(top - bottom - row_gap)
    n_places = int(2 * (right - left - COLUMN_GAP - 1) + 1e-9) + 1
    first_x, first_y = left + (COLUMN_GAP + 1) / 2, bottom + (row_gap + 1) / 2
    return [(first_x + at / 2, first_y + line) for line in range(n_lines) for at in range(n_places)]
