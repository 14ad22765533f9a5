"""Where nodes and edges of a traced graph stand: layers upwards, a column for each token role.

A node is a head at a token role: the token that it writes to. A signal that goes into the
destination token of a firing stays in its column; one that goes into the source token crosses over
to the column of the head that reads it there. So the picture reads like a residual stream for every
token, with heads between them.

1. Columns: one for each role in the order of the prompt, as wide as its fullest cell needs.
   Rows: one for each layer that has a node, as high as its fullest cell needs, further apart
   where the picture would be flat; embeddings below layer 0. The nodes of a cell (role, layer)
   stand in one line where the whole picture stays within `WIDTH`, else in several lines, all cells
   with the same most nodes in a line.
2. Order within a cell: barycentre sweeps. Nodes are sorted by the mean position of their neighbours
   below, then of those above, in turn; of all orders seen the one with the fewest crossings stays.
3. Edges are cubic curves that leave and arrive upwards. Of the bends to either side the least that
   passes no other node is taken, or the one that passes the fewest, and no two edges between the
   same nodes share one. An edge that still passes a node is in `over`: it has to be drawn above the
   nodes, or it would seem to end there.
4. Weaker edges, which are hidden at first, move nothing: a node that only they have takes a free
   place of its cell, and where there is none its edges are not drawn.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from svt.charts.curves import Curve, Floats, Point, all_hits, hits, points_of, rising

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
"""Of the lower and the upper control point, the least first."""
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
        name = self.component.removesuffix("_embed")
        return name if self.layer < 0 else f"{name} {self.layer}"


@dataclass(frozen=True)
class Edge:
    """A signal from `up` into the `side` token, of role `role`, of the firings of `down`.

    `side` is dest or src, or None where an imported circuit does not tell it.
    """

    up: Node
    down: Node
    side: str | None
    role: str


@dataclass(frozen=True)
class Layout:
    """Positions in slots: one slot is the room of one node. x grows to the right, y upwards."""

    position: dict[Node, Point]
    columns: list[tuple[str, float, float]]
    """(role, left, right)"""
    rows: list[tuple[int, float, float]]
    """(layer, bottom, top)"""
    curves: dict[Edge, Curve]
    """Of every edge, and of the weaker ones that found room."""

    @property
    def over(self) -> set[Edge]:
        """The edges that pass a node which is not their own (step 3)."""
        return {
            edge
            for edge, curve in self.curves.items()
            if hits(curve, [p for n, p in self.position.items() if n not in (edge.up, edge.down)])
        }

    @property
    def width(self) -> float:
        return self.columns[-1][2] if self.columns else 0.0

    @property
    def sides(self) -> tuple[float, float]:
        """The least and largest x of columns and curves: some of these bend beyond the columns."""
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
    """Steps 1 to 4 for these nodes and edges; the same input gives the same layout.

    columns: roles that have a column also where no node stands in it;
    order: roles from left to right, where some are none of the indirect-object prompts.
    """
    cells: dict[tuple[str, int], list[Node]] = defaultdict(list)
    for node in sorted({*nodes, *(e.up for e in edges), *(e.down for e in edges)}):
        cells[node.role, node.layer].append(node)
    grid = _grid(cells, columns, order)  # 1
    _order(cells, grid, edges)  # 2
    position = _positions(cells, grid)
    curves = _curves(position, edges)  # 3
    position = _room(position, grid, weaker)  # 4
    curves |= _curves(position, [e for e in weaker if {e.up, e.down} <= position.keys()])
    return Layout(position, grid.columns, grid.rows, curves)


def role_order(roles: Iterable[str], order: Sequence[str] = ()) -> list[str]:
    """Return the roles from left to right, those without a known place last, by name.

    Those of indirect-object prompts stand as in a prompt; with others among them `order` counts.
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
    """Most nodes of a cell in a line."""
    row_gap: float


