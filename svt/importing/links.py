"""Make a circuit of nodes and links, the content of GraphML and JSON files.

1. The value `count` of a link counts visits, unless the reader names another kind; prompts, where a
   file without counts has the prompts that its nodes or links appeared in.
2. A link has the prompts that it carries or, where only nodes carry them, those that its two ends
   share (appeared.py).
3. Links that the tables cannot hold are counted; heads that are no end of an edge are kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from svt.importing import appeared
from svt.importing.circuit import Circuit, Head, Node, collect_heads, make_edge
from svt.importing.values import parse_measures
from svt.words import Count

Values = Mapping[str, Any]


class NodeEntry(NamedTuple):
    """A node of the file, with its place and values there."""

    place: str
    node: Node
    values: Values


class Link(NamedTuple):
    """A link between two nodes by their names; `reads` as in `make_edge`."""

    place: str
    source: str
    target: str
    reads: str | None
    values: Values
    roles: Mapping[str, str | None] = {}
    """The fields `role` and `other_role` of the edge."""


def make_linked_circuit(
    form: str,
    nodes: Mapping[str, NodeEntry],
    links: Sequence[Link],
    count: Count | None,
    roots: tuple[Head, ...] = (),
) -> Circuit:
    """Return the circuit of a file; DataError for an invalid value or edge.

    `count` is what `count` counts, None for the default of step 1.
    """
    prompts = {
        name: appeared.parse_prompts(entry.values, entry.place) for name, entry in nodes.items()
    }
    all_values = [entry.values for entry in nodes.values()] + [link.values for link in links]
    in_links = any(appeared.KEY in link.values for link in links)
    by_ends = any(prompts.values()) and not in_links
    has_counts = any(link.values.get("count") for link in links)
    kind = count or ("prompts" if (by_ends or in_links) and not has_counts else "visits")  # 1
    edges = []
    for place, source, target, reads, values, roles in links:
        own = appeared.parse_prompts(values, place)
        edge = make_edge(
            place,
            nodes[source].node,
            nodes[target].node,
            reads,
            prompts=appeared.share_prompts(prompts[source], prompts[target]) if by_ends else own,
            **roles,
            **parse_measures(values, place, kind),
        )
        if edge is not None:
            edges.append(edge)
    heads = {entry.node.at for entry in nodes.values() if entry.node.at is not None}
    n_left_out = len(links) - len(edges)
    left_out = f"{n_left_out} edges from or into nodes that are no heads"
    return Circuit(
        form,
        tuple(edges),
        dict.fromkeys(sorted(heads - collect_heads(edges))),  # 3
        roots,
        kind,
        (left_out,) * bool(n_left_out),
        one_prompt=not any(map(appeared.covers_prompts, all_values)),
        notes=(appeared.NOTE,) if by_ends else (),
    )
