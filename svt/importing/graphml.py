"""A circuit from GraphML: the scheme of the graph that the authors published, which svt writes too.

1. An edge from a head to a head and role, `(8, 6)` -> `(9, 6, 'end')`, writes into that token of
   the upper head's firings: the source for type s, the destination for type d. `src_token` and
   `dest_token` tell both roles. Of nodes that are firings, `(9, 6, ' to', ' Mary')`, the type
   chooses the token.
2. An edge from a head and role to that head only draws the attention and is passed over.
3. `count` is a number of visits, unless the graph's own `count_kind` says otherwise; n_prompts,
   n_firings and n_visits tell all three. `total` and `weight` are the contributions' sum and mean,
   `effect` is the mean effect.
4. A head without an edge stands alone. A node with `root` true is a root.
5. Edges between firings are of one prompt, or of those that they name (appeared.py).

The file is read by expat without a document type, so no entity is ever expanded.
"""

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from svt.errors import DataError
from svt.importing import appeared
from svt.importing.circuit import Circuit, Edge, Head, Node, edge_between, ends_of
from svt.importing.nodes import node_of
from svt.importing.values import amount, number
from svt.words import COUNTS, Count

Values = dict[str, str]


def read_graphml(file: Path, count: Count | None) -> Circuit:
    """The circuit in the file, whose `count` counts `count`, if given (step 3).

    DataError names the line of what cannot be read.
    """
    found = _parsed(file)
    nodes: dict[str, Node] = {}
    of_node: dict[str, frozenset[str] | None] = {}
    for line, name, values in found.nodes:
        place = f"{file}, line {line}"
        if name in nodes:
            raise DataError(f"{place}: node {name} is declared twice")
        nodes[name], of_node[name] = node_of(name, place), appeared.prompts_of(values, place)
    by_ends = any(of_node.values()) and not any(appeared.KEY in each for *_, each in found.edges)
    kind = count or _count_kind(file, found, by_ends)
    edges, drawn, other = [], 0, 0
    for line, (source, target), values in found.edges:
        place = f"{file}, line {line}"
        for name in (source, target):
            if name not in nodes:
                raise DataError(f"{place}: the edge's node {name} is declared nowhere")
        up, down = nodes[source], nodes[target]
        if _draws_attention(up, down):  # 2
            drawn += 1
        elif edge := _edge(place, up, down, values, kind):
            both = appeared.common(of_node[source], of_node[target])
            edges.append(edge._replace(prompts=both) if by_ends else edge)
        else:
            other += 1
    ends = ends_of(edges)
    heads = [node.at for node in nodes.values() if node.at is not None]
    return Circuit(
        "graphml",
        tuple(edges),
        {head: None for head in heads if head not in ends},  # 4
        roots=_roots(found, nodes),
        count=kind,
        left_out=(f"{other} edges from or into what is no part of a head",) if other else (),
        one_prompt=not any(
            appeared.of_several(values) for *_, values in (*found.nodes, *found.edges)
        ),
        notes=(appeared.NOTE,) if by_ends else (),
    )


def _edge(place: str, up: Node, down: Node, values: Values, kind: Count) -> Edge | None:
    """Steps 1 and 3."""
    reads = values.get("type")
    src, dest = values.get("src_token"), values.get("dest_token")
    told: dict[str, object] = {}
    if down.role is None and down.fine is None:
        told["role"] = {"s": src, "d": dest}.get(reads or "")
    told["other_role"] = {"s": dest, "d": src}.get(reads or "")
    counts = {f"n_{name}": amount(values.get(f"n_{name}"), f"{place}: n_{name}") for name in COUNTS}
    own = amount(values.get("count"), f"{place}: count")
    counts[f"n_{kind}"] = own if own is not None else counts[f"n_{kind}"]
    return edge_between(
        place,
        up,
        down,
        reads,
        **told,
        **counts,
        total=number(values.get("total"), f"{place}: total"),
        mean=number(values.get("weight"), f"{place}: weight"),
        prompts=appeared.prompts_of(values, place),
        effect=number(values.get("effect"), f"{place}: effect"),
    )


