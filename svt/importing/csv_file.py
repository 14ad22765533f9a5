"""A circuit from CSV: lines that begin with # are remarks, then a header, then a row each.

1. With the columns up_layer, up_head, layer, head, or source and target (`4.1`, `a4.h1`, and
   `a4.h1<q>` for what the target reads), a row is an edge. Further columns may be `component`;
   `side` (dest, d or q; src, s or k; v; or nothing); `role`, or `dest_role` and `src_role`;
   n_prompts, n_firings, n_visits, or `count` for one of them; `total`, `effect`, and `mean`,
   `weight` or `score`. So the rows of `svt-sql RUN shown_edges --format csv` are such a file.
2. With layer and head alone, and perhaps `class`, a row is a head. Such a circuit has no edges.
"""

from collections.abc import Mapping
from pathlib import Path

from svt.errors import DataError
from svt.importing.circuit import LARGEST, Circuit, Edge, Head, Node, edge_between
from svt.importing.nodes import node_of, split_reads
from svt.importing.values import amount, number
from svt.query.csv_rows import read_rows
from svt.words import COMPONENTS, COUNTS, Count

_COUNTS = tuple(f"n_{name}" for name in COUNTS)
_MEANS = ("mean", "weight", "score")


def read_csv(file: Path, count: Count | None) -> Circuit:
    """The circuit in the file; DataError names the row that is wrong.

    `count` is what the column of that name counts: prompts if it is not given.
    """
    rows = read_rows(file, ())
    columns = set(rows[0][1]) if rows else set()
    if not rows:
        raise DataError(f"{file}: has no row below its header; add one for each edge or head")
    named = {"source", "target"} <= columns
    if not named and not {"layer", "head"} <= columns:
        raise DataError(
            f"{file}: the header must have layer,head for heads, up_layer,up_head,layer,head for "
            "edges, or source,target"
        )
    if not named and not {"up_layer", "up_head"} <= columns:
        return Circuit("csv of heads", (), _heads(file, rows))
    kind = count or _fitting(columns)
    edges = [_edge(f"{file}, row {at}", values, kind, named) for at, values in rows]
    return Circuit("csv of edges", tuple(edges), {}, count=kind)


def _fitting(columns: set[str]) -> Count:
    """The first kind that is told; visits where none is, as then an edge was visited once."""
    if "count" in columns:
        return "prompts"
    return next((count for count in COUNTS if f"n_{count}" in columns), "visits")


def _edge(place: str, values: Mapping[str, str], kind: Count, named: bool) -> Edge:
    side = values.get("side") or None
    if named:
        target, reads = split_reads(values["target"])
        up, down = (
            node_of(values["source"], f"{place}: source"),
            node_of(target, f"{place}: target"),
        )
        if side is not None and reads not in (None, side):
            raise DataError(f"{place}: the target reads {reads}, but side is {side}; keep one")
        side = side or reads
    else:
        up, down = _upstream(place, values), Node("head", *_head(place, values, "layer", "head"))
    dest, src = values.get("dest_role") or None, values.get("src_role") or None
    dest_first = side in ("dest", "d", "q")
    own, other = (dest, src) if dest_first else (src, dest)
    named_counts = [name for name in _COUNTS if values.get(name)]
    counts = {name: amount(values[name], f"{place}: {name}") for name in named_counts}
    if values.get("count"):
        counts[f"n_{kind}"] = amount(values["count"], f"{place}: count")
    mean = next((name for name in _MEANS if values.get(name)), "mean")
    edge = edge_between(
        place,
        up,
        down,
        side,
        role=values.get("role") or (own if side else None),
        other_role=other if side else None,
        **counts,
        total=number(values.get("total"), f"{place}: total"),
        mean=number(values.get(mean), f"{place}: {mean}"),
        effect=number(values.get("effect"), f"{place}: effect"),
    )
    if edge is None:
        raise DataError(f"{place}: an edge goes from a head, mlp, embed or bias into a head")
    return edge


def _upstream(place: str, values: Mapping[str, str]) -> Node:
    component = values.get("component") or "head"
    if component not in COMPONENTS:
        raise DataError(
            f"{place}: component is {component!r}; it must be one of {', '.join(COMPONENTS)}"
        )
    if component == "head":
        return Node("head", *_head(place, values, "up_layer", "up_head"))
    if component.endswith("embed"):
        return Node(component)
    return Node(component, _small(place, values, "up_layer"))


def _heads(file: Path, rows: list[tuple[int, dict[str, str]]]) -> dict[Head, str | None]:
    """Step 2."""
    heads: dict[Head, str | None] = {}
    for at, values in rows:
        place = f"{file}, row {at}"
        head = _head(place, values, "layer", "head")
        if head in heads:
            raise DataError(f"{place}: head {head[0]}.{head[1]} stands in an earlier row")
        heads[head] = values.get("class") or None
    return heads


def _head(place: str, values: Mapping[str, str], layer: str, head: str) -> Head:
    return _small(place, values, layer), _small(place, values, head)


def _small(place: str, values: Mapping[str, str], name: str) -> int:
    text = values[name]
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= LARGEST):
        raise DataError(f"{place}: {name} is {text!r}; it must be a count from 0 to {LARGEST}")
    return int(text)
