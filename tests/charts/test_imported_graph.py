"""The graph of an imported circuit, which may not tell sides, roles, counts and weights."""

import re

import pytest

from svt.charts.curves import points_of
from svt.charts.graph import graph
from svt.charts.layout import Edge, Node, lay_out
from svt.charts.style import SIDE_COLOURS, specification
from svt.words import NO_ROLE
from tests.charts.frames import edges_frame, layers_of, nodes_frame, subtitle

UNTOLD = (None, None)


@pytest.fixture
def spec() -> dict:
    """Scores of one visit each, one of them large and negative, one without a score."""
    edges = edges_frame(
        [
            (1, 0, "head", 4, 0, "dest", None, None, None, 1, 0.5, *UNTOLD),
            (1, 1, "head", 4, 0, None, None, None, None, 1, -8.0, *UNTOLD),
            (0, None, "mlp", 1, 1, "src", None, None, None, 1, None, *UNTOLD),
        ]
    )
    nodes = nodes_frame([(4, 0, False, None, None, True, "mover")])
    return specification(graph(edges, nodes, count="visits", heading="theirs, imported"))


def test_what_the_import_lacks_is_drawn_all_the_same(spec):
    drawn = {(e["from"], e["to"]): e for e in spec["datasets"]["edges"]}
    assert drawn.keys() == {("1.0", "4.0"), ("1.1", "4.0"), ("mlp 0", "1.1")}
    assert [drawn["1.1", "4.0"][name] for name in ("side", "role", "total", "size")] == [
        None, NO_ROLE, -8.0, 8.0,
    ]  # fmt: skip
    assert drawn["mlp 0", "1.1"]["size"] is drawn["mlp 0", "1.1"]["mean"] is None
    assert {node["role"] for node in spec["datasets"]["nodes"]} == {NO_ROLE}
    message = subtitle(spec)
    assert "Grey: side unknown." in message
    assert "Filled: root" not in message


def test_an_edge_without_a_weight_is_drawn(spec):
    """As a line of the least width: the renderer drops what has no width by default."""
    import vl_convert

    svg = vl_convert.vegalite_to_svg(spec)
    sides = ("#8A8F98", *(SIDE_COLOURS[side] for side in ("dest", "src")))
    lines = [
        re.findall(rf'fill="none" stroke="{colour}" stroke-width="([\d.]+)"', svg, re.I)
        for colour in sides
    ]
    assert "0.7" in lines[2]  # the MLP writes into the source


def test_widths_are_of_sizes_and_the_strongest_is_on_top(spec):
    (seen,) = [p for p in layers_of(spec, "point") if "strokeWidth" in p["encoding"]]
    assert seen["encoding"]["strokeWidth"]["scale"]["domain"] == [0, 8.0]
    assert seen["encoding"]["color"]["condition"] == {"test": "!datum.side", "value": "#8A8F98"}
    assert spec["datasets"]["edges"][-1]["total"] == -8.0


def test_the_pointer_reads_only_what_the_import_holds(spec):
    tips = [
        p["encoding"]["tooltip"] for p in layers_of(spec, "point") if "tooltip" in p["encoding"]
    ]
    edges, nodes = ({tip["field"] for tip in tip_list} for tip_list in tips)
    assert edges == {"from", "to", "side", "role", "visits", "total"}
    assert nodes == {"label", "role", "class"}


def test_curves_beyond_the_columns_leave_the_layers_names_free():
    """Many lines past the nodes of one column: the picture reaches as far as the widest of them."""
    nodes = [Node(layer, head, NO_ROLE) for layer in range(8) for head in range(3)]
    edges = [Edge(up, down, "dest", NO_ROLE) for up in nodes[:3] for down in nodes[-3:]]
    layout = lay_out(nodes, edges)
    left, right = layout.sides
    across = [x for curve in layout.curves.values() for x in points_of(curve)[:, 0]]
    assert min(across) < 0 and left == min(across)
    assert right == max(layout.width, *across)
    assert lay_out(nodes[:1], []).sides == (0, lay_out(nodes[:1], []).width)
