"""A circuit from JSON: EAP-IG's graphs, and lists of nodes and links.

1. EAP-IG: `edges` maps names such as `a5.h3->a9.h6<q>` to `score` and `in_graph`. The edges in the
   graph are taken; with none there, the heads that the nodes mark, where they do not mark all; else
   it must be said how many of the strongest edges are (`top`). What is read decides the side: q is
   dest, k is src, v has none. The score is total and mean. `input` is the component embed; edges
   that do not go into a head, or come from the logits, are left out, as the tables end at heads.
2. Nodes and links (circuit-tracer, networkx): a node is a head if it has `layer` and `head`, or by
   its name; `feature_type` tells what others are. A link has `source` and `target`, or `u` and `v`;
   `type`, `input`, `qkv` or `side` (s, d, q, k, v), `count`, `total`, `weight` or `score`. Links
   between the same heads at several positions or firings are one edge, of one prompt, or of those
   that they name (appeared.py).

A file that names no head, such as a graph of transcoder features alone, is refused.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from svt.errors import DataError
from svt.importing import appeared
from svt.importing.circuit import LARGEST, Circuit, Edge, Head, Node, edge_between, ends_of
from svt.importing.nodes import node_of, split_reads
from svt.importing.values import amount, number
from svt.words import Count

_OF_TYPE = {"embedding": "embed", "logit": "output", "mlp": "mlp", "bias": "bias"}
_INTO = {
    "mlp": "into MLPs", "output": "into the logits", "embed": "into the embedding",
    "pos_embed": "into the embedding", "bias": "into biases", "other": "into what is no head",
}  # fmt: skip


def read_json(file: Path, count: Count | None, top: int | None) -> Circuit:
    """The circuit in the file; DataError names the node or edge that is wrong.

    `count` is what a link's `count` counts: visits if it is not given.
    """
    try:
        tree = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise DataError(f"{file}, line {error.lineno}: is not JSON ({error.msg})") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error})") from error
    if isinstance(tree, dict):
        if isinstance(tree.get("edges"), dict):
            return _of_eap(file, tree["edges"], tree.get("nodes"), top)
        for links in ("links", "edges"):
            if isinstance(tree.get(links), list) and isinstance(tree.get("nodes"), list | dict):
                return _of_links(file, tree["nodes"], tree[links], count)
    raise DataError(
        f"{file}: is no circuit; it must have edges by name, as EAP-IG writes them, or lists of "
        "nodes and links"
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{name!r} stands twice in one object")
    return tree


def _of_eap(file: Path, given: Mapping[str, Any], nodes: Any, top: int | None) -> Circuit:
    """Step 1."""
    edges, left_out = [], Counter[str]()
    chosen = {
        name: told for name, told in given.items() if top is not None or _in(file, name, told)
    }
    for name, told in chosen.items():
        place = f"{file}, edge {name}"
        source, arrow, target = name.partition("->")
        if not arrow:
            raise DataError(f"{place}: is not named like a5.h3->a9.h6<q>")
        target, reads = split_reads(target)
        up, down = node_of(source, place), node_of(target, place)
        score = told.get("score") if isinstance(told, dict) else None
        weight = number(score, f"{place}: score")
        edge = edge_between(place, up, down, reads, mean=weight, total=weight)
        if edge is None:
            left_out["from the logits" if down.at else _INTO[down.component]] += 1
        else:
            edges.append(edge)
    ends = ends_of(edges)
    marked, all_marked = _marked(file, nodes)
    alone = marked - ends if top is None else set()
    if not chosen and (all_marked or not marked):
        raise DataError(
            f"{file}: none of its {len(given)} edges is in the graph; prune it first, or take the "
            "strongest with --top N"
        )
    return Circuit(
        "eap-ig json",
        tuple(edges),
        dict.fromkeys(sorted(alone)),
        left_out=tuple(f"{n} edges {what}" for what, n in sorted(left_out.items())),
    )


def _in(file: Path, name: str, told: Any) -> bool:
    if not isinstance(told, dict) or not isinstance(told.get("in_graph"), bool):
        raise DataError(f"{file}, edge {name}: has no in_graph that is true or false")
    return told["in_graph"]


def _marked(file: Path, nodes: Any) -> tuple[set[Head], bool]:
    """The heads that the nodes say are in the graph, and whether that is every head there."""
    if not isinstance(nodes, dict):
        return set(), False
    marked, heads = set(), set()
    for name, told in nodes.items():
        inside = told.get("in_graph") if isinstance(told, dict) else told
        node = node_of(name, f"{file}, node {name}")
        if node.at is not None:
            heads.add(node.at)
            marked |= {node.at} if inside is True else set()
    return marked, marked == heads


def _of_links(file: Path, nodes: Any, links: list[Any], count: Count | None) -> Circuit:
    """Step 2."""
    known, of_node = {}, {}
    for place, name, node, values in _nodes(file, nodes):
        known[name], of_node[name] = node, appeared.prompts_of(values, place)
    by_ends = any(of_node.values()) and not any(_carries(link) for link in links)
    kind = count or _counted(links, by_ends)
    if not any(node.at for node in known.values()):
        kinds = sorted({told for told in map(_type, _each(nodes)) if told})
        of = f" (its nodes are {', '.join(kinds)})" if kinds else ""
        raise DataError(f"{file}: has no attention head among its nodes{of}; svt holds heads alone")
    several = any(map(appeared.of_several, (*_each(nodes), *filter(_is_object, links))))
    edges, left_out = [], 0
    for i, link in enumerate(links):
        place = f"{file}, link {i}"
        if not isinstance(link, dict):
            raise DataError(f"{place}: must be an object with source and target")
        source, target = _end(place, link, "source", "u"), _end(place, link, "target", "v")
        for name in (source, target):
            if name not in known:
                raise DataError(f"{place}: its node {name} is not among the nodes")
        reads = next((link[key] for key in ("qkv", "input", "side", "type") if link.get(key)), None)
        if not isinstance(reads, str | None):
            raise DataError(f"{place}: {reads!r} is no side; it must be s, d, q, k or v")
        weight = link.get("weight", link.get("score"))
        prompts = appeared.prompts_of(link, place)
        if by_ends:
            prompts = appeared.common(of_node[source], of_node[target])
        edge = edge_between(
            place,
            known[source],
            known[target],
            reads,
            **{f"n_{kind}": amount(link.get("count"), f"{place}: count")},
            mean=number(weight, f"{place}: weight"),
            total=number(link.get("total"), f"{place}: total"),
            prompts=prompts,
        )
        if edge is None:
            left_out += 1
        else:
            edges.append(edge if several else _with_total(edge))
    ends = ends_of(edges)
    heads = {node.at for node in known.values() if node.at is not None}
    return Circuit(
        "json of nodes and links",
        tuple(edges),
        dict.fromkeys(sorted(heads - ends)),
        count=kind,
        left_out=(f"{left_out} links from or into what is no part of a head",) if left_out else (),
        one_prompt=not several,
        notes=(appeared.NOTE,) if by_ends else (),
    )


def _counted(links: list[Any], by_ends: bool) -> Count:
    """Return what is counted where it is not given: prompts, where only these are known."""
    if any(_is_object(link) and link.get("count") for link in links):
        return "visits"
    return "prompts" if by_ends or any(map(_carries, links)) else "visits"


def _carries(link: Any) -> bool:
    return _is_object(link) and appeared.KEY in link


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _nodes(file: Path, nodes: Any) -> Iterator[tuple[str, str, Node, Mapping[str, Any]]]:
    """(its place, its name, the node, its values) of each."""
    seen = set()
    for i, told in enumerate(_each(nodes)):
        place = f"{file}, node {i}"
        if not isinstance(told, dict):
            raise DataError(f"{place}: must be an object")
        name = next((told[key] for key in ("id", "node_id", "name") if key in told), None)
        if not isinstance(name, str | list | int):
            raise DataError(f"{place}: has no id, node_id or name")
        if str(name) in seen:
            raise DataError(f"{place}: node {name} stands there twice")
        seen.add(str(name))
        yield place, str(name), _node(place, name, told), told


def _each(nodes: Any) -> list[Any]:
    if isinstance(nodes, dict):
        return [{"id": name, **(t if isinstance(t, dict) else {})} for name, t in nodes.items()]
    return list(nodes)


def _node(place: str, name: Any, told: Mapping[str, Any]) -> Node:
    fine = f"{name}" if "ctx_idx" in told else None
    if "layer" in told and "head" in told:
        layer, head = (_small(place, told, key) for key in ("layer", "head"))
        return Node("head", layer, head, fine=fine)
    kind = _type(told)
    if kind is None or "head" in kind:
        return node_of(name, place)
    component = _OF_TYPE.get(kind, "other")
    layer_of = _small(place, told, "layer") if component in ("mlp", "bias") else None
    return Node(component, layer_of, fine=fine)


def _type(told: Any) -> str | None:
    kind = told.get("feature_type") if isinstance(told, dict) else None
    return kind if isinstance(kind, str) else None


def _small(place: str, told: Mapping[str, Any], name: str) -> int:
    text = str(told.get(name))
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= LARGEST):
        raise DataError(f"{place}: {name} is {text}; it must be a count from 0 to {LARGEST}")
    return int(text)


def _end(place: str, link: Mapping[str, Any], *names: str) -> str:
    for name in names:
        if name in link:
            return str(link[name])
    raise DataError(f"{place}: has no {' or '.join(names)}")


def _with_total(edge: Edge) -> Edge:
    """A single weight is its own sum."""
    return edge if edge.total is not None else edge._replace(total=edge.mean)
