"""Read GraphML: the published scheme, invalid lines, and files that svt wrote."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svt.errors import SvtError
from svt.importing.circuit import Edge, merge_edges
from svt.importing.graphml import read_graphml
from svt.query.graphml import to_graphml
from tests.importing.samples import KEYS, edge, graphml, node, published
from tests.marks import examples


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "circuit.graphml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def test_the_published_scheme(tmp_path: Path) -> None:
    """Two edges, one into each token of 9.6; attention edges are skipped."""
    file = written(
        tmp_path,
        published([((8, 6), (9, 6), "end", "dest", 12), ((0, 1), (9, 6), "IO", "src", 4)], "S2"),
    )
    circuit = read_graphml(file, None)
    assert circuit.edges == (
        Edge(
            f"{file}, line 24", "head", 8, 6, 9, 6, side="dest", role="end", other_role="S2",
            n_visits=12, total=6.0, mean=0.5,
        ),
        Edge(
            f"{file}, line 33", "head", 0, 1, 9, 6, side="src", role="IO", other_role="S2",
            n_visits=4, total=2.0, mean=0.5,
        ),
    )  # fmt: skip
    assert (circuit.alone, circuit.roots, circuit.count, circuit.left_out) == ({}, (), "visits", ())
    assert read_graphml(file, "prompts").edges[0].n_prompts == 12


def test_the_lines_are_those_of_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, published([((8, 6), (9, 6), "end", "dest", 12)]))
    (only,) = read_graphml(file, None).edges
    line = int(only.place.rpartition(" ")[2])
    assert file.read_text().splitlines()[line - 1].strip().startswith('<edge source="(8, 6)"')


def test_a_node_that_is_a_firing(tmp_path: Path) -> None:
    """8.6 writes twice into ' to', once from each of its own firings, and 3.0 into the source."""
    down = "(9, 6, ' to', ' Mary')"
    firings = ["(8, 6, ' to', ' John')", "(8, 6, ' to', ' and')", "(3, 0, ' Mary', ' a')"]
    logit = "('Logit direction', ' to')"
    body = "".join(node(name) for name in (down, *firings, logit))
    for name, kind, weight in zip(firings, "dds", (1.0, 2.0, 4.0), strict=True):
        body += edge(name, down, d3=kind, d1=weight)
    body += edge(down, logit, d3="d", d1=9.0)
    circuit = read_graphml(written(tmp_path, graphml(body)), None)
    common = {"up_head": 6, "component": "head", "layer": 9, "head": 6, "n_prompts": 1}
    assert merge_edges(circuit) == [
        {**common, "up_layer": 8, "side": "dest", "role": " to", "n_firings": 1, "n_visits": 2,
         "total": 3.0, "mean": 3.0},
        {**common, "up_layer": 3, "up_head": 0, "side": "src", "role": " Mary", "n_firings": 1,
         "n_visits": 1, "total": 4.0, "mean": 4.0},
    ]  # fmt: skip
    assert [e.other_role for e in circuit.edges] == [" Mary", " Mary", " to"]
    assert circuit.left_out == ("1 edges from or into nodes that are no heads",)


def test_edges_between_plain_heads(tmp_path: Path) -> None:
    """Without a role node the role is the token that the type selects; without a type, none.

    2.2 stands alone; 5.5 is an mlp's reader.
    """
    names = ("(0, 1)", "(5, 5)", "(2, 2)", "mlp 3")
    body = "".join(map(node, names)) + edge("(0, 1)", "(5, 5)", d3="s", d6="S1", d7="S2")
    body += edge("mlp 3", "(5, 5)")
    circuit = read_graphml(written(tmp_path, graphml(body)), None)
    first, second = circuit.edges
    assert (first.side, first.role, first.other_role) == ("src", "S1", "S2")
    assert (second.component, second.up_layer, second.up_head, second.side) == (
        "mlp",
        3,
        None,
        None,
    )
    assert circuit.alone == {(2, 2): None}
    assert [row["n_visits"] for row in merge_edges(circuit)] == [1, 1]


HEAD = "(8, 6)"
ENDS = node(HEAD) + node("(9, 6, 'IO')") + node("(9, 6)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: is not well-formed XML"),
        ("{}", "line 1: is not well-formed XML"),
        (graphml(node(HEAD))[:-5], "is not well-formed XML"),
        ("<graphml/>", "holds no graph"),
        ("<html></html>", "holds no graph"),
        (graphml("", attributes='edgedefault="undirected"'), "line 13: edgedefault is undirected"),
        (graphml(node(HEAD) * 2), r"line 16: node \(8, 6\) is declared twice"),
        (graphml(node("(8, x)")), r"line 14: node \(8, x\) is not known"),
        (graphml(node("(8, 300)")), r"line 14: node \(8, 300\) is not known"),
        (graphml("    <node/>\n"), "line 14: this node has no id"),
        (graphml(ENDS + "    <edge source='(8, 6)'/>\n"), "line 20: this edge has no target"),
        (graphml(ENDS + edge(HEAD, "(9, 9)")), r"line 20: the edge's node \(9, 9\) is declared"),
        (graphml(ENDS + edge("(9, 6)", HEAD)), "line 20: layer 9 cannot write for layer 8"),
        (graphml(ENDS + edge(HEAD, HEAD)), "line 20: layer 8 cannot write for layer 8"),
        (graphml(ENDS + edge(HEAD, "(9, 6, 'IO')", d3="z")), "line 20: 'z' is no side"),
        (graphml(ENDS + edge(HEAD, "(9, 6, 'IO')", d4="many")), "line 20: count is 'many'"),
        (graphml(ENDS + edge(HEAD, "(9, 6, 'IO')", d4=1.5)), "line 20: count is '1.5'"),
        (graphml(ENDS + edge(HEAD, "(9, 6, 'IO')", d4=0)), "line 20: count is '0'"),
        (graphml(ENDS + edge(HEAD, "(9, 6, 'IO')", d1="nan")), "line 20: weight is 'nan'"),
        (graphml(ENDS + edge(HEAD, "(9, 6, 'IO')", d2="inf")), "line 20: total is 'inf'"),
        (graphml(ENDS + edge(HEAD, "(9, 6, 'IO')", x=1)), "line 21: data of a key x that is not"),
        (graphml(ENDS + "<hyperedge/>"), "line 20: is a hyperedge"),
        (graphml("</graph><graph>"), "is a second graph"),
        (
            "<!DOCTYPE graphml [<!ENTITY a 'aaaaaaaaaa'>]><graphml>&a;</graphml>",
            "line 1: has a document type declaration",
        ),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SvtError, match=message) as error:
        read_graphml(file, None)
    assert str(error.value).startswith(str(file))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (edge(HEAD, "(9, 6, 'IO')", d3="s") * 2, "line 23: duplicates the edge in .*line 20"),
        (
            edge(HEAD, "(9, 6, 'IO')", d3="s", d4=3) + edge(HEAD, "(9, 6, 'IO')", d3="d"),
            "line 24: has no visits where other edges have them",
        ),
    ],
)
def test_inconsistent_edges_are_refused(tmp_path: Path, body: str, message: str) -> None:
    circuit = read_graphml(written(tmp_path, graphml(ENDS + body)), None)
    with pytest.raises(SvtError, match=message):
        merge_edges(circuit)


def test_entities_are_never_expanded(tmp_path: Path) -> None:
    """An entity would be replaced by a name from another file."""
    (tmp_path / "secret").write_text("(8, 6)")
    text = f'<!DOCTYPE g [<!ENTITY e SYSTEM "{tmp_path}/secret">]>' + graphml(node("&e;"))[39:]
    with pytest.raises(SvtError, match="document type"):
        read_graphml(written(tmp_path, text), None)
    with pytest.raises(SvtError, match="undefined entity"):
        read_graphml(written(tmp_path, graphml(node("&e;").replace("&amp;", "&"))), None)


def test_the_count_kind_of_the_file_is_used(tmp_path: Path) -> None:
    keys = KEYS + '<key id="k" for="graph" attr.name="count_kind" attr.type="string"/>\n'
    body = '<data key="k">{}</data>\n' + ENDS + edge(HEAD, "(9, 6, 'IO')", d4=3)
    file = written(tmp_path, graphml(body.format("firings"), keys))
    assert read_graphml(file, None).edges[0].n_firings == 3
    assert read_graphml(file, "prompts").edges[0].n_prompts == 3
    with pytest.raises(SvtError, match="count_kind is 'days'"):
        read_graphml(written(tmp_path, graphml(body.format("days"), keys)), None)


ROLES = st.sampled_from(["IO", "S1+1", "it's", 'a "quoted" one', "<&>", "ü", "end"])
UPSTREAM = st.one_of(
    st.tuples(st.just("head"), st.integers(0, 3), st.integers(0, 11)),
    st.tuples(st.sampled_from(["mlp", "bias"]), st.integers(0, 3), st.none()),
    st.tuples(st.sampled_from(["embed", "pos_embed"]), st.none(), st.none()),
)
DOWN = st.tuples(st.integers(4, 9), st.integers(0, 11))
KEY = st.tuples(UPSTREAM, DOWN, st.sampled_from(["dest", "src"]), ROLES)
VALUES = st.tuples(
    st.integers(1, 9 * 10**18), st.integers(1, 10**6), st.floats(-1e9, 1e9, allow_nan=False)
)
COLUMNS = ["up_layer", "up_head", "component", "layer", "head", "side", "role"]


def exported(edges: dict[tuple[object, ...], tuple[int, int, float]]) -> pl.DataFrame:
    """Return rows as in graph_links; the other token of each firing is at S2."""
    rows = [
        {
            "component": up[0], "up_layer": up[1], "up_head": up[2], "layer": down[0],
            "head": down[1], "side": side, "role": role, "n_visits": visits,
            "n_prompts": firings, "n_firings": firings, "total": total, "mean": total / firings,
            "effect": -total / firings,
            "src_role": role if side == "src" else "S2",
            "dest_role": role if side == "dest" else "S2",
        }
        for (up, down, side, role), (visits, firings, total) in edges.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


@given(st.dictionaries(KEY, VALUES, min_size=1, max_size=8), st.sampled_from(["prompts", "visits"]))
@settings(max_examples=examples(60), deadline=None)
def test_a_file_of_svt_has_the_same_edges(
    tmp_path_factory: pytest.TempPathFactory,
    edges: dict[tuple[object, ...], tuple[int, int, float]],
    count: str,
) -> None:
    links = exported(edges)
    nodes = pl.DataFrame(
        [{"layer": 11, "head": 0, "n_firings": 3, "in_reference": False, "is_root": True}]
    )
    file = written(tmp_path_factory.mktemp("graph"), to_graphml(links, nodes, count))
    circuit = read_graphml(file, None)
    names = [*COLUMNS, "n_prompts", "n_firings", "n_visits", "total", "mean", "effect"]
    assert merge_edges(circuit) == links.select(names).to_dicts()
    assert {e.other_role for e in circuit.edges} == {"S2"}
    assert (circuit.roots, circuit.count) == (((11, 0),), count)
    assert circuit.alone == {(11, 0): None}


@given(st.data())
@settings(max_examples=examples(80), deadline=None)
def test_a_damaged_file_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bytes removed or inserted at any place: an SvtError that names the file, or a circuit."""
    text = bytearray(published([((8, 6), (9, 6), "end", "dest", 12)]).encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
    file = written(tmp_path_factory.mktemp("graph"), bytes(text))
    try:
        merge_edges(read_graphml(file, None))
    except SvtError as error:
        assert str(error).startswith(str(file))


def test_the_prompts_of_a_combined_graph_are_counted(tmp_path: Path) -> None:
    keys = '<key id="p" for="edge" attr.name="prompts_appeared" attr.type="string" />' + KEYS
    up, down = "(8, 6, ' to', ' John')", "(9, 6, ' to', ' Mary')"
    body = node(up) + node(down) + edge(up, down, d3="d", d1=1.5, p="[0, 1, 2]")
    circuit = read_graphml(written(tmp_path, graphml(body, keys)), None)
    (row,) = merge_edges(circuit)
    assert (row["n_prompts"], row["n_firings"], row["n_visits"]) == (3, 3, None)
    assert (row["total"], row["mean"], circuit.count) == (None, 1.5, "prompts")


def test_duplicate_values_are_refused(tmp_path: Path) -> None:
    key = '<key id="k" for="edge" attr.name="weight" attr.type="float" />\n'
    with pytest.raises(SvtError, match="line 4: key k is declared twice"):
        read_graphml(written(tmp_path, graphml("", key * 2)), None)
    body = node("(8, 6)") + node("(9, 6)") + edge("(8, 6)", "(9, 6)", d1=1, d8=2)
    with pytest.raises(SvtError, match="weight is there twice"):
        read_graphml(written(tmp_path, graphml(body)), None)
