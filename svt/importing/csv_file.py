"""Read a circuit from CSV: comment lines that begin with #, a header, and rows of two kinds.

1. With the columns up_layer, up_head, layer, head, or source and target (`4.1`, `a4.h1`, or
   `a4.h1<q>` with the target's input), a row is an edge. Optional columns are `component`; `side`
   (dest, d or q; src, s or k; v; or empty); `role`, or `dest_role` and `src_role`; n_prompts,
   n_firings, n_visits, or `count` for one of them; `total`, `effect`, and `mean`, `weight` or
   `score`. `svt-sql RUN shown_edges --format csv` writes such a file.
2. With only layer and head, and optionally `class`, a row is a head. The circuit has no edges.
"""

from collections.abc import Mapping
from pathlib import Path

from svt.errors import DataError
from svt.importing.circuit import Circuit, Edge, Head, Node, make_edge
from svt.importing.nodes import parse_node, split_reads
from svt.importing.values import parse_index, parse_measures
from svt.query.csv_rows import read_rows
from svt.words import COMPONENTS, COUNTS, Count

_MEANS = ("mean", "weight", "score")


def read_csv(file: Path, count: Count | None) -> Circuit:
    """Return the circuit in the file; a DataError names the row that is wrong.

    `count` is what the column `count` counts; None for prompts.
    """
    rows = read_rows(file, ())
    columns = set(rows[0][1]) if rows else set()
    if not rows:
        raise DataError(f"{file}: has no row below its header; add one for each edge or head")
    has_names = {"source", "target"} <= columns
    if not has_names and not {"layer", "head"} <= columns:
        raise DataError(
            f"{file}: the header must have layer,head for heads, up_layer,up_head,layer,head for "
            "edges, or source,target"
        )
    if not has_names and not {"up_layer", "up_head"} <= columns:
        return Circuit("csv of heads", (), _read_heads(file, rows))
    kind = count or _default_count(columns)
    edges = [_read_edge(f"{file}, row {at}", values, kind, has_names) for at, values in rows]
    return Circuit("csv of edges", tuple(edges), {}, count=kind)


def _default_count(columns: set[str]) -> Count:
    """Return the first kind with a column; visits without one, as each edge then has one visit."""
    if "count" in columns:
        return "prompts"
    return next((count for count in COUNTS if f"n_{count}" in columns), "visits")


def _read_edge(place: str, values: Mapping[str, str], kind: Count, has_names: bool) -> Edge:
    side = values.get("side") or None
    if has_names:
        target, reads = split_reads(values["target"])
        up = parse_node(values["source"], f"{place}: source")
        down = parse_node(target, f"{place}: target")
        if side is not None and reads not in (None, side):
            raise DataError(f"{place}: the target reads {reads}, but side is {side}; keep one")
        side = side or reads
    else:
        up = _read_upstream(place, values)
        down = Node("head", *_read_head(place, values, "layer", "head"))
    dest, src = values.get("dest_role") or None, values.get("src_role") or None
    dest_first = side in ("dest", "d", "q")
    own, other = (dest, src) if dest_first else (src, dest)
    weight = next((name for name in _MEANS if values.get(name)), "mean")
    edge = make_edge(
        place,
        up,
        down,
        side,
        role=values.get("role") or (own if side else None),
        other_role=other if side else None,
        **parse_measures(values, place, kind, weight),
    )
    if edge is None:
        raise DataError(f"{place}: an edge goes from a head, mlp, embed or bias into a head")
    return edge


def _read_upstream(place: str, values: Mapping[str, str]) -> Node:
    component = values.get("component") or "head"
    if component not in COMPONENTS:
        raise DataError(
            f"{place}: component is {component!r}; it must be one of {', '.join(COMPONENTS)}"
        )
    if component == "head":
        return Node("head", *_read_head(place, values, "up_layer", "up_head"))
    if component.endswith("embed"):
        return Node(component)
    return Node(component, parse_index(values["up_layer"], f"{place}: up_layer"))


def _read_heads(file: Path, rows: list[tuple[int, dict[str, str]]]) -> dict[Head, str | None]:
    """Return the heads and their classes (step 2)."""
    heads: dict[Head, str | None] = {}
    for at, values in rows:
        place = f"{file}, row {at}"
        head = _read_head(place, values, "layer", "head")
        if head in heads:
            raise DataError(f"{place}: head {head[0]}.{head[1]} is in an earlier row too")
        heads[head] = values.get("class") or None
    return heads


def _read_head(place: str, values: Mapping[str, str], *names: str) -> Head:
    layer, head = (parse_index(values[name], f"{place}: {name}") for name in names)
    return layer, head
