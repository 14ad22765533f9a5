"""The marks of the traced graph: encodings, the slider's filters, what the pointer lights up."""

import json

import polars as pl
import pytest

from svt.charts.graph import graph
from svt.charts.page import vl_convert
from svt.charts.style import GREEN, GREY, SIDE_COLOURS, specification
from tests.charts.frames import edges_frame, layers_of

ANSWER = pl.DataFrame(
    {
        "layer": [2, 1],
        "head": [0, 1],
        "is_root": [True, False],
        "n_prompts": [8, 8],
        "n_positive": [8, 8],
        "mean": [2.0, 0.5],
        "share": [0.8, 0.2],
    }
)


@pytest.fixture
def spec(edges, nodes) -> dict:
    return specification(graph(edges, nodes, min_count=60))


def seen_edges(spec: dict) -> dict:
    (layer,) = [p for p in layers_of(spec, "point") if "strokeWidth" in p["encoding"]]
    return layer


def unseen(spec: dict, data: str) -> dict:
    (layer,) = [
        p
        for p in layers_of(spec, "point")
        if p["mark"].get("opacity") == 0 and p["data"]["name"] == data
    ]
    return layer


def test_encodings_say_side_contribution_and_counts(spec):
    encoding = seen_edges(spec)["encoding"]
    assert encoding["color"]["field"] == "side"
    assert encoding["color"]["scale"]["domain"] == ["destination", "source"]
    assert encoding["color"]["scale"]["range"] == [SIDE_COLOURS["dest"], SIDE_COLOURS["src"]]
    assert encoding["strokeWidth"]["field"] == "size"
    assert encoding["opacity"]["field"] == "count"
    assert encoding["shape"]["field"] == "path" and encoding["shape"]["scale"] is None


def test_the_slider_changes_no_scale(spec):
    """The scales are those of all edges: the largest total is 40, the largest count 90."""
    encoding = seen_edges(spec)["encoding"]
    assert encoding["strokeWidth"]["scale"]["domain"] == [0, 40]
    assert encoding["opacity"]["scale"]["domain"] == [0, 90]
    assert encoding["strokeWidth"]["legend"]["values"] == [10, 40]


def test_the_slider_hides_edges_and_nodes_but_no_roots(spec):
    for layer in spec["layer"]:
        name = layer["data"].get("name")
        filters = [t["filter"] for t in layer.get("transform", []) if "filter" in t]
        if name == "edges":
            assert filters[0] == "datum.strength >= least"
            assert filters[1:] in ([], ["!datum.over"], ["datum.over"])
        if name == "nodes":
            assert filters[0] == "datum.most >= least || datum.kind == 'root'"
    most = {(n["label"], n["role"]): n["most"] for n in spec["datasets"]["nodes"]}
    assert most == {
        ("2.0", "end"): 90,
        ("1.1", "end"): 90,
        ("1.2", "IO"): 80,
        ("0.3", "S2"): 60,
        ("1.1", "S2"): 5,
    }


def test_the_pointer_reads_the_numbers_of_an_edge(spec):
    layer = unseen(spec, "edges")
    assert {tooltip["field"] for tooltip in layer["encoding"]["tooltip"]} == {
        "from", "to", "side", "role", "dest_role", "src_role",
        "prompts", "firings", "visits", "total", "mean",
    }  # fmt: skip
    titles = [tooltip.get("title", tooltip["field"]) for tooltip in layer["encoding"]["tooltip"]]
    assert len(set(titles)) == len(titles)  # of two lines with the same title one is lost
    assert layer["mark"]["strokeWidth"] > 7  # wider than the widest edge
    assert layer["mark"]["fill"] == "none"  # else an edge would take all that lies within its bend


def test_the_pointer_reads_the_numbers_of_a_head(spec):
    fields = {tooltip["field"] for tooltip in unseen(spec, "nodes")["encoding"]["tooltip"]}
    assert fields == {"label", "role", "class", "prompts", "firings"}
    assert all(isinstance(node["class"], str) for node in spec["datasets"]["nodes"])
    assert spec["layer"][-1] == unseen(spec, "nodes")  # on top, or a label would take the pointer


def test_a_head_knows_its_edges_and_the_heads_at_their_ends(spec):
    nodes = {n["node"]: n for n in spec["datasets"]["nodes"]}
    edges = {e["edge"]: e for e in spec["datasets"]["edges"]}
    name = {i: (n["label"], n["role"]) for i, n in nodes.items()}
    ends = {i: (name[e["up"]], name[e["down"]]) for i, e in edges.items()}
    assert ends == {
        0: (("1.1", "end"), ("2.0", "end")),
        1: (("1.2", "IO"), ("2.0", "end")),
        2: (("0.3", "S2"), ("1.1", "end")),
        3: (("1.1", "S2"), ("2.0", "end")),
    }
    head = next(n for n in nodes.values() if name[n["node"]] == ("1.1", "end"))
    assert head["edges"] == [0, 2]
    assert {name[int(i)]: most for i, most in head["near"].items()} == {
        ("2.0", "end"): 90,
        ("0.3", "S2"): 60,
    }