def _grid(
    cells: dict[tuple[str, int], list[Node]], columns_too: Iterable[str], order: Sequence[str]
) -> _Grid:
    """Step 1."""
    fullest: dict[str, int] = defaultdict(int, dict.fromkeys(columns_too, 0))
    for (role, _), nodes in cells.items():
        fullest[role] = max(fullest[role], len(nodes))
    in_line = max(fullest.values(), default=LEAST_IN_LINE)
    while in_line > LEAST_IN_LINE and sum(_widths(fullest, in_line)) > WIDTH:
        in_line -= 1
    roles = role_order(fullest, order)
    edges = np.cumsum([0.0, *_widths({role: fullest[role] for role in roles}, in_line)]).tolist()
    columns = list(zip(roles, edges, edges[1:], strict=False))
    lines = {
        layer: -(-max(len(nodes) for (_, at), nodes in cells.items() if at == layer) // in_line)
        for layer in sorted({layer for _, layer in cells})
    }
    gap = (HEIGHT_BY_WIDTH * edges[-1] - sum(lines.values())) / max(len(lines), 1)
    gap = min(max(gap, ROW_GAP), WIDEST_ROW_GAP)
    bottoms = np.cumsum([0.0, *(n + gap for n in lines.values())]).tolist()
    rows = list(zip(lines, bottoms, bottoms[1:], strict=False))
    return _Grid(columns, rows, in_line, gap)


def _widths(fullest: dict[str, int], in_line: int) -> list[float]:
    """Of each column; lines above one another are staggered by half a slot."""
    return [
        max(1.4, min(n, in_line) + (0.5 if n > in_line else 0.0)) + COLUMN_GAP
        for n in fullest.values()
    ]


def _positions(cells: dict[tuple[str, int], list[Node]], grid: _Grid) -> dict[Node, Point]:
    """The nodes of a cell in centred lines, the first at the left of the lowest line."""
    middle_x = {role: (left + right) / 2 for role, left, right in grid.columns}
    middle_y = {layer: (bottom + top) / 2 for layer, bottom, top in grid.rows}
    position = {}
    for (role, layer), nodes in cells.items():
        n_lines = -(-len(nodes) // grid.in_line)
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


def _order(cells: dict[tuple[str, int], list[Node]], grid: _Grid, edges: Sequence[Edge]) -> None:
    """Step 2, in place."""
    below: dict[Node, list[Node]] = defaultdict(list)
    above: dict[Node, list[Node]] = defaultdict(list)
    for edge in edges:
        below[edge.down].append(edge.up)
        above[edge.up].append(edge.down)
    best = {cell: list(nodes) for cell, nodes in cells.items()}
    fewest = _crossings(_positions(cells, grid), edges)
    for sweep in range(SWEEPS):
        upwards = sweep % 2 == 0
        neighbours = below if upwards else above
        for layer, *_ in grid.rows if upwards else reversed(grid.rows):
            position = _positions(cells, grid)
            for (_, at), nodes in cells.items():
                if at == layer:
                    nodes.sort(key=lambda n: (_mean_x(position, n, neighbours[n]), n))
        crossings = _crossings(_positions(cells, grid), edges)
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
        return (x1 - x0)[:, None] * (y - y0[:, None]) - (y1 - y0)[:, None] * (x - x0[:, None])

    parted = side(x0, y0) * side(x1, y1) < 0  # [i, j]: the ends of j lie on either side of i
    return int((parted & parted.T).sum()) // 2


def _curves(position: dict[Node, Point], edges: Sequence[Edge]) -> dict[Edge, Curve]:
    """Step 3."""
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
        curves[edge] = clearest(start, end, others, used)
        used.add(curves[edge])
    return curves


def clearest(
    start: Point, end: Point, others: Sequence[Point], used: Collection[Curve] = ()
) -> Curve:
    """Return the curve of the least bend, not in `used`, that passes the fewest of `others`."""
    near = [rising(start, end, bend) for bend in BENDS]
    found: list[tuple[int, Curve]] = []
    for curves in (near, [rising(start, end, *bends) for bends in WIDER_BENDS]):
        free = [curve for curve in curves if curve not in used]
        n_hits = all_hits(free, others)
        best = int(n_hits.argmin())
        found.append((int(n_hits[best]), free[best]))
        if n_hits[best] == 0:
            break
    return min(found, key=lambda each: each[0])[1]


def _room(position: dict[Node, Point], grid: _Grid, weaker: Sequence[Edge]) -> dict[Node, Point]:
    """Step 4: the places of all nodes, with those added whose edges find room at both ends."""
    placed = dict(position)
    for edge in weaker:
        added: dict[Node, Point] = {}
        for node, other in ((edge.up, edge.down), (edge.down, edge.up)):
            if node not in placed:
                near = placed.get(other) or added.get(other)
                place = _free_place(node, near, placed | added, grid)
                if place is None:
                    break
                added[node] = place
        else:
            placed |= added
    return placed


def _free_place(
    node: Node, near: Point | None, placed: dict[Node, Point], grid: _Grid
) -> Point | None:
    """The free place in the node's cell that is nearest to the line of `near`, or the leftmost."""
    column = next((ends for role, *ends in grid.columns if role == node.role), None)
    row = next((ends for layer, *ends in grid.rows if layer == node.layer), None)
    if column is None or row is None:
        return None
    free = [
        (x, y)
        for x, y in _places(column, row, grid.row_gap)
        if all(
            abs(x - other_x) >= 1 or abs(y - other_y) >= 1 for other_x, other_y in placed.values()
        )
    ]
    aim = near[0] if near else column[0]
    return min(free, key=lambda place: (abs(place[0] - aim), place), default=None)


def _places(column: Sequence[float], row: Sequence[float], row_gap: float) -> list[Point]:
    """The places of a cell, half a slot apart in its lines."""
    (left, right), (bottom, top) = column, row
    n_lines = round(top - bottom - row_gap)
    n_places = int(2 * (right - left - COLUMN_GAP - 1) + 1e-9) + 1
    first_x, first_y = left + (COLUMN_GAP + 1) / 2, bottom + (row_gap + 1) / 2
    return [(first_x + at / 2, first_y + line) for line in range(n_lines) for at in range(n_places)]
