"""A circuit read from a file: edges into heads, heads without edges, and a count of the others.

1. Readers make an `Edge` from each edge of the file that goes from a component of svt into a head.
   `Circuit.left_out` counts the others.
2. `merge_edges` aggregates them to the grain of the table graph_edges, [upstream, downstream, side,
   token role]. Where the file's nodes are finer than heads (firings or positions), edges between
   the same heads are merged; otherwise a duplicate is refused.
3. Either every edge has a count or none has. Without counts, each edge has one visit.
4. In a file over many prompts, the prompts and firings of an edge are counted from the prompts in
   which it appeared (svt/importing/appeared.py), null where these are unknown. Its weight is then
   not used as a total.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import fsum
from typing import Any, NamedTuple

from svt.errors import DataError
from svt.importing.values import COUNT_NAMES
from svt.words import Count, Side

Head = tuple[int, int]


class Node(NamedTuple):
    """An end of an edge.

    `component` is one of svt's components, `output` or `other`. `dest` and `src` are the tokens of
    a firing, `role` the token of a node that names only one. `fine` identifies a node that is finer
    than a head.
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
        """The (layer, head) of a head, else None."""
        if self.component != "head" or self.layer is None or self.head is None:
            return None
        return self.layer, self.head


class Edge(NamedTuple):
    """One edge of the file, with its `place` there; None where the file has no value."""

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
    """The node of the downstream head, where nodes are finer than heads."""
    prompts: frozenset[str] | None = None
    """The prompts in which the edge appeared."""

    @property
    def key(self) -> tuple[Any, ...]:
        """The key by which edges are merged into a row of graph_edges."""
        return (
            self.component, self.up_layer, self.up_head, self.layer, self.head, self.side,
            self.role, None if self.firing is not None else self.input,
        )  # fmt: skip


@dataclass(frozen=True)
class Circuit:
    """The contents of a file. `count` is the kind of count that thresholds apply to."""

    format: str
    edges: tuple[Edge, ...]
    alone: dict[Head, str | None]
    """Heads that no edge starts from or goes into, with their class."""
    roots: tuple[Head, ...] = ()
    count: Count = "visits"
    left_out: tuple[str, ...] = ()
    one_prompt: bool = True
    """False where the file covers many prompts."""
    notes: tuple[str, ...] = ()
    """Remarks on how counts were derived."""

    @cached_property
    def heads(self) -> set[Head]:
        return collect_heads(self.edges) | self.alone.keys()


def collect_heads(edges: Iterable[Edge]) -> set[Head]:
    """Return the heads that are an end of an edge."""
    pairs = {(e.component, e.up_layer, e.up_head, e.layer, e.head) for e in edges}
    up = {(layer, head) for kind, layer, head, *_ in pairs if kind == "head"}
    return up | {(layer, head) for *_, layer, head in pairs}  # type: ignore[return-value]


def make_edge(place: str, up: Node, down: Node, reads: str | None, /, **values: Any) -> Edge | None:
    """Return the edge from `up` to `down`, None when the tables cannot hold it.

    `reads` is the input of the downstream head: q or d, k or s, v; None where it is unknown.
    DataError when the edge does not go to a higher layer.
    """
    if down.at is None or up.component in ("output", "other"):
        return None
    layer, head = down.at
    if up.layer is not None and up.layer >= layer:
        raise DataError(
            f"{place}: layer {up.layer} cannot write for layer {layer}; an edge goes from a lower "
            "layer to a higher one"
        )
    side = parse_side(place, reads)
    role, other_role = _split_roles(down, side)
    known = {name: value for name, value in values.items() if value is not None}
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
        **{"role": role, "other_role": other_role} | known,
    )


def parse_side(place: str, reads: str | None) -> Side | None:
    """Return dest for an input of the query, src for the key, None for the value or no input."""
    sides: dict[str | None, Side | None] = {
        None: None, "v": None, "q": "dest", "d": "dest", "dest": "dest", "k": "src", "s": "src",
        "src": "src",
    }  # fmt: skip
    if reads not in sides:
        raise DataError(f"{place}: {reads!r} is no side; it must be s or k (source), d or q, or v")
    return sides[reads]


