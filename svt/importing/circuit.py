"""A circuit as a file tells it: edges into heads, heads that stand alone, and what was left out.

1. Readers give an `Edge` for each edge of the file whose lower end svt knows as a component and
   whose upper end is a head. What else the file holds is counted in `Circuit.left_out`.
2. `graph_edges` adds them up to the grain of the table graph_edges, [upstream, downstream, side,
   token role]: where the file's nodes are finer than heads (a firing, a position) edges between the
   same heads are one, otherwise a second one is refused.
3. A count is told of every edge or of none. Where no count is told, an edge was visited once.
4. Of a file over several prompts, an edge's prompts and firings are counted by the prompts that it
   names (svt/importing/appeared.py), and are null where it names none. Its weight is then no total.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import fsum
from typing import Any, NamedTuple

from svt.errors import DataError
from svt.words import COUNTS, Count, Side

Head = tuple[int, int]

LARGEST = 255
"""Layers and heads are stored in a byte."""


class Node(NamedTuple):
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


class Edge(NamedTuple):
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
    prompts: frozenset[str] | None = None
    """The prompts that it appeared in."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two edges one in graph_edges."""
        return (
            self.component, self.up_layer, self.up_head, self.layer, self.head, self.side,
            self.role, None if self.firing is not None else self.input,
        )  # fmt: skip


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
    one_prompt: bool = True
    """False where the file says that it is over several prompts."""
    notes: tuple[str, ...] = ()
    """What a reader must know of how the counts were read."""

    @cached_property
    def heads(self) -> set[Head]:
        return ends_of(self.edges) | self.alone.keys()


def ends_of(edges: Iterable[Edge]) -> set[Head]:
    """Return the heads at the ends of edges."""
    pairs = {(e.component, e.up_layer, e.up_head, e.layer, e.head) for e in edges}
    up = {(layer, head) for kind, layer, head, *_ in pairs if kind == "head"}
    return up | {(layer, head) for *_, layer, head in pairs}  # type: ignore[return-value]


