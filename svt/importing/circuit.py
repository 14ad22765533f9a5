"""A circuit as a file tells it: edges into heads, heads that stand alone, and what was left out.

1. Readers give an `Edge` for each edge of the file whose lower end svt knows as a component and
   whose upper end is a head. What else the file holds is counted in `Circuit.left_out`.
2. `graph_edges` adds them up to the grain of the table graph_edges, [upstream, downstream, side,
   token role]: where the file's nodes are finer than heads (a firing, a position) edges between the
   same heads are one, otherwise a second one is refused.
3. A count is told of every edge or of none. Where no count is told, an edge was visited once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import Any, Literal

from svt.errors import SvtError

Head = tuple[int, int]
Side = Literal["dest", "src"]
Count = Literal["prompts", "firings", "visits"]

COUNTS: tuple[Count, ...] = ("prompts", "firings", "visits")
LARGEST = 255
"""Layers and heads are stored in a byte."""


@dataclass(frozen=True)
class Node:
    """An end of an edge. `component` is one of the table's, `output`, or `other`, known to none.

    `dest` and `src` are the tokens of a firing; `role` is the one token that a node names. `fine`
    tells nodes of one head apart.
    """

    component: str
    layer: int | None = None
    head: int | None = None
    role: str | None = None
    dest: str | None = None
    src: str | None = None
    fine: str | None = None

    @property
    def at(self) -> Head | None:
        """(layer, head), if it is a head."""
        if self.component != "head" or self.layer is None or self.head is None:
            return None
        return self.layer, self.head


@dataclass(frozen=True)
class Edge:
    """One edge of the file, and `place`, where it stands there; None is what is not told."""

    place: str
    component: str
    up_layer: int | None
    up_head: int | None
    layer: int
    head: int
    input: str | None = None
    side: Side | None = None
    role: str | None = None
    other_role: str | None = None
    n_prompts: int | None = None
    n_firings: int | None = None
    n_visits: int | None = None
    total: float | None = None
    mean: float | None = None
    effect: float | None = None
    firing: str | None = None
    """Which of the downstream head's nodes it goes into, where they are finer than heads."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two edges one in graph_edges."""
        return (
            self.component, self.up_layer, self.up_head, self.layer, self.head, self.side,
            self.role, None if self.firing is not None else self.input,
        )  # fmt: skip

    @property
    def ends(self) -> list[Head]:
        up = [(self.up_layer, self.up_head)] if self.component == "head" else []
        return [(layer, head) for layer, head in (*up, (self.layer, self.head))]  # type: ignore[misc]


@dataclass(frozen=True)
class Circuit:
    """What a file holds. `count` is the kind of count that thresholds are to be on."""

    format: str
    edges: tuple[Edge, ...]
    alone: dict[Head, str | None]
    """Heads without an edge into a head, with their class."""
    roots: tuple[Head, ...] = ()
    count: Count = "visits"
    left_out: tuple[str, ...] = ()

    @property
    def heads(self) -> set[Head]:
        return {head for edge in self.edges for head in edge.ends} | self.alone.keys()


def edge_between(
    place: str, up: Node, down: Node, reads: str | None, /, **told: Any
) -> Edge | None:
    """The edge from `up` to `down`, None when the tables cannot hold it; SvtError when none can be.

    `reads` is what of the downstream head reads: q or d, k or s, v; None where it is not told.
    """
    if down.at is None or up.component in ("output", "other"):
        return None
    layer, head = down.at
    if up.layer is not None and up.layer >= layer:
        raise SvtError(
            f"{place}: layer {up.layer} cannot write for layer {layer}; an edge goes from a lower "
            "layer to a higher one"
        )
    side = side_of(place, reads)
    role, other_role = _roles(down, side)
    told = {"role": role, "other_role": other_role} | {
        k: v for k, v in told.items() if v is not None
    }
    return Edge(
        place,
        up.component,
        up.layer,
        up.head,
        layer,
        head,
        input={"q": "query", "k": "key", "v": "value"}.get(reads or ""),
        side=side,
        firing=down.fine,
        **told,
    )


def side_of(place: str, reads: str | None) -> Side | None:
    """dest for what the query reads, src for the key; None for the value, and for None."""
    known: dict[str | None, Side | None] = {
        None: None, "v": None, "q": "dest", "d": "dest", "dest": "dest", "k": "src", "s": "src",
        "src": "src",
    }  # fmt: skip
    if reads not in known:
        raise SvtError(f"{place}: {reads!r} is no side; it must be s or k (source), d or q, or v")
    return known[reads]


def strongest(circuit: Circuit, n: int) -> Circuit:
    """The circuit with only the `n` edges of the largest weight, whatever its sign.

    SvtError for an edge without a weight.
    """
    for edge in circuit.edges:
        if edge.mean is None:
            raise SvtError(f"{edge.place}: has no weight, so the strongest edges cannot be told")
    falling = sorted(circuit.edges, key=lambda edge: -abs(edge.mean or 0.0))
    left_out = f"all but the {n} strongest of {len(falling)} edges"
    told = (*circuit.left_out, left_out) if n < len(falling) else circuit.left_out
    return replace(circuit, edges=tuple(falling[:n]), left_out=told)


def graph_edges(circuit: Circuit) -> list[dict[str, Any]]:
    """Rows of graph_edges (steps 2 and 3), in the file's order."""
    groups: dict[tuple[Any, ...], list[Edge]] = {}
    for edge in _counted(circuit):
        group = groups.setdefault(edge.key, [])
        if group and edge.firing is None:
            raise SvtError(f"{edge.place}: this edge stands in {group[0].place} already")
        group.append(edge)
    return [_row(group) for group in groups.values()]


def _counted(circuit: Circuit) -> Sequence[Edge]:
    """Step 3."""
    named = [f"n_{count}" for count in COUNTS]
    for name in named:
        lacking = [edge for edge in circuit.edges if getattr(edge, name) is None]
        if lacking and len(lacking) < len(circuit.edges):
            raise SvtError(f"{lacking[0].place}: has no {name[2:]} where other edges have them")
    if any(getattr(edge, name) is not None for edge in circuit.edges[:1] for name in named):
        return circuit.edges
    return [replace(edge, n_visits=1) for edge in circuit.edges]


def _row(group: Sequence[Edge]) -> dict[str, Any]:
    first = group[0]
    row = {
        name: getattr(first, name)
        for name in ("up_layer", "up_head", "component", "layer", "head", "side", "role")
    }
    if first.firing is None:
        return row | {
            name: getattr(first, name)
            for name in ("n_prompts", "n_firings", "n_visits", "total", "mean", "effect")
        }
    n_firings = len({edge.firing for edge in group})
    totals = [edge.total if edge.total is not None else edge.mean for edge in group]
    total = fsum(t for t in totals if t is not None) if None not in totals else None
    return row | {
        "n_prompts": 1,
        "n_firings": n_firings,
        "n_visits": _sum(edge.n_visits for edge in group),
        "total": total,
        "mean": None if total is None else total / n_firings,
    }


def _sum(counts: Iterable[int | None]) -> int:
    return sum(count or 0 for count in counts)


def _roles(down: Node, side: Side | None) -> tuple[str | None, str | None]:
    """The role of the token written into, and that of the firing's other token."""
    if side == "dest":
        return down.role or down.dest, down.src
    if side == "src":
        return down.role or down.src, down.dest
    return down.role, None
