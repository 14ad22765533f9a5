"""Read a circuit from JSON: a graph of EAP-IG, or lists of nodes and links.

1. EAP-IG: `edges` maps names such as `a5.h3->a9.h6<q>` to `score` and `in_graph`. The circuit has
   the edges with in_graph; without any, the heads with in_graph, unless all heads have it; with
   `top`, all edges, to be cut to the strongest. The input determines the side: q is dest, k is src,
   v has none. The score is total and mean. `input` is the component embed. Edges that do not go
   into a head, or come from the logits, are left out, as the tables hold edges into heads only.
2. Nodes and links (circuit-tracer, networkx): a node is a head if it has `layer` and `head`, or by
   its name; `feature_type` is the kind of the others. A link has `source` and `target`, or `u` and
   `v`; `type`, `input`, `qkv` or `side` (s, d, q, k, v), `count`, `total`, `weight` or `score`.
   Links between the same heads at other positions or firings are merged. They belong to one prompt,
   or to those in which they appeared (appeared.py).

A file without heads, such as a graph of transcoder features, is refused.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from svt.dataset.table import unique_keys
from svt.errors import DataError
from svt.importing import appeared
from svt.importing.circuit import Circuit, Head, Node, collect_heads, make_edge
from svt.importing.links import Link, NodeEntry, make_linked_circuit
from svt.importing.nodes import parse_node, split_reads
from svt.importing.values import parse_index, parse_number
from svt.words import Count

_COMPONENTS = {"embedding": "embed", "logit": "output", "mlp": "mlp", "bias": "bias"}
_ENDS = ("source", "u"), ("target", "v")
_LINK_VALUES = ("count", "total", appeared.KEY, *appeared.COUNTS)
_LEFT_OUT = {
    "mlp": "into MLPs", "output": "into the logits", "embed": "into the embedding",
    "pos_embed": "into the embedding", "bias": "into biases",
    "other": "into nodes that are no heads",
}  # fmt: skip


def read_json(file: Path, count: Count | None, top: int | None) -> Circuit:
    """Return the circuit in the file; a DataError names the node or edge that is wrong.

    `count` is what a link's `count` counts, None for visits; `top` is not None where the strongest
    edges will be selected.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        tree = json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        raise DataError(f"{file}, line {error.lineno}: is not JSON ({error.msg})") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error})") from error
    if isinstance(tree, dict):
        if isinstance(tree.get("edges"), dict):
            return _read_eap(file, tree["edges"], tree.get("nodes"), top)
        for links in ("links", "edges"):
            if isinstance(tree.get(links), list) and isinstance(tree.get("nodes"), list | dict):
                return _read_links(file, tree["nodes"], tree[links], count)
    raise DataError(
        f"{file}: is no circuit; it must have edges by name, as EAP-IG writes them, or lists of "
        "nodes and links"
    )


def _read_eap(file: Path, graph: Mapping[str, Any], nodes: Any, top: int | None) -> Circuit:
    """Return the circuit of a graph of EAP-IG (step 1)."""
    edges, left_out = [], Counter[str]()
    selected = {n: e for n, e in graph.items() if top is not None or _is_in_graph(file, n, e)}
    for name, entry in selected.items():
        place = f"{file}, edge {name}"
        source, arrow, target = name.partition("->")
        if not arrow:
            raise DataError(f"{place}: is not named like a5.h3->a9.h6<q>")
        target, reads = split_reads(target)
        up, down = parse_node(source, place), parse_node(target, place)
        score = entry.get("score") if isinstance(entry, dict) else None
        weight = parse_number(score, f"{place}: score")
        edge = make_edge(place, up, down, reads, mean=weight, total=weight)
        if edge is None:
            left_out["from the logits" if down.at else _LEFT_OUT[down.component]] += 1
        else:
            edges.append(edge)
    ends = collect_heads(edges)
    marked, all_marked = _read_marked_heads(file, nodes)
    alone = marked - ends if top is None else set()
    if not selected and (all_marked or not marked):
        raise DataError(
            f"{file}: none of its {len(graph)} edges is in the graph; prune it first, or select "
            "the strongest with --top N"
        )
    return Circuit(
        "eap-ig json",
        tuple(edges),
        dict.fromkeys(sorted(alone)),
        left_out=tuple(f"{n} edges {what}" for what, n in sorted(left_out.items())),
    )