def edge_between(
    place: str, up: Node, down: Node, reads: str | None, /, **told: Any
) -> Edge | None:
    """The edge from `up` to `down`; None when the tables cannot hold it, DataError when none can.

    `reads` is what of the downstream head reads: q or d, k or s, v; None where it is not told.
    """
    if down.at is None or up.component in ("output", "other"):
        return None
    layer, head = down.at
    if up.layer is not None and up.layer >= layer:
        raise DataError(
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
        raise DataError(f"{place}: {reads!r} is no side; it must be s or k (source), d or q, or v")
    return known[reads]


def strongest(circuit: Circuit, n: int) -> Circuit:
    """The circuit with only the `n` edges of the largest weight, whatever its sign.

    Of edges that weigh the same the file's first are taken, and how many is said. DataError for an
    edge without a weight, and where all edges weigh 0.
    """
    for edge in circuit.edges:
        if edge.mean is None:
            raise DataError(f"{edge.place}: has no weight, so the strongest edges cannot be told")
    falling = sorted(circuit.edges, key=lambda edge: -abs(edge.mean or 0.0))
    if n >= len(falling):
        return circuit
    sizes = [abs(edge.mean or 0.0) for edge in falling]
    left_out = f"all but the {n} strongest of {len(falling)} edges"
    if sizes[0] == 0:
        raise DataError(
            f"{circuit.edges[0].place}: weighs 0, as all {len(falling)} edges do, so none is among "
            "the strongest; leave --top out, or give a file with a score of each edge"
        )
    if sizes[n] == sizes[n - 1]:
        n_taken = sizes[:n].count(sizes[n])
        left_out += (
            f"; {sizes.count(sizes[n])} edges weigh {sizes[n]:g}, of which the first {n_taken} in "
            "the file were taken"
        )
    return replace(circuit, edges=tuple(falling[:n]), left_out=(*circuit.left_out, left_out))


def graph_edges(circuit: Circuit) -> list[dict[str, Any]]:
    """Rows of graph_edges (steps 2 and 3), in the file's order."""
    groups: dict[tuple[Any, ...], list[Edge]] = {}
    for edge in _counted(circuit):
        group = groups.setdefault(edge.key, [])
        if group and edge.firing is None:
            raise DataError(f"{edge.place}: this edge stands in {group[0].place} already")
        group.append(edge)
    return [_row(group, circuit.one_prompt) for group in groups.values()]


def _counted(circuit: Circuit) -> Sequence[Edge]:
    """Step 3."""
    named = [f"n_{count}" for count in COUNTS]
    for name in named:
        lacking = [edge for edge in circuit.edges if getattr(edge, name) is None]
        if lacking and len(lacking) < len(circuit.edges):
            raise DataError(f"{lacking[0].place}: has no {name[2:]} where other edges have them")
    if any(getattr(edge, name) is not None for edge in circuit.edges[:1] for name in named):
        return circuit.edges
    if any(edge.prompts is not None for edge in circuit.edges):
        return circuit.edges
    return [edge._replace(n_visits=1) for edge in circuit.edges]


def _row(group: Sequence[Edge], one_prompt: bool) -> dict[str, Any]:
    first = group[0]
    n_prompts: int | None
    n_firings: int | None
    row = {
        name: getattr(first, name)
        for name in ("up_layer", "up_head", "component", "layer", "head", "side", "role")
    }
    if first.firing is None:
        n_prompts = None if first.prompts is None else len(first.prompts)
        return row | {
            "n_prompts": n_prompts if first.n_prompts is None else first.n_prompts,
            "n_firings": first.n_firings,
            "n_visits": first.n_visits,
            "total": first.total,
            "mean": first.mean,
            "effect": first.effect,
        }
    place = first.place
    n_visits = _sum((edge.n_visits for edge in group), place, "n_visits")
    n_prompts, n_firings = 1, len({edge.firing for edge in group})
    if one_prompt:
        total = _total((e.total if e.total is not None else e.mean for e in group), place)
    else:  # 4
        n_prompts, n_firings = _appeared(group)
        total = _total((edge.total for edge in group), place)
    mean = total / n_firings if total is not None and n_firings else None
    return row | {
        "n_prompts": n_prompts,
        "n_firings": n_firings,
        "n_visits": n_visits,
        "total": total,
        "mean": first.mean if mean is None and len(group) == 1 else mean,
    }


def _appeared(group: Sequence[Edge]) -> tuple[int | None, int | None]:
    """The distinct prompts and firings of edges into one head, if every edge names its prompts."""
    firings: set[tuple[str | None, str]] = set()
    for edge in group:
        if edge.prompts is None:
            return None, None
        firings |= {(edge.firing, prompt) for prompt in edge.prompts}
    return len({prompt for _, prompt in firings}), len(firings)


def _sum(counts: Iterable[int | None], place: str, name: str) -> int | None:
    """The sum, null where one is; DataError when it leaves the range of a BIGINT."""
    given = list(counts)
    total = sum(count for count in given if count is not None)
    if total >= 2**63:
        raise DataError(
            f"{place}: {name} of the edges between its heads add up to {total}, too many"
        )
    return None if None in given else total


def _total(parts: Iterable[float | None], place: str) -> float | None:
    """The sum, null where one is; DataError when it leaves the range of a DOUBLE."""
    given = list(parts)
    if None in given:
        return None
    try:
        return fsum(part for part in given if part is not None)
    except OverflowError as error:
        raise DataError(
            f"{place}: the weights of the edges between its heads add up to more than a number of "
            "64 bits holds"
        ) from error


def _roles(down: Node, side: Side | None) -> tuple[str | None, str | None]:
    """The role of the token written into, and that of the firing's other token."""
    if side == "dest":
        return down.role or down.dest, down.src
    if side == "src":
        return down.role or down.src, down.dest
    return down.role, None
