import polars as pl
import pytest

from svt.charts.graph import graph
from svt.charts.layout import Edge, Node
from svt.charts.style import SIDE_COLOURS, specification
from tests.charts.frames import (
    edges_frame,
    firings_frame,
    layers_of,
    nodes_frame,
    rows_of,
    subtitle,
)


def lines(spec: dict) -> list[dict]:
    (layer,) = layers_of(spec, "line")
    return rows_of(spec, layer)


def node_rows(spec: dict) -> list[dict]:
    return rows_of(spec, layers_of(spec, "point")[0])


def place(spec: dict, label: str, role: str) -> tuple[float, float]:
    (node,) = [n for n in node_rows(spec) if n["label"] == label and n["role"] == role]
    return node["x"], node["y"]


def test_edges_from_the_threshold_on_are_drawn(edges, nodes, firings):
    spec = specification(graph(edges, nodes, firings, min_count=60))
    drawn = {(e["from"], e["to"], e["role"]): e for e in lines(spec)}
    assert set(drawn) == {("1.1", "2.0", "end"), ("1.2", "2.0", "IO"), ("0.3", "1.1", "S2")}
    first = drawn["1.1", "2.0", "end"]
    assert (first["prompts"], first["firings"], first["visits"]) == (90, 95, 200)
    assert first["total"] == 40 and first["mean"] == pytest.approx(40 / 95, abs=1e-4)
    assert subtitle(spec).startswith("3 edges in at least 60 prompts; 1 weaker not shown.")


def test_the_threshold_is_held_against_the_chosen_count(edges, nodes, firings):
    spec = specification(graph(edges, nodes, firings, count="visits", min_count=75))
    assert {(e["from"], e["role"]) for e in lines(spec)} == {("1.1", "end"), ("1.2", "IO")}
    (line,) = layers_of(spec, "line")
    assert line["encoding"]["opacity"]["field"] == "visits"


def test_encodings_say_side_contribution_and_counts(edges, nodes, firings):
    (line,) = layers_of(specification(graph(edges, nodes, firings)), "line")
    encoding = line["encoding"]
    assert encoding["color"]["field"] == "side"
    assert encoding["color"]["scale"]["domain"] == ["destination", "source"]
    assert encoding["color"]["scale"]["range"] == [SIDE_COLOURS["dest"], SIDE_COLOURS["src"]]
    assert encoding["strokeWidth"]["field"] == "total"
    assert encoding["opacity"]["field"] == "prompts"
    shown = {tooltip["field"] for tooltip in encoding["tooltip"]}
    assert shown == {"from", "to", "side", "role", "prompts", "firings", "visits", "total", "mean"}


def test_strong_edges_are_drawn_over_weak_ones(edges, nodes, firings):
    assert [e["prompts"] for e in lines(specification(graph(edges, nodes, firings)))] == [
        5,
        60,
        80,
        90,
    ]


def test_a_node_is_a_head_at_the_role_it_writes_to(edges, nodes, firings):
    spec = specification(graph(edges, nodes, firings))
    assert {(n["label"], n["role"]) for n in node_rows(spec)} == {
        ("2.0", "end"),
        ("1.1", "end"),
        ("1.1", "S2"),
        ("1.2", "IO"),
        ("0.3", "S2"),
    }
    s2, end = place(spec, "1.1", "S2"), place(spec, "1.1", "end")
    assert s2[1] == end[1] and s2[0] < end[0]
    assert place(spec, "2.0", "end")[1] > end[1] > place(spec, "0.3", "S2")[1]


def test_a_source_edge_ends_where_its_head_fires_from(edges, nodes, firings):
    """1.1 stands at end and at S2; it fires onto S2 from end, so that is where 0.3 reaches it."""
    spec = specification(graph(edges, nodes, firings))
    (edge,) = [e for e in lines(spec) if e["from"] == "0.3"]
    assert (edge["x"][0], edge["y"][0]) == pytest.approx(place(spec, "0.3", "S2"), abs=0.01)
    assert (edge["x"][-1], edge["y"][-1]) == pytest.approx(place(spec, "1.1", "end"), abs=0.01)


