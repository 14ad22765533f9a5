"""The GraphML file, parsed back."""

from pathlib import Path
from xml.etree import ElementTree

import networkx
import polars as pl

from svt.query.graphml import write_graphml

SPACE = {"g": "http://graphml.graphdrawing.org/xmlns"}


def edges() -> pl.DataFrame:
    columns = [
        "up_layer", "up_head", "component", "layer", "head", "side", "role", "n_prompts",
        "n_firings", "n_visits", "total", "mean", "effect", "dest_role", "src_role",
    ]  # fmt: skip
    rows = [
        (8, 6, "head", 9, 6, "dest", "end", 7, 7, 9, 14.0, 2.0, 0.25, "end", "IO"),
        (2, 2, "head", 9, 6, "src", "IO", 5, 5, 5, 5.0, 1.0, None, "end", "IO"),
        (3, None, "mlp", 8, 6, "src", "S2 <&>", 4, 4, 4, 2.0, 0.5, None, None, "S2 <&>"),
        (None, None, "embed", 8, 6, "src", "S2 <&>", 4, 4, 4, 2.0, 0.5, None, "end", "S2 <&>"),
        (7, 1, "head", 8, 6, None, None, None, None, 1, None, None, None, None, None),
    ]
    return pl.DataFrame(rows, schema=columns, orient="row")


def nodes() -> pl.DataFrame:
    rows = [
        (2, 2, 0, False, False), (8, 6, 11, True, False), (9, 6, 12, True, False),
        (10, 0, None, False, True),
    ]  # fmt: skip
    columns = ["layer", "head", "n_firings", "in_reference", "is_root"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def values(element: ElementTree.Element) -> dict[str, str | None]:
    return {data.attrib["key"].split("_", 1)[1]: data.text for data in element}


def head(layer: int, head: int) -> dict[str, str]:
    return {"component": "head", "layer": str(layer), "head": str(head)}


def test_networkx_loads_it_with_types(tmp_path: Path) -> None:
    """5 edges between heads, 3 helpers from the nodes of a head at a role; 10 nodes."""
    file = tmp_path / "graph.graphml"
    write_graphml(file, edges(), nodes(), "visits")
    graph = networkx.read_graphml(file)
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (10, 8)
    assert graph.is_directed() and graph.graph["count_kind"] == "visits"
    at_role = graph.nodes["(9, 6, 'IO')"]
    assert (at_role["layer"], at_role["head"], at_role["role"]) == (9, 6, "IO")
    assert graph.edges["(8, 6)", "(9, 6, 'end')"]["weight"] == 2.0
    helpers = {ends[:2] for ends in graph.edges.data("helper") if ends[2]}
    at_roles = {(n, f"({v['layer']}, {v['head']})") for n, v in graph.nodes.items() if "role" in v}
    assert helpers == at_roles


def test_parsed_back(tmp_path: Path) -> None:
    file = tmp_path / "graph.graphml"
    write_graphml(file, edges(), nodes(), "visits")
    assert [path.name for path in tmp_path.iterdir()] == ["graph.graphml"]
    root = ElementTree.parse(file).getroot()
    keys = {key.attrib["id"] for key in root.findall("g:key", SPACE)}
    used = {data.attrib["key"] for data in root.iterfind(".//g:data", SPACE)}
    assert used <= keys
    found = {node.attrib["id"]: values(node) for node in root.iterfind(".//g:node", SPACE)}
    other = {"reference": "true", "root": "false"}
    assert found == {
        "(2, 2)": head(2, 2) | {"nfiring": "0", "reference": "false", "root": "false"},
        "(7, 1)": head(7, 1),
        "(8, 6)": head(8, 6) | {"nfiring": "11", **other},
        "(9, 6)": head(9, 6) | {"nfiring": "12", **other},
        # a root without edges, not met firing
        "(10, 0)": head(10, 0) | {"reference": "false", "root": "true"},
        "mlp 3": {"component": "mlp", "layer": "3"},
        "embed": {"component": "embed"},
        "(8, 6, 'S2 <&>')": head(8, 6) | {"role": "S2 <&>", "nfiring": "11", **other},
        "(9, 6, 'IO')": head(9, 6) | {"role": "IO", "nfiring": "12", **other},
        "(9, 6, 'end')": head(9, 6) | {"role": "end", "nfiring": "12", **other},
    }
    arrows = {
        (edge.attrib["source"], edge.attrib["target"]): values(edge)
        for edge in root.iterfind(".//g:edge", SPACE)
    }
    helpers = {ends: arrow.pop("helper") for ends, arrow in arrows.items()}
    assert helpers == {
        ends: "true" if arrow.get("type") == "attention" else "false"
        for ends, arrow in arrows.items()
    }
    assert arrows == {
        ("(8, 6)", "(9, 6, 'end')"): {
            "type": "d", "count": "9", "total": "14.0", "weight": "2.0", "effect": "0.25",
            "src_token": "IO", "dest_token": "end", "n_prompts": "7", "n_firings": "7",
            "n_visits": "9",
        },
        ("(2, 2)", "(9, 6, 'IO')"): {
            "type": "s", "count": "5", "total": "5.0", "weight": "1.0", "src_token": "IO",
            "dest_token": "end", "n_prompts": "5", "n_firings": "5", "n_visits": "5",
        },
        ("mlp 3", "(8, 6, 'S2 <&>')"): {
            "type": "s", "count": "4", "total": "2.0", "weight": "0.5", "src_token": "S2 <&>",
            "n_prompts": "4", "n_firings": "4", "n_visits": "4",
        },
        ("embed", "(8, 6, 'S2 <&>')"): {
            "type": "s", "count": "4", "total": "2.0", "weight": "0.5", "src_token": "S2 <&>",
            "dest_token": "end", "n_prompts": "4", "n_firings": "4", "n_visits": "4",
        },
        ("(7, 1)", "(8, 6)"): {"count": "1", "n_visits": "1"},  # an imported edge tells no more
        ("(9, 6, 'end')", "(9, 6)"): {"type": "attention"},
        ("(9, 6, 'IO')", "(9, 6)"): {"type": "attention"},
        ("(8, 6, 'S2 <&>')", "(8, 6)"): {"type": "attention"},
    }  # fmt: skip
    (graph,) = root.findall("g:graph", SPACE)
    of_graph = [data for data in graph if data.tag.endswith("data")]
    assert [(data.attrib["key"], data.text) for data in of_graph] == [
        ("graph_count_kind", "visits")
    ]


def test_an_empty_graph_is_a_graph(tmp_path: Path) -> None:
    file = tmp_path / "graph.graphml"
    write_graphml(file, edges().head(0), nodes().head(0), "prompts")
    assert ElementTree.parse(file).getroot().findall("g:graph", SPACE)
