"""Read a circuit from GraphML in the scheme of the authors' published graph, which svt writes too.

1. An edge from a head to a head and role, `(8, 6)` -> `(9, 6, 'end')`, writes into that token of
   the downstream head's firings: the source for type s, the destination for type d. `src_token` and
   `dest_token` hold both roles. Where nodes are firings, `(9, 6, ' to', ' Mary')`, the type selects
   the token.
2. An edge from a head and role to the same head only draws the attention and is skipped.
3. `count` counts visits, unless the graph's `count_kind` names another kind; n_prompts, n_firings
   and n_visits hold all three. `total` and `weight` are the sum and the mean of the contributions,
   `effect` is the mean effect.
4. A head without an edge is kept as a lone head. A node with `root` true is a root.
5. Edges between firings belong to one prompt, or to those in which they appeared (appeared.py).

Files with a document type declaration are refused, so expat never expands an entity.
"""

from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from svt.errors import DataError
from svt.importing.circuit import Circuit, Node
from svt.importing.links import Link, NodeEntry, make_linked_circuit
from svt.importing.nodes import parse_node
from svt.words import COUNTS, Count

Values = dict[str, str]

_LINE = "#line"  # attribute of an element, which no file can have


def read_graphml(file: Path, count: Count | None) -> Circuit:
    """Return the circuit in the file; a DataError names the line that is wrong.

    `count` is what the value `count` counts; None for the file's own kind (step 3).
    """
    names: Values = {}  # of values, by key
    graphs: list[Values] = []
    nodes: dict[str, NodeEntry] = {}
    edges: list[tuple[str, str, str, Values]] = []
    for element in _parse(file).iter():
        place = _locate(file, element)
        match element.tag:
            case "key":
                key = _require(element, "id", place)
                if key in names:
                    raise DataError(f"{place}: key {key} is declared twice")
                names[key] = element.get("attr.name", "")
            case "graph":
                if graphs:
                    raise DataError(f"{place}: is a second graph; pass a file with one")
                if element.get("edgedefault") == "undirected":
                    raise DataError(
                        f"{place}: edgedefault is undirected; edges of a circuit have a direction"
                    )
                graphs.append(_read_values(file, element, names))
            case "node":
                name = _require(element, "id", place)
                if name in nodes:
                    raise DataError(f"{place}: node {name} is declared twice")
                values = _read_values(file, element, names)
                nodes[name] = NodeEntry(place, parse_node(name, place), values)
            case "edge":
                source, target = (_require(element, end, place) for end in ("source", "target"))
                edges.append((place, source, target, _read_values(file, element, names)))
            case "hyperedge":
                raise DataError(f"{place}: is a hyperedge; a circuit's edges have two ends")
    if not graphs:
        raise DataError(f"{file}: holds no graph; pass a GraphML file")
    kind = count or graphs[0].get("count_kind")
    if kind not in (None, *COUNTS):
        raise DataError(f"{file}: count_kind is {kind!r}; it must be one of {', '.join(COUNTS)}")
    links = []
    for place, source, target, values in edges:
        for name in (source, target):
            if name not in nodes:
                raise DataError(f"{place}: the edge's node {name} is declared nowhere")
        up, down = nodes[source].node, nodes[target].node
        if not _draws_attention(up, down):  # 2
            reads = values.get("type")
            links.append(Link(place, source, target, reads, values, _read_roles(down, values)))
    roots = [entry.node.at for entry in nodes.values() if entry.values.get("root") == "true"]
    return make_linked_circuit(
        "graphml",
        nodes,
        links,
        kind,
        tuple(dict.fromkeys(head for head in roots if head is not None)),
    )


def _read_roles(down: Node, values: Values) -> Mapping[str, str | None]:
    """Return the roles of an edge that its values name (step 1)."""
    src, dest = values.get("src_token"), values.get("dest_token")
    own, other = {"s": (src, dest), "d": (dest, src)}.get(values.get("type", ""), (None, None))
    is_plain = down.role is None and down.fine is None
    return {"other_role": other} | ({"role": own} if is_plain else {})


def _draws_attention(up: Node, down: Node) -> bool:
    return up.at is not None and up.at == down.at and up.role is not None and down.role is None


def _parse(file: Path) -> Element:
    """Return the root of the file's tree, without namespaces and with the line of each element."""
    builder, parser = TreeBuilder(), expat.ParserCreate(namespace_separator=" ")

    def start(tag: str, attributes: Values) -> None:
        builder.start(tag.rpartition(" ")[2], {**attributes, _LINE: str(parser.CurrentLineNumber)})

    def refuse(*_: object) -> None:
        raise DataError(
            f"{file}, line {parser.CurrentLineNumber}: has a document type declaration, which is "
            "not supported; remove it"
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: builder.end(tag.rpartition(" ")[2])
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(file.read_bytes(), True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise DataError(
            f"{file}, line {error.lineno}: is not well-formed XML ({reason})"
        ) from error
    except (OSError, LookupError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({error}); pass a GraphML file") from error
    return builder.close()


def _read_values(file: Path, element: Element, names: Values) -> Values:
    """Return the values of an element by name, of which `names` are declared."""
    values: Values = {}
    for data in element.findall("data"):
        place = _locate(file, data)
        key = _require(data, "key", place)
        if key not in names:
            raise DataError(f"{place}: data of a key {key} that is not declared")
        name = names[key]
        if name in values:
            raise DataError(f"{place}: {name or key} is there twice; keep one")
        values[name] = "".join(data.itertext()).strip()
    return values


def _require(element: Element, name: str, place: str) -> str:
    if name not in element.attrib:
        raise DataError(f"{place}: this {element.tag} has no {name}")
    return element.attrib[name]


def _locate(file: Path, element: Element) -> str:
    return f"{file}, line {element.get(_LINE)}"