def test_what_is_pointed_at_fades_the_rest(spec):
    pointed = {p["name"]: p["select"] for p in spec["params"] if "select" in p}
    assert {name: select["fields"] for name, select in pointed.items()} == {
        "pointed_edge": ["edge"],
        "pointed_node": ["node"],
    }
    assert all(select["on"] == "pointerover" for select in pointed.values())
    condition = seen_edges(spec)["encoding"]["opacity"]["condition"]
    assert "pointed_edge" in condition["test"] and "pointed_node" in condition["test"]
    assert "datum.up" in condition["value"]["expr"] and "datum.down" in condition["value"]["expr"]
    (label,) = [t for t in layers_of(spec, "text") if t["mark"]["style"] == "label"]
    assert ">= least" in json.dumps(label["encoding"]["opacity"]["condition"])


def test_marks_of_nodes_by_kind(spec):
    kinds = {
        layer["mark"]["style"]: layer["transform"][-1]["filter"]
        for layer in layers_of(spec, "point")
        if "style" in layer["mark"] and len(layer["mark"].get("shape", "")) == 0
    }
    assert kinds == {
        "ring": "datum.reference",
        "node": "datum.kind == 'head'",
        "root": "datum.kind == 'root'",
    }
    (box,) = [p for p in layers_of(spec, "point") if "shape" in p["mark"]]
    assert box["transform"][-1]["filter"] == "datum.kind == 'other'"


@pytest.mark.parametrize("answer", [None, ANSWER], ids=["edges alone", "answer"])
def test_the_legend_of_widths_is_grey(edges, nodes, answer):
    """Vega-Lite would draw its lines without a colour, or in that of the lines to the answer."""
    spec = specification(graph(edges, nodes, min_count=60, answer=answer))
    legends = vl_convert().vegalite_to_vega(spec)["legends"]
    (widths,) = [legend for legend in legends if legend["title"] == "total contribution"]
    assert widths["encode"]["symbols"]["update"]["stroke"]["value"] == GREY


def test_a_still_picture_shows_the_start(edges, nodes):
    """One visible path for each edge from the threshold on, of the two sides' colours."""
    svg = vl_convert().vegalite_to_svg(specification(graph(edges, nodes, min_count=60)))
    drawn = [line for line in svg.split("<path ") if "M0,0C" in line and 'opacity="0"' not in line]
    assert len(drawn) == 3
    assert sum(SIDE_COLOURS["dest"] in line for line in drawn) == 1
    assert "Now shown" not in svg


@pytest.mark.parametrize(("least", "n_lines"), [(60, 1), (96, 0), (5, 1)])
def test_a_line_to_the_answer_needs_its_head(edges, nodes, least, n_lines):
    """1.1 is shown at end from 90 prompts down; the root 2.0 always."""
    spec = specification(graph(edges, nodes, min_count=60, answer=ANSWER))
    (slider,) = [param for param in spec["params"] if param["name"] == "least"]
    slider["value"] = least
    paths = vl_convert().vegalite_to_svg(spec).split("<path ")
    drawn = [path for path in paths if f'stroke="{GREEN}"' in path and "; width: " in path]
    assert len(drawn) == 1 + n_lines


@pytest.mark.parametrize(("least", "message"), [(1, "1 prompt<"), (2, "2 prompts<")])
def test_a_line_says_what_the_slider_shows(edges, nodes, least, message):
    once = edges.with_columns(n_prompts=pl.col("n_prompts").replace(5, 1))
    spec = specification(graph(once, nodes, min_count=60))
    (slider,) = [param for param in spec["params"] if param["name"] == "least"]
    slider["value"] = least
    assert f", in at least {message}" in vl_convert().vegalite_to_svg(spec)


def test_a_large_graph_stays_small(nodes):
    """All edges that may be drawn, in less than 400 kB."""
    roles = ["IO", "S1", "S2", "end"]
    rows = [
        (b // 8, b % 8, "head", 9, a, "src", roles[b % 4], 900 - 9 * a - b, 9999, 99999, 77.7777)
        for a in range(9)
        for b in range(30)
    ]
    spec = specification(graph(edges_frame([(*row, "end", "IO") for row in rows]), nodes))
    assert len(spec["datasets"]["edges"]) == 250
    assert len(json.dumps(spec)) < 400_000