def _draws_attention(up: Node, down: Node) -> bool:
    return up.at is not None and up.at == down.at and up.role is not None and down.role is None


def _count_kind(file: Path, found: "_Found", by_ends: bool) -> Count:
    """What `count` counts; prompts, where it is not given and only these are known."""
    values = [values for *_, values in found.edges]
    known = by_ends or any(appeared.KEY in each for each in values)
    other = "prompts" if known and not any(each.get("count") for each in values) else "visits"
    told = found.graph.get("count_kind", other)
    for count in COUNTS:
        if told == count:
            return count
    raise DataError(f"{file}: count_kind is {told!r}; it must be one of {', '.join(COUNTS)}")


def _roots(found: "_Found", nodes: dict[str, Node]) -> tuple[Head, ...]:
    named = [nodes[name].at for _, name, values in found.nodes if values.get("root") == "true"]
    return tuple(dict.fromkeys(head for head in named if head is not None))


@dataclass
class _Found:
    """Nodes and edges with the line that they begin in and their values by name."""

    graph: Values = field(default_factory=dict)
    nodes: list[tuple[int, str, Values]] = field(default_factory=list)
    edges: list[tuple[int, tuple[str, str], Values]] = field(default_factory=list)
    n_graphs: int = 0


def _parsed(file: Path) -> _Found:
    reader = _Reader(file)
    try:
        reader.parser.Parse(file.read_bytes(), True)
    except expat.ExpatError as error:
        told = expat.ErrorString(error.code)
        raise DataError(f"{file}, line {error.lineno}: is not well-formed XML ({told})") from error
    except (OSError, LookupError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({error}); give a GraphML file") from error
    if not reader.found.n_graphs:
        raise DataError(f"{file}: holds no graph; give a GraphML file")
    return reader.found


class _Reader:
    """Gathers what the parser meets."""

    def __init__(self, file: Path) -> None:
        self.found = _Found()
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
        self._said = ""

    def _place(self) -> str:
        return f"{self._file}, line {self.parser.CurrentLineNumber}"

    def _doctype(self, *_: object) -> None:
        raise DataError(
            f"{self._place()}: has a document type declaration, which is not read; take it out"
        )

    def _start(self, tag: str, attributes: Values) -> None:
        name = tag.rpartition(" ")[2]
        self._open.append(name)
        line, found = self.parser.CurrentLineNumber, self.found
        if name == "key":
            key = self._need(attributes, "id", name)
            if key in self._names:
                raise DataError(f"{self._place()}: key {key} is declared twice")
            self._names[key] = attributes.get("attr.name", "")
        elif name == "graph":
            found.n_graphs += 1
            if found.n_graphs > 1:
                raise DataError(f"{self._place()}: is a second graph; give a file with one")
            if attributes.get("edgedefault") == "undirected":
                raise DataError(
                    f"{self._place()}: edgedefault is undirected; edges of a circuit have a "
                    "direction"
                )
            self._values.append(found.graph)
        elif name == "node":
            self._values.append({})
            found.nodes.append((line, self._need(attributes, "id", name), self._values[-1]))
        elif name == "edge":
            self._values.append({})
            ends = (self._need(attributes, "source", name), self._need(attributes, "target", name))
            found.edges.append((line, ends, self._values[-1]))
        elif name == "data":
            self._key = self._need(attributes, "key", name)
            self._said = ""
        elif name == "hyperedge":
            raise DataError(f"{self._place()}: is a hyperedge; a circuit's edges have two ends")

    def _end(self, tag: str) -> None:
        name = self._open.pop()
        if name in ("graph", "node", "edge"):
            self._values.pop()
        elif name == "data" and self._key is not None and self._values:
            if self._key not in self._names:
                raise DataError(f"{self._place()}: data of a key {self._key} that is not declared")
            values, said = self._values[-1], self._names[self._key]
            if said in values:
                raise DataError(f"{self._place()}: {said or self._key} is given twice; keep one")
            values[said] = self._said.strip()

    def _text(self, text: str) -> None:
        self._said += text

    def _need(self, attributes: Values, name: str, element: str) -> str:
        if name not in attributes:
            raise DataError(f"{self._place()}: this {element} has no {name}")
        return attributes[name]
