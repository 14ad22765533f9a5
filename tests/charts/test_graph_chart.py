"""The traced graph: which edges and nodes it holds, where they are, and its texts."""

import polars as pl
import pytest

from svt.charts.graph import MAX_EDGES, graph, select_top_layers, with_roles
from svt.charts.layout import Edge, Node
from svt.charts.style import Chart, specification
from svt.words import NO_ROLE
from tests.charts.frames import edges_frame, nodes_frame, subtitle

ROOT = nodes_frame([(20, 0, True, 200, 200, False, None)])


SPECS: dict[int, tuple[Chart, dict]] = {}


def spec(chart: Chart) -> dict:
    """Its specification, made once."""
    if id(chart) not in SPECS:
        SPECS[id(chart)] = chart, specification(chart)
    return SPECS[id(chart)][1]


def lines(chart: Chart) -> list[dict]:
    return spec(chart)["datasets"]["edges"]


def points(chart: Chart) -> list[dict]:
    return spec(chart)["datasets"]["nodes"]


def slider(chart: Chart) -> dict:
    (found,) = [p for p in spec(chart)["params"] if p["name"] == "least"]
    return found


def shown(chart: Chart) -> list[dict]:
    """The edges that are seen at the start."""
    start = slider(chart)["value"]
    return [e for e in lines(chart) if e["count"] >= start]


def place(chart: Chart, label: str, role: str) -> tuple[float, float]:
    (node,) = [n for n in points(chart) if n["label"] == label and n["role"] == role]
    return node["x"], node["y"]


def message(chart: Chart) -> str:
    return subtitle(spec(chart))


