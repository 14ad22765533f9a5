"""Read JSON: graphs of EAP-IG, nodes and links of other tools, and invalid files."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svt.errors import SvtError
from svt.importing.circuit import merge_edges
from svt.importing.json_file import read_json
from svt.importing.read import read_circuit
from tests.marks import examples

EAP = {
    "input->a0.h1<v>": 0.25,
    "input->m0": 1.0,
    "a0.h1->a2.h3<q>": -0.5,
    "a0.h1->a2.h3<k>": 0.125,
    "m0->a2.h3<v>": 2.0,
    "a1.h0->a2.h3<k>": 0.75,
    "a2.h3->logits": 3.0,
    "a2.h3->m2": 0.1,
}


def eap(out: tuple[str, ...] = (), heads: bool = True) -> dict[str, Any]:
    """A graph as EAP-IG writes it; edges in `out` are not in it."""
    nodes = {name: {"in_graph": heads} for name in ("a0.h1", "a1.h0", "a1.h1", "m0", "logits")}
    edges = {name: {"score": s, "in_graph": name not in out} for name, s in EAP.items()}
    return {"cfg": {"n_layers": 3, "n_heads": 4}, "nodes": nodes, "edges": edges}


def written(folder: Path, tree: Any) -> Path:
    file = folder / "circuit.json"
    file.write_text(tree if isinstance(tree, str) else json.dumps(tree), encoding="utf-8")
    return file


def test_eap_ig(tmp_path: Path) -> None:
    """Edges in the graph, without those into MLPs and logits; 1.1 is in it without an edge."""
    circuit = read_json(written(tmp_path, eap(out=("a1.h0->a2.h3<k>",))), None, None)
    rows = [tuple(row.values()) for row in merge_edges(circuit)]
    assert rows == [
        (None, None, "embed", 0, 1, None, None, None, None, 1, 0.25, 0.25, None),
        (0, 1, "head", 2, 3, "dest", None, None, None, 1, -0.5, -0.5, None),
        (0, 1, "head", 2, 3, "src", None, None, None, 1, 0.125, 0.125, None),
        (0, None, "mlp", 2, 3, None, None, None, None, 1, 2.0, 2.0, None),
    ]
    assert [edge.input for edge in circuit.edges] == ["value", "query", "key", "value"]
    assert circuit.alone == {(1, 0): None, (1, 1): None}
    assert circuit.left_out == ("2 edges into MLPs", "1 edges into the logits")


def test_nodes_of_earlier_eap_ig(tmp_path: Path) -> None:
    tree = eap() | {"nodes": {"a1.h1": True, "a1.h2": False, "logits": True}}
    assert read_json(written(tmp_path, tree), None, None).alone == {(1, 1): None}


def test_the_strongest_edges_ignore_in_graph(tmp_path: Path) -> None:
    """Of the edges into heads, by size: 2, 0.75, -0.5 of 2, 0.75, -0.5, 0.25, 0.125."""
    file = written(tmp_path, eap(out=tuple(EAP)))
    with pytest.raises(SvtError, match=r"none of its 8 edges is in the graph; .*--top N"):
        read_circuit(file)
    circuit = read_circuit(file, top=3)
    assert [edge.mean for edge in circuit.edges] == [2.0, 0.75, -0.5]
    assert circuit.alone == {}
    assert circuit.left_out[-1] == "all but the 3 strongest of 5 edges"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"a0.h1->a0.h2<q>": {"score": 1, "in_graph": True}},
            "edge a0.h1->a0.h2<q>: layer 0 cannot",
        ),
        ({"a0.h1=>a2.h2": {"score": 1, "in_graph": True}}, "edge a0.h1=>a2.h2: is not named like"),
        ({"a0.h1->b2.h2<q>": {"score": 1, "in_graph": True}}, "node b2.h2 is not known"),
        ({"a0.h1->a2.h2<z>": {"score": 1, "in_graph": True}}, "node a2.h2<z> is not known"),
        ({"a0.h1->a2.h2<q>": {"score": "x", "in_graph": True}}, "score is 'x'"),
        ({"a0.h1->a2.h2<q>": {"score": float("nan"), "in_graph": True}}, "score is nan"),
        ({"a0.h1->a2.h2<q>": {"score": 1}}, "has no in_graph that is true or false"),
        ({"a0.h1->a2.h2<q>": 0.5}, "has no in_graph that is true or false"),
    ],
)
def test_a_broken_edge_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    tree = eap()
    tree["edges"] |= changed
    with pytest.raises(SvtError, match=message):
        read_json(written(tmp_path, tree), None, None)


def links(*pairs: tuple[Any, ...], **more: Any) -> list[dict[str, Any]]:
    return [{"source": s, "target": t, "weight": w, **more} for s, t, w in pairs]


def test_nodes_and_links_with_head_nodes(tmp_path: Path) -> None:
    """A circuit-tracer style graph: 5.3 at two positions writes for 9.6, as do an MLP and a token.

    The feature and the logit are left out.
    """
    nodes = [
        {"node_id": "a5.h3_4", "layer": "5", "head": 3, "ctx_idx": 4,
         "feature_type": "attention_head"},
        {"node_id": "a5.h3_7", "layer": "5", "head": 3, "ctx_idx": 7,
         "feature_type": "attention_head"},
        {"node_id": "a9.h6_9", "layer": "9", "head": 6, "ctx_idx": 9,
         "feature_type": "attention_head"},
        {"node_id": "m2_9", "layer": "2", "ctx_idx": 9, "feature_type": "mlp"},
        {"node_id": "E_50_9", "layer": "E", "ctx_idx": 9, "feature_type": "embedding"},
        {"node_id": "4_77_9", "layer": "4", "ctx_idx": 9, "feature_type": "cross layer transcoder"},
        {"node_id": "L_1_9", "layer": "13", "ctx_idx": 9, "feature_type": "logit"},
    ]  # fmt: skip
    edges = links(
        ("a5.h3_4", "a9.h6_9", 1.0), ("a5.h3_7", "a9.h6_9", 0.5), ("m2_9", "a9.h6_9", 0.25),
        ("E_50_9", "a9.h6_9", 2.0), ("4_77_9", "a9.h6_9", 9.0), ("a9.h6_9", "L_1_9", 3.0),
    )  # fmt: skip
    circuit = read_json(
        written(tmp_path, {"metadata": {}, "nodes": nodes, "links": edges}), None, None
    )
    rows = [tuple(row.values()) for row in merge_edges(circuit)]
    assert rows == [
        (5, 3, "head", 9, 6, None, None, 1, 1, 2, 1.5, 1.5),
        (2, None, "mlp", 9, 6, None, None, 1, 1, 1, 0.25, 0.25),
        (None, None, "embed", 9, 6, None, None, 1, 1, 1, 2.0, 2.0),
    ]
    assert circuit.left_out == ("2 edges from or into nodes that are no heads",)


def test_links_of_networkx(tmp_path: Path) -> None:
    """Nodes are lists; the type chooses the token of the firing."""
    firing, down = [8, 6, " to", " John"], [9, 6, " to", " Mary"]
    tree = {
        "directed": True, "multigraph": True, "graph": {},
        "nodes": [{"id": firing}, {"id": down, "attn_weight": 0.7}, {"id": [3, 0]}],
        "edges": [
            *links((firing, down, 0.5), type="d", key=0),
            *links((firing, down, 0.25), type="s", key=1),
        ],
    }  # fmt: skip
    circuit = read_json(written(tmp_path, tree), None, None)
    assert [(r["side"], r["role"], r["total"]) for r in merge_edges(circuit)] == [
        ("dest", " to", 0.5), ("src", " Mary", 0.25),
    ]  # fmt: skip
    assert circuit.alone == {(3, 0): None}


def test_nodes_by_name_and_edges_u_v(tmp_path: Path) -> None:
    tree = {
        "nodes": {"(8, 6)": {}, "(9, 6)": {}, "('Logit direction', ' to')": {}},
        "edges": [
            {"u": "(8, 6)", "v": "(9, 6)", "type": "s", "weight": 0.5, "count": 3, "total": 1.5},
            {"u": "(9, 6)", "v": "('Logit direction', ' to')", "type": "d", "weight": 2.0},
        ],
    }
    (row,) = merge_edges(read_json(written(tmp_path, tree), "firings", None))
    assert (row["side"], row["n_firings"], row["n_visits"]) == ("src", 3, None)
    assert (row["total"], row["mean"]) == (1.5, 0.5)


def test_a_graph_of_features_alone_is_refused(tmp_path: Path) -> None:
    nodes = [
        {"node_id": f"{i}_{i}_0", "layer": f"{i}", "feature": i, "feature_type": kind, "ctx_idx": 0}
        for i, kind in enumerate(["cross layer transcoder", "mlp reconstruction error", "logit"])
    ]
    file = written(tmp_path, {"nodes": nodes, "links": links(("0_0_0", "2_2_0", 1.0))})
    message = (
        "no attention head among its nodes .its nodes are cross layer transcoder, logit, mlp rec"
    )
    with pytest.raises(SvtError, match=message):
        read_json(file, None, None)


HEADS = [{"id": "8.6"}, {"id": "9.6"}]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("", "line 1: is not JSON"),
        ('{"nodes": [],\n "links": [}', "line 2: is not JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[]", "is no circuit"),
        ("7", "is no circuit"),
        ({"nodes": HEADS}, "is no circuit"),
        ({"edges": [], "nodes": None}, "is no circuit"),
        ('{"edges": {"a": 1, "a": 2}}', "the key 'a' is there more than once"),
        ({"edges": {}}, "none of its 0 edges is in the graph"),
        ({"nodes": [], "links": []}, "has no attention head among its nodes;"),
        ({"nodes": [*HEADS, {"id": "8.6"}], "links": []}, "node 2: node 8.6 is there twice"),
        ({"nodes": [*HEADS, {"id": "Bob"}], "links": []}, "node 2: node Bob is not known"),
        ({"nodes": [*HEADS, {"layer": 3}], "links": []}, "node 2: has no id, node_id or name"),
        ({"nodes": [*HEADS, 5], "links": []}, "node 2: must be an object"),
        (
            {"nodes": [*HEADS, {"id": "h", "layer": "E", "head": 1}], "links": []},
            "node 2: layer is 'E'; it must be a count",
        ),
        ({"nodes": HEADS, "links": [3]}, "link 0: must be an object"),
        ({"nodes": HEADS, "links": [{"source": "8.6"}]}, "link 0: has no target or v"),
        ({"nodes": HEADS, "links": links(("8.6", "9.9", 1))}, "link 0: its node 9.9 is not among"),
        ({"nodes": HEADS, "links": links(("9.6", "8.6", 1))}, "link 0: layer 9 cannot write for"),
        ({"nodes": HEADS, "links": links(("8.6", "9.6", "x"))}, "link 0: weight is 'x'"),
        ({"nodes": HEADS, "links": links(("8.6", "9.6", 1), type="z")}, "link 0: 'z' is no side"),
        ({"nodes": HEADS, "links": links(("8.6", "9.6", 1), type=["s"])}, "is no side"),
        ({"nodes": HEADS, "links": links(("8.6", "9.6", 1), count=-1)}, "link 0: count is -1"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused(tmp_path: Path, tree: Any, message: str) -> None:
    file = written(tmp_path, tree)
    with pytest.raises(SvtError, match=message) as error:
        read_json(file, None, None)
    assert str(error.value).startswith(str(file))


def test_a_second_link_between_heads_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, {"nodes": HEADS, "links": links(("8.6", "9.6", 1)) * 2})
    with pytest.raises(SvtError, match=r"link 1: duplicates the edge in .*link 0"):
        merge_edges(read_json(file, None, None))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["8.6", "9.6", "x"]),
    lambda part: st.lists(part, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["nodes", "links", "edges", "id", "source", "target", "weight", "count", "in_graph",
             "score", "8.6->9.6<q>", "layer", "head", "type", "feature_type", "ctx_idx"]
        ),
        part,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON, st.none() | st.integers(1, 3))
@settings(max_examples=examples(150), deadline=None)
def test_any_tree_is_a_circuit_or_refused(
    tmp_path_factory: pytest.TempPathFactory, tree: Any, top: int | None
) -> None:
    file = written(tmp_path_factory.mktemp("tree"), tree)
    try:
        merge_edges(read_circuit(file, top=top))
    except SvtError as error:
        assert str(error).startswith(str(file))


@pytest.mark.parametrize("name", ["circuit.txt", "circuit", "circuit.pt"])
def test_the_extension_selects_the_format(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(SvtError, match=r"pass a circuit as .graphml, .csv or .json"):
        read_circuit(tmp_path / name)
    with pytest.raises(SvtError, match="no such file"):
        read_circuit(tmp_path / "gone.json")


def test_ranking_with_zero_or_equal_scores(tmp_path: Path) -> None:
    """Scores of nodes leave the edges at 0; ties at the cut are reported."""
    tree = eap(out=tuple(EAP))
    for edge in tree["edges"].values():
        edge["score"] = 0.0
    with pytest.raises(SvtError, match=r"weighs 0, as all 5 edges do, .* leave --top out"):
        read_circuit(written(tmp_path, tree), top=2)
    for name, score in zip(tree["edges"], (3, 1, 1, 1, 1, 0, 0, 0), strict=True):
        tree["edges"][name]["score"] = score
    circuit = read_circuit(written(tmp_path, tree), top=3)
    assert [edge.mean for edge in circuit.edges] == [3.0, 1.0, 1.0]
    assert circuit.left_out[-1].endswith(
        "; 3 edges weigh 1, of which the first 2 in the file were taken"
    )


def test_heads_in_the_graph_are_a_circuit_of_heads(tmp_path: Path) -> None:
    tree = eap(out=tuple(EAP))
    tree["nodes"]["a1.h0"]["in_graph"] = False
    circuit = read_circuit(written(tmp_path, tree))
    assert (circuit.edges, circuit.alone) == ((), {(0, 1): None, (1, 1): None})


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("logits->a2.h1<q>", "1 edges from the logits"),
        ("a1.h1->input", "1 edges into the embedding"),
        ("a1.h1->bias 3", "1 edges into biases"),
    ],
)
def test_edges_without_a_table_are_counted(tmp_path: Path, name: str, left_out: str) -> None:
    tree = eap()
    tree["edges"] = {name: {"score": 1, "in_graph": True}}
    assert read_json(written(tmp_path, tree), None, None).left_out == (left_out,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 8_000_000_000_000_000_000}, "n_visits of the edges"),
        ({"weight": 1e308}, "weights"),
    ],
)
def test_sums_beyond_their_type_are_refused(
    tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    firings = [[8, 6, " to", " a"], [8, 6, " to", " b"]]
    edges = [{"source": f, "target": [9, 6, " to", " a"], "type": "d", **values} for f in firings]
    nodes = [{"id": f} for f in (*firings, [9, 6, " to", " a"])]
    file = written(tmp_path, {"nodes": nodes, "links": edges})
    with pytest.raises(SvtError, match=rf"link 0: (the )?{message}.* add up to"):
        merge_edges(read_circuit(file))


def over_prompts(by: str, *prompts: list[int]) -> dict[str, Any]:
    """Return two firings of 8.6 with these prompts, on `by` nodes or links, that write for 9.6."""
    down = [9, 6, " to", " Mary"]
    up = [[8, 6, " to", " John"], [8, 6, " to", " and"]]
    ends = {"prompts_appeared": [0, 1, 2, 3, 4]} if by == "nodes" else {}
    named = [{"prompts_appeared": each} for each in prompts]
    nodes, links = (named, [{}, {}]) if by == "nodes" else ([{}, {}], named)
    return {
        "nodes": [{"id": u, **n} for u, n in zip(up, nodes, strict=True)] + [{"id": down, **ends}],
        "links": [
            {"source": u, "target": down, "type": "d", "weight": 0.5, **link}
            for u, link in zip(up, links, strict=True)
        ],
    }


@pytest.mark.parametrize("by", ["nodes", "links"])
def test_prompts_that_edges_appeared_in_are_counted(tmp_path: Path, by: str) -> None:
    """0, 1, 2 and 2, 3: four prompts, in each of which 9.6 fires once; weights are no total."""
    circuit = read_json(written(tmp_path, over_prompts(by, [0, 1, 2], [2, 3])), None, None)
    (row,) = merge_edges(circuit)
    assert (row["n_prompts"], row["n_firings"], row["n_visits"]) == (4, 4, None)
    assert (row["total"], row["mean"], circuit.count) == (None, None, "prompts")
    assert bool(circuit.notes) == (by == "nodes")


def test_prompts_of_some_edges_only_give_no_count(tmp_path: Path) -> None:
    tree = over_prompts("links", [0, 1, 2], [2, 3])
    del tree["links"][1]["prompts_appeared"]
    (row,) = merge_edges(read_json(written(tmp_path, tree), None, None))
    assert (row["n_prompts"], row["n_firings"]) == (None, None)


def test_a_total_over_prompts_is_no_mean(tmp_path: Path) -> None:
    """6 over three prompts is 2 a firing."""
    tree = over_prompts("links", [0, 1, 2], [2])
    del tree["links"][1]
    tree["links"][0] |= {"total": 6.0}
    (row,) = merge_edges(read_json(written(tmp_path, tree), None, None))
    assert (row["n_prompts"], row["total"], row["mean"]) == (3, 6.0, 2.0)


@pytest.mark.parametrize("value", ["[0, [1]]", [], 3, "[0", {"a": 1}, [True]])
def test_invalid_prompts_are_refused(tmp_path: Path, value: Any) -> None:
    tree = over_prompts("links", [0], [1])
    tree["links"][1]["prompts_appeared"] = value
    with pytest.raises(SvtError, match=r"link 1: prompts_appeared is .* must be a list of prompts"):
        read_json(written(tmp_path, tree), None, None)