def test_roots_are_filled_and_reference_heads_ringed(edges, nodes, firings):
    spec = specification(graph(edges, nodes, firings))
    kinds = {(n["label"], n["role"]): (n["kind"], n["reference"]) for n in node_rows(spec)}
    assert kinds["2.0", "end"] == ("root", False)
    assert kinds["1.1", "S2"] == kinds["1.1", "end"] == ("head", True)
    assert kinds["1.2", "IO"] == ("head", False)
    drawn = {
        point["mark"]["style"]: point["transform"][0]["filter"]
        for point in layers_of(spec, "point")
        if point["mark"].get("shape") != "square"
    }
    assert drawn == {
        "ring": "datum.reference",
        "node": "datum.kind == 'head'",
        "root": "datum.kind == 'root'",
    }
    assert "Ringed: in the reference." in subtitle(spec)
    nobody = nodes.with_columns(in_reference=pl.lit(False))
    assert "Ringed" not in subtitle(specification(graph(edges, nobody, firings)))


def test_a_root_is_one_only_where_it_is_traced_from(nodes, firings):
    edges = edges_frame(
        [
            (2, 0, "head", 3, 1, "src", "S2", 9, 9, 9, 3.0),
            (1, 2, "head", 2, 0, "dest", "S2", 9, 9, 9, 3.0),
        ]
    )
    spec = specification(graph(edges, nodes, firings))
    kinds = {(n["label"], n["role"]): n["kind"] for n in node_rows(spec)}
    assert (kinds["2.0", "end"], kinds["2.0", "S2"]) == ("root", "head")


def test_other_components_stand_as_squares(nodes, firings):
    edges = edges_frame(
        [
            (0, None, "mlp", 2, 0, "dest", "end", 9, 9, 9, 3.0),
            (None, None, "embed", 2, 0, "src", "IO", 8, 8, 8, 2.0),
        ]
    )
    spec = specification(graph(edges, nodes, firings))
    others = {(n["label"], n["kind"]) for n in node_rows(spec) if n["kind"] == "other"}
    assert others == {("mlp 0", "other"), ("embed", "other")}
    (square,) = [p for p in layers_of(spec, "point") if p["mark"].get("shape") == "square"]
    assert square["transform"][0]["filter"] == "datum.kind == 'other'"


def test_a_root_without_edges_is_one_node(nodes, firings):
    spec = specification(graph(edges_frame([]), nodes.head(1), firings))
    assert [n["label"] for n in node_rows(spec)] == ["2.0"]
    assert layers_of(spec, "line") == []
    assert subtitle(spec).startswith("No edges")


def test_an_empty_trace_is_a_message():
    chart = graph(edges_frame([]), nodes_frame([]), firings_frame([]))
    (row,) = rows_of(specification(chart))
    assert row["message"].startswith("No edges")


def test_a_threshold_above_every_edge_says_so(edges, nodes, firings):
    spec = specification(graph(edges, nodes, firings, min_count=1000))
    assert subtitle(spec).startswith("0 edges in at least 1,000 prompts; 4 weaker not shown.")


def test_a_large_graph_narrows_to_the_strongest_and_says_so(nodes, firings):
    """A root fed by 150 heads, the head i in 1 + i prompts: 99 of them fit beside the root."""
    rows = [(i // 12, i % 12, "head", 20, 0, "src", "IO", 1 + i, 1 + i, 1, 1.0) for i in range(150)]
    root = nodes_frame([(20, 0, True, 200, 200, False, None)])
    spec = specification(graph(edges_frame(rows), root, firings))
    assert len(node_rows(spec)) == 100
    assert {e["prompts"] for e in lines(spec)} == set(range(52, 151))
    assert subtitle(spec).startswith(
        "Narrowed to the strongest 99 edges, for at most 100 nodes: "
        "51 more in at least 1 prompt and 0 weaker not shown."
    )


def test_the_same_rows_in_another_order_give_the_same_chart(edges, nodes, firings):
    once = specification(graph(edges, nodes, firings))
    again = specification(graph(edges.reverse(), nodes.reverse(), firings.reverse()))
    assert once == again


def test_nodes_order_and_name_themselves():
    assert Node(-1, -1, "IO", "embed").label == "embed"
    assert Node(3, -1, "IO", "bias").label == "bias 3"
    assert Edge(Node(0, 1, "IO"), Node(1, 2, "end"), "src", "IO").up.label == "0.1"