def fan(n: int, count: int | None = None) -> pl.DataFrame:
    """n heads that feed root 20.0 at IO, the i-th in 1 + i prompts."""
    return edges_frame(
        [
            (i // 12, i % 12, "head", 20, 0, "src", "IO", *[count or 1 + i] * 3, 1.0, "end", "IO")
            for i in range(n)
        ]
    )


def test_edges_from_the_threshold_on_are_seen(edges, nodes):
    chart = graph(edges, nodes, min_count=60)
    drawn = {(e["from"], e["to"], e["role"]): e for e in shown(chart)}
    assert set(drawn) == {("1.1", "2.0", "end"), ("1.2", "2.0", "IO"), ("0.3", "1.1", "S2")}
    first = drawn["1.1", "2.0", "end"]
    assert (first["prompts"], first["firings"], first["visits"]) == (90, 95, 200)
    assert first["total"] == 40 and first["mean"] == pytest.approx(40 / 95, abs=1e-4)
    assert (first["dest_role"], first["src_role"]) == ("end", "IO")
    assert message(chart).startswith("3 edges in at least 60 prompts; 1 weaker not shown.")


def test_the_threshold_is_compared_with_the_chosen_count(edges, nodes):
    chart = graph(edges, nodes, count="visits", min_count=75)
    assert {(e["from"], e["role"]) for e in shown(chart)} == {("1.1", "end"), ("1.2", "IO")}
    assert slider(chart)["value"] == 75
    assert "3 edges in at least 61 firings; 1 weaker" in message(
        graph(edges, nodes, count="firings", min_count=61)
    )


def test_strong_edges_are_drawn_over_weak_ones(edges, nodes):
    assert [e["prompts"] for e in lines(graph(edges, nodes))] == [5, 60, 80, 90]


def test_a_node_is_a_head_at_the_role_it_writes_to(edges, nodes):
    chart = graph(edges, nodes)
    assert {(n["label"], n["role"]) for n in points(chart)} == {
        ("2.0", "end"),
        ("1.1", "end"),
        ("1.1", "S2"),
        ("1.2", "IO"),
        ("0.3", "S2"),
    }
    s2, end = place(chart, "1.1", "S2"), place(chart, "1.1", "end")
    assert s2[1] == end[1] and s2[0] < end[0]
    assert place(chart, "2.0", "end")[1] > end[1] > place(chart, "0.3", "S2")[1]


def test_a_source_edge_ends_where_its_firings_attend_from(edges, nodes):
    """1.1 stands at end and at S2; it reads what 0.3 writes from end, or from any other place."""

    def ends(frame: pl.DataFrame) -> tuple[str, str]:
        chart = graph(frame, nodes)
        at = {n["node"]: n["role"] for n in points(chart)}
        (edge,) = [e for e in lines(chart) if e["from"] == "0.3"]
        return at[edge["up"]], at[edge["down"]]

    def elsewhere(role: str | None) -> pl.DataFrame:
        other = pl.when(pl.col("up_layer") == 0).then(pl.lit(role))
        return edges.with_columns(dest_role=other.otherwise("dest_role"))

    assert ends(edges) == ("S2", "end")
    assert ends(elsewhere("S2")) == ("S2", "S2")
    assert ends(elsewhere(None)) == ("S2", NO_ROLE)


def test_roots_and_reference_heads_look_different(edges, nodes):
    chart = graph(edges, nodes)
    kinds = {(n["label"], n["role"]): (n["kind"], n["reference"]) for n in points(chart)}
    assert kinds["2.0", "end"] == ("root", False)
    assert kinds["1.1", "S2"] == kinds["1.1", "end"] == ("head", True)
    assert kinds["1.2", "IO"] == ("head", False)
    assert "Ringed: in the reference." in message(chart)
    nobody = nodes.with_columns(in_reference=pl.lit(False))
    assert "Ringed" not in message(graph(edges, nobody))


def test_a_root_is_one_only_where_it_is_traced_from(nodes):
    edges = edges_frame(
        [
            (2, 0, "head", 3, 1, "src", "S2", 9, 9, 9, 3.0, "end", "S2"),
            (1, 2, "head", 2, 0, "dest", "S2", 9, 9, 9, 3.0, "S2", "IO"),
        ]
    )
    kinds = {(n["label"], n["role"]): n["kind"] for n in points(graph(edges, nodes))}
    assert (kinds["2.0", "end"], kinds["2.0", "S2"]) == ("root", "head")


def test_other_components_are_no_heads(nodes):
    """An embedding stands below layer 0, and no MLP takes the ring of a head that is -1."""
    edges = edges_frame(
        [
            (0, None, "mlp", 2, 0, "dest", "end", 9, 9, 9, 3.0, "end", None),
            (None, None, "embed", 2, 0, "src", "IO", 8, 8, 8, 2.0, "end", "IO"),
        ]
    )
    chart = graph(edges, nodes)
    others = {n["label"] for n in points(chart) if n["kind"] == "other"}
    assert others == {"mlp 0", "embed"}
    assert place(chart, "embed", "IO")[1] < place(chart, "mlp 0", "end")[1]


def test_the_slider_goes_over_all_counts_from_the_threshold(edges, nodes):
    found = slider(graph(edges, nodes, min_count=60))
    assert found["value"] == 60
    assert (found["bind"]["input"], found["bind"]["min"], found["bind"]["max"]) == ("range", 5, 90)
    assert "prompts" in found["bind"]["name"]
    visits = slider(graph(edges, nodes, count="visits", min_count=70))
    assert (visits["value"], visits["bind"]["min"], visits["bind"]["max"]) == (70, 5, 200)


def test_a_slider_that_has_nothing_to_move_is_not_there(edges, nodes):
    assert "bind" not in slider(graph(edges.head(1), nodes))


def test_the_numbers_of_every_place_of_the_slider(edges, nodes):
    """Counts 5, 60, 80 and 90; at 5 the head 1.1 comes forth at S2 also, which is no other head."""
    (levels,) = [
        layer["data"]["values"]
        if "values" in layer["data"]
        else spec["datasets"][layer["data"]["name"]]
        for spec in [specification(graph(edges, nodes, min_count=60))]
        for layer in spec["layer"]
        if any("calculate" in t for t in layer.get("transform", []))
    ]
    assert [(v["low"], v["high"], v["text"]) for v in levels] == [
        (5, 5, "4 edges, 4 heads"),
        (6, 60, "3 edges, 4 heads"),
        (61, 80, "2 edges, 3 heads"),
        (81, 90, "1 edge, 2 heads"),
    ]


def test_a_weaker_edge_without_room_is_not_drawn_but_counted(nodes):
    """2.5 finds room in the row of 2.0, above three heads; 0.5 none, as layer 0 has no row."""
    edges = edges_frame(
        [
            *[(1, h, "head", 2, 0, "dest", "end", 90, 90, 90, 40.0, "end", None) for h in range(3)],
            (1, 1, "head", 2, 5, "dest", "end", 10, 10, 10, 4.0, "end", None),
            (0, 5, "head", 2, 0, "dest", "end", 10, 10, 10, 2.0, "end", None),
        ]
    )
    chart = graph(edges, nodes, min_count=50)
    assert {(e["from"], e["to"]) for e in lines(chart)} == {
        ("1.0", "2.0"),
        ("1.1", "2.0"),
        ("1.2", "2.0"),
        ("1.1", "2.5"),
    }
    assert slider(chart)["bind"]["min"] == 10
    assert "'4 of 5 edges, 5 heads'" in str(specification(chart))
    assert message(chart).startswith("3 edges in at least 50 prompts; 2 weaker not shown.")


def test_weaker_edges_move_nothing(edges, nodes):
    """The start is drawn as if there were no weaker edges."""
    alone = graph(edges.filter(pl.col("n_prompts") >= 60), nodes, min_count=60)
    chart = graph(edges, nodes, min_count=60)
    for label, role in (("2.0", "end"), ("1.1", "end"), ("1.2", "IO"), ("0.3", "S2")):
        assert place(chart, label, role) == place(alone, label, role)
    assert [e["path"] for e in shown(chart)] == [e["path"] for e in lines(alone)]
    assert specification(chart)["width"] == specification(alone)["width"]


def test_a_root_without_edges_is_one_node(nodes):
    chart = graph(edges_frame([]), nodes.head(1))
    assert [n["label"] for n in points(chart)] == ["2.0"]
    assert lines(chart) == []
    assert message(chart).startswith("No edges")


def test_roots_alone_are_next_to_one_another():
    both = nodes_frame([(20, h, True, 200, 200, False, None) for h in (0, 1)])
    chart = graph(edges_frame([]), both)
    (x0, y0), (x1, y1) = place(chart, "20.0", "end"), place(chart, "20.1", "end")
    assert (x1 - x0, y1) == (1, y0)


def test_an_empty_trace_is_a_message():
    spec = specification(graph(edges_frame([]), nodes_frame([])))
    assert "No edges" in str(spec)
    assert "layer" not in spec


def test_a_threshold_above_every_edge_leaves_the_roots(edges, nodes):
    chart = graph(edges, nodes, min_count=1000)
    assert message(chart).startswith("0 edges in at least 1,000 prompts; 4 weaker not shown.")
    assert [n["label"] for n in points(chart)] == ["2.0"]


def test_a_large_graph_narrows_to_the_strongest_and_says_so():
    """A root fed by 150 heads, the head i in 1 + i prompts: 99 of them fit beside the root."""
    chart = graph(fan(150), ROOT)
    assert len(shown(chart)) == 99
    assert {e["prompts"] for e in shown(chart)} == set(range(52, 151))
    assert slider(chart)["value"] == 52
    assert message(chart).startswith(
        "Narrowed to the strongest 99 edges, for at most 100 nodes and 250 edges: "
        "51 more in at least 1 prompt and 0 weaker not shown."
    )


def test_ties_with_the_weakest_shown_edge_stay_hidden():
    """150 edges in 7 prompts each: 99 are shown, and the slider cannot tell them from the rest."""
    chart = graph(fan(150, count=7), ROOT)
    assert len(lines(chart)) == 99
    assert slider(chart)["value"] == 7


def test_no_more_edges_than_a_reader_can_follow():
    """20 heads with 20 edges each to heads above: 400 edges between 40 nodes."""
    rows = [
        (0, a, "head", 1, b, "dest", "end", *[1 + 20 * a + b] * 3, 1.0, "end", None)
        for a in range(20)
        for b in range(20)
    ]
    chart = graph(edges_frame(rows), ROOT)
    assert len(lines(chart)) == MAX_EDGES
    assert {e["count"] for e in lines(chart)} == set(range(151, 401))
    weaker = graph(edges_frame(rows), ROOT, min_count=300)
    assert (len(shown(weaker)), len(lines(weaker))) == (101, MAX_EDGES)


def test_the_top_layers_are_the_upper_third_of_what_is_shown(edges, nodes):
    """A third of the layers 0 to 2 is none below 2, so it is two; then layers 0 to 6, from 4 on."""
    top, least, left_out = select_top_layers(edges, "n_prompts", 1)
    assert least == 1
    assert top.equals(edges.filter(pl.col("up_layer") == 1))
    assert left_out == "Layers 1 to 2; 1 edge from below not shown."
    higher = edges_frame(
        [
            (4, 0, "head", 6, 1, "dest", "end", 9, 9, 9, 3.0, "end", None),
            (4, 1, "head", 6, 1, "dest", "end", 2, 2, 2, 3.0, "end", None),
            (3, 1, "head", 6, 1, "dest", "end", 9, 9, 9, 3.0, "end", None),
            (None, None, "embed", 6, 1, "dest", "end", 9, 9, 9, 3.0, "end", None),
        ]
    )
    top, least, left_out = select_top_layers(pl.concat([edges, higher]), "n_prompts", 5)
    assert least == 4
    assert top.select("up_layer", "up_head").rows() == [(4, 0), (4, 1)]
    assert left_out == "Layers 4 to 6; 6 edges from below not shown."
    assert left_out in message(graph(top, nodes, min_count=5, left_out=left_out))
    assert select_top_layers(edges, "n_prompts", 1000)[0].is_empty()


def test_the_same_rows_in_another_order_give_the_same_chart(edges, nodes):
    once = specification(graph(edges, nodes))
    assert once == specification(graph(edges.reverse(), nodes.reverse()))


def test_nodes_order_and_name_themselves():
    assert Node(-1, -1, "IO", "embed").label == "embed"
    assert Node(-1, -1, "IO", "pos_embed").label == "pos"
    assert Node(3, -1, "IO", "bias").label == "bias 3"
    assert Edge(Node(0, 1, "IO"), Node(1, 2, "end"), "src", "IO").up.label == "0.1"


def test_a_node_names_what_its_head_mostly_attends_to():
    """From S2 mostly to S1+1; what it does from end belongs to another node."""
    edges = edges_frame(
        [(1, 0, "head", 20, 0, "src", "S2", 90, 90, 90, 9.0, "end", "S2")]
    )  # 1.0 writes into S2
    nodes = nodes_frame([(1, 0, False, 90, 90, False, None), (20, 0, True, 200, 200, False, None)])
    roles = pl.DataFrame(
        {
            "layer": [1, 1, 1],
            "head": [0, 0, 0],
            "dest_role": ["S2", "S2", "end"],
            "src_role": ["S1+1", "S1", None],
            "share": [0.75, 0.25, 0.1],
            "pattern": ["induction", "duplicate token", None],
        },
        schema_overrides={"layer": pl.UInt8, "head": pl.UInt8},
    )
    spec = specification(graph(edges, with_roles(nodes, roles)))
    does = {row["label"]: row["does"] for row in spec["datasets"]["nodes"]}
    assert does == {"1.0": "S2 -> S1+1 (induction), 75% of the prompts", "20.0": None}
    assert "does" in str(spec["layer"][-1]["encoding"]["tooltip"])
