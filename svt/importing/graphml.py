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

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from svt.errors import DataError
from svt.importing import appeared
from svt.importing.circuit import Circuit, Edge, Head, Node, make_circuit, make_edge
from svt.importing.nodes import parse_node
from svt.importing.values import parse_count, parse_number
from svt.words import COUNTS, Count

Values = dict[str, str]


def read_graphml(file: Path, count: Count | None) -> Circuit:
    """Return the circuit in the file; a DataError names the line that is wrong.

    `count` is what the value `count` counts; None for the file's own kind (step 3).
    """
    document = _parse(file)
    nodes: dict[str, Node] = {}
    node_prompts: dict[str, frozenset[str] | None] = {}
    for line, name, values in document.nodes:
        place = f"{file}, line {line}"
        if name in nodes:
            raise DataError(f"{place}: node {name} is declared twice")
        nodes[name] = parse_node(name, place)
        node_prompts[name] = appeared.parse_prompts(values, place)
    has_prompts = any(appeared.KEY in values for *_, values in document.edges)
    by_ends = any(node_prompts.values()) and not has_prompts
    kind = count or _count_kind(file, document, by_ends)
    edges, n_left_out = [], 0
    for line, (source, target), values in document.edges:
        place = f"{file}, line {line}"
        for name in (source, target):
            if name not in nodes:
                raise DataError(f"{place}: the edge's node {name} is declared nowhere")
        up, down = nodes[source], nodes[target]
        if _draws_attention(up, down):  # 2
            continue
        if edge := _read_edge(place, up, down, values, kind):
            shared = appeared.share_prompts(node_prompts[source], node_prompts[target])
            edges.append(edge._replace(prompts=shared) if by_ends else edge)
        else:
            n_left_out += 1
    all_values = [values for *_, values in (*document.nodes, *document.edges)]
    return make_circuit(
        "graphml",
        nodes.values(),  # 4
        edges,
        n_left_out,
        roots=_read_roots(document, nodes),
        count=kind,
        one_prompt=not any(map(appeared.covers_prompts, all_values)),
        notes=(appeared.NOTE,) if by_ends else (),
    )


def _read_edge(place: str, up: Node, down: Node, values: Values, kind: Count) -> Edge | None:
    """Return the edge with its roles and counts, None when the tables cannot hold it (1, 3)."""
    reads = values.get("type")
    src, dest = values.get("src_token"), values.get("dest_token")
    roles = {"other_role": {"s": dest, "d": src}.get(reads or "")}
    if down.role is None and down.fine is None:
        roles["role"] = {"s": src, "d": dest}.get(reads or "")
    names = [f"n_{name}" for name in COUNTS]
    counts = {name: parse_count(values.get(name), f"{place}: {name}") for name in names}
    if values.get("count"):
        counts[f"n_{kind}"] = parse_count(values["count"], f"{place}: count")
    return make_edge(
        place,
        up,
        down,
        reads,
        **roles,
        **counts,
        total=parse_number(values.get("total"), f"{place}: total"),
        mean=parse_number(values.get("weight"), f"{place}: weight"),
        prompts=appeared.parse_prompts(values, place),
        effect=parse_number(values.get("effect"), f"{place}: effect"),
    )


def _draws_attention(up: Node, down: Node) -> bool:
    return up.at is not None and up.at == down.at and up.role is not None and down.role is None


def _count_kind(file: Path, document: "_Document", by_ends: bool) -> Count:
    """Return what `count` counts: prompts without count_kind where only these are known."""
    values = [values for *_, values in document.edges]
    has_prompts = by_ends or any(appeared.KEY in each for each in values)
    has_counts = any(each.get("count") for each in values)
    default = "prompts" if has_prompts and not has_counts else "visits"
    kind = document.graph.get("count_kind", default)
    for count in COUNTS:
        if kind == count:
            return count
    raise DataError(f"{file}: count_kind is {kind!r}; it must be one of {', '.join(COUNTS)}")


def _read_roots(document: "_Document", nodes: dict[str, Node]) -> tuple[Head, ...]:
    heads = [nodes[name].at for _, name, values in document.nodes if values.get("root") == "true"]
    return tuple(dict.fromkeys(head for head in heads if head is not None))


@dataclass
class _Document:
    """The graph's values, and nodes and edges with their line, name or ends, and values."""

    graph: Values = field(default_factory=dict)
    nodes: list[tuple[int, str, Values]] = field(default_factory=list)
    edges: list[tuple[int, tuple[str, str], Values]] = field(default_factory=list)
    n_graphs: int = 0


def _parse(file: Path) -> _Document:
    reader = _Reader(file)
    try:
        reader.parser.Parse(file.read_bytes(), True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise DataError(
            f"{file}, line {error.lineno}: is not well-formed XML ({reason})"
        ) from error
    except (OSError, LookupError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({error}); pass a GraphML file") from error
    if not reader.document.n_graphs:
        raise DataError(f"{file}: holds no graph; pass a GraphML file")
    return reader.document


class _Reader:
    """Collect the graph, nodes and edges from the events of the parser."""

    def __init__(self, file: Path) -> None:
        self.document = _Document()
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.buffer_text = True
        self._file = file
        self._names: dict[str, str] = {}
        self._open: list[str] = []
        self._values: list[Values] = []
        self._key: str | None = None
        self._content = ""

    def _place(self) -> str:
        return f"{self._file}, line {self.parser.CurrentLineNumber}"

    def _doctype(self, *_: object) -> None:
        raise DataError(
            f"{self._place()}: has a document type declaration, which is not supported; remove it"
        )

    def _start(self, tag: str, attributes: Values) -> None:
        name = tag.rpartition(" ")[2]
        self._open.append(name)
        line, document = self.parser.CurrentLineNumber, self.document
        if name == "key":
            key = self._require(attributes, "id", name)
            if key in self._names:
                raise DataError(f"{self._place()}: key {key} is declared twice")
            self._names[key] = attributes.get("attr.name", "")
        elif name == "graph":
            document.n_graphs += 1
            if document.n_graphs > 1:
                raise DataError(f"{self._place()}: is a second graph; pass a file with one")
            if attributes.get("edgedefault") == "undirected":
                raise DataError(
                    f"{self._place()}: edgedefault is undirected; edges of a circuit have a "
                    "direction"
                )
            self._values.append(document.graph)
        elif name == "node":
            self._values.append({})
            document.nodes.append((line, self._require(attributes, "id", name), self._values[-1]))
        elif name == "edge":
            self._values.append({})
            ends = (
                self._require(attributes, "source", name),
                self._require(attributes, "target", name),
            )
            document.edges.append((line, ends, self._values[-1]))
        elif name == "data":
            self._key = self._require(attributes, "key", name)
            self._content = ""
        elif name == "hyperedge":
            raise DataError(f"{self._place()}: is a hyperedge; a circuit's edges have two ends")

    def _end(self, tag: str) -> None:
        name = self._open.pop()
        if name in ("graph", "node", "edge"):
            self._values.pop()
        elif name == "data" and self._key is not None and self._values:
            if self._key not in self._names:
                raise DataError(f"{self._place()}: data of a key {self._key} that is not declared")
            values, name = self._values[-1], self._names[self._key]
            if name in values:
                raise DataError(f"{self._place()}: {name or self._key} is there twice; keep one")
            values[name] = self._content.strip()

    def _text(self, text: str) -> None:
        self._content += text

    def _require(self, attributes: Values, name: str, element: str) -> str:
        if name not in attributes:
            raise DataError(f"{self._place()}: this {element} has no {name}")
        return attributes[name]
