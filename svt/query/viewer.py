"""The format that viewers of attribution graphs read: nodes, links and what is selected at first.

circuit-tracer and Neuronpedia draw graphs of this format (schema version 1).

1. Nodes. A head at a token is `LAYER_HEAD_POSITION`, of the type `attention head`. There are also
   writers that are no heads, every token as an embedding, and the answer as the logit. `feature` is
   the pairing number of layer and head: viewers tell nodes apart by layer, feature and position.
2. Links. An edge goes from the writer, at the token that it writes to, to the head, at the token
   that it attends from. Viewers know one link between two nodes: its weight is the sum over the
   edges between them, which stand in its `parts`.
3. Influence. From the answer, or from the roots without one, each node passes its influence down
   in proportion to the absolute weights of its links. `influence` is the cumulative share of a
   node, the most influential first: viewers hide the nodes above a threshold.
4. At first the answer, the roots and the heads with a named role are selected, the latter grouped
   by role.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from svt.version import VERSION

Document = dict[str, Any]
Node = dict[str, Any]

HEAD, TOKEN, LOGIT = "attention head", "embedding", "logit"
_KINDS = {"head": HEAD, "pos_embed": "position embedding"}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")
_CONTROL = str.maketrans({"\n": "⏎", "\r": "↵", "\t": "→"})


@dataclass
class Graph:
    """A graph over columns, which are tokens or roles, of a model of this shape."""

    n_layers: int
    n_heads: int
    nodes: dict[str, Node] = field(default_factory=dict)
    links: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    pinned: list[str] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add_tokens(self, token_ids: Sequence[int]) -> None:
        """Add an embedding in every column, from the first."""
        for pos, token_id in enumerate(token_ids):
            self._add(f"E_{token_id}_{pos}", "E", pos, TOKEN, pos)

    def add_writer(self, component: str, layer: int | None, head: int | None, pos: int) -> str:
        """Return the name of a head or other writer in a column; it is added once (step 1)."""
        if component == "embed":
            return next(
                name
                for name, node in self.nodes.items()
                if node["feature_type"] == TOKEN and node["ctx_idx"] == pos
            )
        if layer is None:
            return self._add(f"P_0_{pos}", "E", -1 - pos, _KINDS[component], pos)
        index = {"mlp": self.n_heads, "bias": self.n_heads + 1}.get(component, head)
        assert index is not None
        name = f"{layer}_{component if head is None else head}_{pos}"
        feature = (layer + index) * (layer + index + 1) // 2 + index
        self._add(name, str(layer), feature, _KINDS.get(component, component), pos)
        if head is not None and "head" not in self.nodes[name]:
            self.nodes[name] |= {"head": head, "clerp": f"{layer}.{head}"}
        return name

    def add_answer(self, pos: int, token_id: int, text: str, probability: float) -> str:
        """Return the name of the answer, which is added and selected.

        Viewers read the token and its probability out of the label.
        """
        layer = self.n_layers + 1
        name = self._add(f"{layer}_{token_id}_{pos}", str(layer), token_id, LOGIT, pos)
        self.nodes[name] |= {
            "clerp": f'Output "{_line(text)}" (p={probability:.3f})',
            "token_prob": probability,
            "is_target_logit": True,
        }
        self.pinned.append(name)
        return name

    def heads(self) -> list[Node]:
        return [node for node in self.nodes.values() if node["feature_type"] == HEAD]

    def link(self, source: str, target: str, weight: float, part: Mapping[str, Any]) -> None:
        """Add an edge to the link from `source` to `target` (step 2)."""
        link = self.links.setdefault(
            (source, target), {"source": source, "target": target, "weight": 0.0, "parts": []}
        )
        link["weight"] += weight
        link["parts"].append(dict(part))

    def _add(self, name: str, layer: str, feature: int, kind: str, pos: int) -> str:
        node = {
            "node_id": name,
            "feature": feature,
            "layer": layer,
            "ctx_idx": pos,
            "feature_type": kind,
            "token_prob": 0.0,
            "is_target_logit": False,
            "run_idx": 0,
            "reverse_ctx_idx": 0,
            "jsNodeId": "-".join(name.rsplit("_", 1)),
            "clerp": kind if layer == "E" else f"{kind} {layer}",
            "influence": None,
            "activation": None,
        }
        self.nodes.setdefault(name, node)
        return name


def to_document(
    graph: Graph,
    name: str,
    model: str,
    text: str,
    columns: Sequence[str],
    settings: Mapping[str, Any],
    description: str,
) -> Document:
    """Return the graph as a viewer reads it.

    `name` and `model` become the slug and the scan, in which viewers allow letters, digits, _ and
    - alone; `columns` are the tokens.
    """
    for node, share in _influences(graph).items():
        graph.nodes[node]["influence"] = share
    return {
        "metadata": {
            "slug": _NOT_IN_NAMES.sub("-", name),
            "scan": _NOT_IN_NAMES.sub("-", model),
            "transcoder_list": [],
            "prompt_tokens": [_line(column) for column in columns],
            "prompt": text,
            "node_threshold": 1.0,
            "schema_version": 1,
            "info": {
                "description": description,
                "generator": {"name": "svt", "version": VERSION},
            },
            "generation_settings": dict(settings),
        },
        "qParams": {
            "pinnedIds": list(dict.fromkeys(graph.pinned)),
            "supernodes": [[label, *names] for label, names in sorted(graph.groups.items())],
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": list(graph.nodes.values()),
        "links": list(graph.links.values()),
    }


def _influences(graph: Graph) -> dict[str, float]:
    """Return the cumulative share of every node's influence (step 3)."""
    into: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for (source, target), link in graph.links.items():
        into[target].append((source, abs(link["weight"])))
    answers = [name for name, node in graph.nodes.items() if node["feature_type"] == LOGIT]
    reached = dict.fromkeys(graph.nodes, 0.0) | dict.fromkeys(answers or graph.pinned, 1.0)
    downwards = sorted(graph.nodes, key=lambda name: -_height(graph.nodes[name]))
    for name in downwards:
        total = sum(weight for _, weight in into[name])
        for source, weight in into[name]:
            reached[source] += reached[name] * weight / total if total else 0.0
    ranked = sorted(downwards, key=lambda name: -reached[name])
    running = list(accumulate(reached[name] for name in ranked))
    return {
        name: min(value / running[-1], 1.0) if running[-1] else 1.0
        for name, value in zip(ranked, running, strict=True)
    }


def _height(node: Node) -> int:
    return -1 if node["layer"] == "E" else int(node["layer"])


def _line(text: str) -> str:
    """Return a token as viewers write it below its column."""
    return text.translate(_CONTROL)