def keep_strongest(circuit: Circuit, n: int) -> Circuit:
    """Return the circuit with only the `n` edges of the largest absolute weight.

    Ties are broken by the order in the file, and `left_out` reports them. DataError for an edge
    without a weight, and where all edges weigh 0.
    """
    for edge in circuit.edges:
        if edge.mean is None:
            raise DataError(f"{edge.place}: has no weight, so the edges cannot be ranked")
    ranked = sorted(circuit.edges, key=lambda edge: -abs(edge.mean or 0.0))
    if n >= len(ranked):
        return circuit
    sizes = [abs(edge.mean or 0.0) for edge in ranked]
    left_out = f"all but the {n} strongest of {len(ranked)} edges"
    if sizes[0] == 0:
        raise DataError(
            f"{circuit.edges[0].place}: weighs 0, as all {len(ranked)} edges do, so they cannot be "
            "ranked; leave --top out, or pass a file with a score for each edge"
        )
    if sizes[n] == sizes[n - 1]:
        n_taken = sizes[:n].count(sizes[n])
        left_out += (
            f"; {sizes.count(sizes[n])} edges weigh {sizes[n]:g}, of which the first {n_taken} in "
            "the file were taken"
        )
    return replace(circuit, edges=tuple(ranked[:n]), left_out=(*circuit.left_out, left_out))


def merge_edges(circuit: Circuit) -> list[dict[str, Any]]:
    """Return the rows of graph_edges, in the order of the file (steps 2 and 3)."""
    groups: dict[tuple[Any, ...], list[Edge]] = {}
    for edge in _fill_counts(circuit):
        group = groups.setdefault(edge.key, [])
        if group and edge.firing is None:
            raise DataError(f"{edge.place}: duplicates the edge in {group[0].place}")
        group.append(edge)
    return [_merge(group, circuit.one_prompt) for group in groups.values()]


def _fill_counts(circuit: Circuit) -> Sequence[Edge]:
    """Return the edges with a count each; DataError when only some have one (step 3)."""
    for name in COUNT_NAMES:
        lacking = [edge for edge in circuit.edges if getattr(edge, name) is None]
        if lacking and len(lacking) < len(circuit.edges):
            raise DataError(f"{lacking[0].place}: has no {name[2:]} where other edges have them")
    known = (getattr(edge, name) for edge in circuit.edges for name in (*COUNT_NAMES, "prompts"))
    if any(value is not None for value in known):
        return circuit.edges
    return [edge._replace(n_visits=1) for edge in circuit.edges]


def _merge(group: Sequence[Edge], one_prompt: bool) -> dict[str, Any]:
    first = group[0]
    n_prompts: int | None
    n_firings: int | None
    names = ("up_layer", "up_head", "component", "layer", "head", "side", "role")
    row = {name: getattr(first, name) for name in names}
    if first.firing is None:
        n_prompts = None if first.prompts is None else len(first.prompts)
        measures = ("n_firings", "n_visits", "total", "mean", "effect")
        return {
            **row,
            "n_prompts": n_prompts if first.n_prompts is None else first.n_prompts,
            **{name: getattr(first, name) for name in measures},
        }
    place = first.place
    n_visits = _add_visits((edge.n_visits for edge in group), place)
    n_prompts, n_firings = 1, len({edge.firing for edge in group})
    if one_prompt:
        total = _add_weights((e.total if e.total is not None else e.mean for e in group), place)
    else:  # 4
        n_prompts, n_firings = _count_appearances(group)
        total = _add_weights((edge.total for edge in group), place)
    mean = total / n_firings if total is not None and n_firings else None
    return {
        **row,
        "n_prompts": n_prompts,
        "n_firings": n_firings,
        "n_visits": n_visits,
        "total": total,
        "mean": first.mean if mean is None and len(group) == 1 else mean,
    }


def _count_appearances(group: Sequence[Edge]) -> tuple[int | None, int | None]:
    """Return the numbers of distinct prompts and firings of a group, None where one is unknown."""
    firings: set[tuple[str | None, str]] = set()
    for edge in group:
        if edge.prompts is None:
            return None, None
        firings |= {(edge.firing, prompt) for prompt in edge.prompts}
    return len({prompt for _, prompt in firings}), len(firings)


def _add_visits(counts: Iterable[int | None], place: str) -> int | None:
    """Return the sum, None where a count is; DataError when it leaves the range of a BIGINT."""
    terms = list(counts)
    total = sum(count for count in terms if count is not None)
    if total >= 2**63:
        raise DataError(
            f"{place}: n_visits of the edges between its heads add up to {total}, too many"
        )
    return None if None in terms else total


def _add_weights(parts: Iterable[float | None], place: str) -> float | None:
    """Return the sum, None where a part is; DataError when it leaves the range of a DOUBLE."""
    terms = list(parts)
    if None in terms:
        return None
    try:
        return fsum(part for part in terms if part is not None)
    except OverflowError as error:
        raise DataError(
            f"{place}: the weights of the edges between its heads add up to more than a number of "
            "64 bits holds"
        ) from error


def _split_roles(down: Node, side: Side | None) -> tuple[str | None, str | None]:
    """Return the role of the token that the edge writes into, and that of the firing's other."""
    if side == "dest":
        return down.role or down.dest, down.src
    if side == "src":
        return down.role or down.src, down.dest
    return down.role, None