def _is_in_graph(file: Path, name: str, entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("in_graph"), bool):
        raise DataError(f"{file}, edge {name}: has no in_graph that is true or false")
    return entry["in_graph"]


def _read_marked_heads(file: Path, nodes: Any) -> tuple[set[Head], bool]:
    """Return the heads whose nodes are in the graph, and whether these are all heads."""
    if not isinstance(nodes, dict):
        return set(), False
    marked, heads = set(), set()
    for name, entry in nodes.items():
        inside = entry.get("in_graph") if isinstance(entry, dict) else entry
        node = parse_node(name, f"{file}, node {name}")
        if node.at is not None:
            heads.add(node.at)
            marked |= {node.at} if inside is True else set()
    return marked, marked == heads


def _read_links(file: Path, nodes: Any, links: list[Any], count: Count | None) -> Circuit:
    """Return the circuit of lists of nodes and links (step 2)."""
    known = _read_nodes(file, nodes)
    if not any(entry.node.at for entry in known.values()):
        kinds = sorted({kind for entry in known.values() if (kind := _feature_type(entry.values))})
        remark = f" (its nodes are {', '.join(kinds)})" if kinds else ""
        raise DataError(
            f"{file}: has no attention head among its nodes{remark}; svt reads circuits of heads"
        )
    read = [_read_link(f"{file}, link {i}", link, known) for i, link in enumerate(links)]
    circuit = make_linked_circuit("json of nodes and links", known, read, count)
    if not circuit.one_prompt:
        return circuit
    edges = (e if e.total is not None else e._replace(total=e.mean) for e in circuit.edges)
    return replace(circuit, edges=tuple(edges))


def _read_link(place: str, link: Any, nodes: Mapping[str, NodeEntry]) -> Link:
    if not isinstance(link, dict):
        raise DataError(f"{place}: must be an object with source and target")
    source, target = (_read_end(place, link, *names) for names in _ENDS)
    for name in (source, target):
        if name not in nodes:
            raise DataError(f"{place}: its node {name} is not among the nodes")
    reads = next((link[key] for key in ("qkv", "input", "side", "type") if link.get(key)), None)
    if not isinstance(reads, str | None):
        raise DataError(f"{place}: {reads!r} is no side; it must be s, d, q, k or v")
    values = {name: link[name] for name in _LINK_VALUES if name in link}
    weight = {"weight": link.get("weight", link.get("score"))}
    return Link(place, source, target, reads, values | weight)


def _read_nodes(file: Path, nodes: Any) -> dict[str, NodeEntry]:
    entries: dict[str, NodeEntry] = {}
    for i, values in enumerate(_list_nodes(nodes)):
        place = f"{file}, node {i}"
        if not isinstance(values, dict):
            raise DataError(f"{place}: must be an object")
        name = next((values[key] for key in ("id", "node_id", "name") if key in values), None)
        if not isinstance(name, str | list | int):
            raise DataError(f"{place}: has no id, node_id or name")
        if str(name) in entries:
            raise DataError(f"{place}: node {name} is there twice")
        entries[str(name)] = NodeEntry(place, _read_node(place, name, values), values)
    return entries


def _list_nodes(nodes: Any) -> list[Any]:
    if isinstance(nodes, dict):
        return [{"id": name, **(t if isinstance(t, dict) else {})} for name, t in nodes.items()]
    return list(nodes)


def _read_node(place: str, name: Any, values: Mapping[str, Any]) -> Node:
    fine = f"{name}" if "ctx_idx" in values else None
    if "layer" in values and "head" in values:
        layer, head = (parse_index(values[key], f"{place}: {key}") for key in ("layer", "head"))
        return Node("head", layer, head, fine=fine)
    kind = _feature_type(values)
    if kind is None or "head" in kind:
        return parse_node(name, place)
    component = _COMPONENTS.get(kind, "other")
    if component not in ("mlp", "bias"):
        return Node(component, fine=fine)
    return Node(component, parse_index(values.get("layer"), f"{place}: layer"), fine=fine)


def _feature_type(values: Mapping[str, Any]) -> str | None:
    kind = values.get("feature_type")
    return kind if isinstance(kind, str) else None


def _read_end(place: str, link: Mapping[str, Any], *names: str) -> str:
    for name in names:
        if name in link:
            return str(link[name])
    raise DataError(f"{place}: has no {' or '.join(names)}")
