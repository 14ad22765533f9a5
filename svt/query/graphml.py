"""Write the shown graph as GraphML, in the scheme of the graph that the paper's authors published.

1. A head is a node `(9, 6)`; a head at a token that it reads is a node `(9, 6, 'IO')`.
2. A communication edge goes from a head to a head-and-role node. Its attributes are type s (source)
   or d (destination), count, total, weight = total / firings, and the roles `src_token` and
   `dest_token`. A component other than a head is a node with its name, `mlp 3`.
3. An attention edge connects each head-and-role node with its head, for drawing only.
4. Attributes beyond that scheme let svt-import restore the same edges: `count_kind` of the graph,
   effect, n_prompts, n_firings and n_visits of an edge, root of a head. For other tools, a node has
   component, layer, head and role, and `helper` is true for the edges of step 3, false for others.

A null value has no attribute. An edge without a role goes to the head.
"""

from pathlib import Path
from xml.etree import ElementTree

import polars as pl

from svt.system.atomic import write_atomically
from svt.system.text import make_drawable

_NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
_KEYS = {
    ("graph", "count_kind"): "string",
    ("node", "component"): "string",
    ("node", "layer"): "long",
    ("node", "head"): "long",
    ("node", "role"): "string",
    ("node", "nfiring"): "long",
    ("node", "reference"): "boolean",
    ("node", "root"): "boolean",
    ("edge", "type"): "string",
    ("edge", "helper"): "boolean",
    ("edge", "count"): "long",
    ("edge", "total"): "double",
    ("edge", "weight"): "double",
    ("edge", "effect"): "double",
    ("edge", "src_token"): "string",
    ("edge", "dest_token"): "string",
    ("edge", "n_prompts"): "long",
    ("edge", "n_firings"): "long",
    ("edge", "n_visits"): "long",
}


def write_graphml(path: Path, edges: pl.DataFrame, nodes: pl.DataFrame, count: str) -> None:
    """Write the rows of the queries `graph_links` and `graph_nodes` atomically.

    `count` is prompts, firings or visits, and selects the count that an edge's `count` holds.
    """
    write_atomically(path, to_graphml(edges, nodes, count))


def to_graphml(edges: pl.DataFrame, nodes: pl.DataFrame, count: str) -> bytes:
    """Return the content of the file that `write_graphml` writes, UTF-8."""
    root = ElementTree.Element("graphml", xmlns=_NAMESPACE)
    for kind, name in _KEYS:
        ElementTree.SubElement(
            root,
            "key",
            {
                "id": f"{kind}_{name}",
                "for": kind,
                "attr.name": name,
                "attr.type": _KEYS[kind, name],
            },
        )
    graph = ElementTree.SubElement(root, "graph", edgedefault="directed")
    _data(graph, "graph", count_kind=count)
    rows = edges.to_dicts()
    known = {_head(row): row for row in nodes.to_dicts()}
    written = {(_at_role(row), _head(row)) for row in rows if row["role"] is not None}  # 3
    ends = {_head(row): _ends(row) for row in (*known.values(), *rows)}
    ends |= {_upstream(row): _ends(row, "up_") for row in rows}
    roles = {_at_role(row): row["role"] for row in rows}
    for name in sorted(ends):
        _node(graph, name, known.get(name, {}), **ends[name])
    for name, head in sorted(written):
        _node(graph, name, known.get(head, {}), **ends[head], role=roles[name])
    for row in rows:
        _edge(
            graph,
            _upstream(row),
            _at_role(row),
            type={"src": "s", "dest": "d"}.get(row["side"]),
            helper=False,
            count=row[f"n_{count}"],
            total=row["total"],
            weight=row["mean"],
            effect=row["effect"],
            src_token=row["src_role"],
            dest_token=row["dest_role"],
            **{name: row[name] for name in ("n_prompts", "n_firings", "n_visits")},
        )
    for name, head in sorted(written):
        _edge(graph, name, head, type="attention", helper=True)
    ElementTree.indent(root)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _head(row: dict[str, object]) -> str:
    return f"({row['layer']}, {row['head']})"


def _at_role(row: dict[str, object]) -> str:
    if row["role"] is None:
        return _head(row)
    return f"({row['layer']}, {row['head']}, {row['role']!r})"


def _upstream(row: dict[str, object]) -> str:
    if row["component"] == "head":
        return f"({row['up_layer']}, {row['up_head']})"
    layer = row["up_layer"]
    return str(row["component"]) if layer is None else f"{row['component']} {layer}"


def _ends(row: dict[str, object], end: str = "") -> dict[str, object]:
    """Return the component, layer and head of the row's head, or of its `up_` end."""
    component = row["component"] if end else "head"
    return {"component": component, "layer": row[f"{end}layer"], "head": row[f"{end}head"]}


def _node(graph: ElementTree.Element, name: str, row: dict[str, object], **place: object) -> None:
    node = ElementTree.SubElement(graph, "node", id=name)
    _data(node, "node", **place)
    if row:
        values = {"reference": row["in_reference"], "root": row["is_root"]}
        _data(node, "node", nfiring=row["n_firings"], **values)


def _edge(graph: ElementTree.Element, source: str, target: str, **values: object) -> None:
    edge = ElementTree.SubElement(graph, "edge", source=source, target=target)
    _data(edge, "edge", **values)


def _data(element: ElementTree.Element, kind: str, **values: object) -> None:
    for name, value in values.items():
        if value is None:
            continue
        data = ElementTree.SubElement(element, "data", key=f"{kind}_{name}")
        data.text = str(value).lower() if isinstance(value, bool) else make_drawable(str(value))
