import random
from functools import cache
from itertools import combinations, pairwise

import numpy as np
import pytest

from svt.charts.curves import CLEARANCE, between_discs, points_of, rising
from svt.charts.layout import LEAST_IN_LINE, WIDTH, Edge, Layout, Node, lay_out, sort_roles
from tests.marks import first


def edge(up: tuple, down: tuple) -> Edge:
    return Edge(Node(*up), Node(*down), "dest", up[2])


def points(layout: Layout, edge: Edge) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points_of(layout.curves[edge])]


def random_graph(seed: int, n_edges: int = 150) -> list[Edge]:
    chance = random.Random(seed)
    roles = ["IO", "S1", "S2", "end", "elsewhere"]
    edges = set()
    while len(edges) < n_edges:
        layer = chance.randrange(1, 8)
        down = (layer, chance.randrange(8), chance.choice(roles))
        edges.add(edge((chance.randrange(layer), chance.randrange(8), chance.choice(roles)), down))
    return sorted(edges, key=lambda e: (e.up, e.down))


@cache
def laid_out(seed: int) -> Layout:
    return lay_out([], random_graph(seed))


@pytest.mark.parametrize("seed", first(1, range(3)))
def test_no_two_nodes_come_closer_than_their_size(seed):
    for a, b in combinations(laid_out(seed).position.values(), 2):
        assert abs(a[0] - b[0]) >= 0.99 or abs(a[1] - b[1]) >= 0.99


def test_every_node_is_in_its_column_and_row():
    layout = laid_out(0)
    columns = {role: (left, right) for role, left, right in layout.columns}
    rows = {layer: (bottom, top) for layer, bottom, top in layout.rows}
    for node, (x, y) in layout.position.items():
        assert columns[node.role][0] + 0.5 <= x <= columns[node.role][1] - 0.5
        assert rows[node.layer][0] + 0.4 <= y <= rows[node.layer][1] - 0.4
    assert max(right for _, right in columns.values()) == layout.width


def test_sweeps_undo_a_crossing():
    """0.0 feeds 1.1 and 0.1 feeds 1.0: in the order of their numbers the two lines would cross."""
    layout = lay_out([], [edge((0, 0, "end"), (1, 1, "end")), edge((0, 1, "end"), (1, 0, "end"))])
    x = {node.label: at[0] for node, at in layout.position.items()}
    assert (x["0.0"] < x["0.1"]) == (x["1.1"] < x["1.0"])


def test_an_edge_bends_around_a_node_in_between():
    long = edge((0, 0, "end"), (2, 0, "end"))
    straight = points(lay_out([], [long]), long)
    assert {round(x, 6) for x, _ in straight} == {round(straight[0][0], 6)}
    layout = lay_out([Node(1, 0, "end")], [long])
    x, y = layout.position[Node(1, 0, "end")]
    assert min((p - x) ** 2 + (q - y) ** 2 for p, q in points(layout, long)) > 0.2


def test_the_part_between_discs_lies_on_the_curve():
    """Outside discs of 0.5 around both ends, and nowhere off the whole curve."""
    whole = rising((0.0, 0.0), (2.0, 4.0), 1.0)
    part = points_of(between_discs(whole, 0.5))
    line = np.vstack([points_of(between_discs(whole, 0.0)), points_of(whole)])
    for x, y in part.tolist():
        assert min(x**2 + y**2, (x - 2) ** 2 + (y - 4) ** 2) > 0.5**2
        assert min((line[:, 0] - x) ** 2 + (line[:, 1] - y) ** 2) < 0.1**2
    assert min(x**2 + y**2 for x, y in part.tolist()) < 0.8**2


def test_edges_that_pass_a_node_are_over_it():
    """Of 150 edges in a dense picture some find no way around; no other passes a node."""
    layout = laid_out(0)
    passing = set()
    for each in layout.curves:
        others = [p for n, p in layout.position.items() if n not in (each.up, each.down)]
        gaps = [(x - p) ** 2 + (y - q) ** 2 for x, y in points(layout, each) for p, q in others]
        passing |= {each} if min(gaps) < CLEARANCE**2 else set()
    assert layout.over == passing
    assert 0 < len(passing) < len(layout.curves) / 2


def test_edges_between_the_same_nodes_do_not_coincide():
    first = edge((0, 0, "end"), (1, 0, "end"))
    second = Edge(first.up, first.down, "src", "end")
    curves = lay_out([], [first, second]).curves
    one, other = curves[first], curves[second]
    assert one != other and one[0] == other[0] and one[-1] == other[-1]


def test_curves_rise():
    layout = laid_out(0)
    for each in random_graph(0):
        assert all(a[1] < b[1] for a, b in pairwise(points(layout, each)))


def test_a_cell_is_one_line_where_the_width_allows():
    nodes = [Node(0, head, "end") for head in range(9)]
    alone = lay_out(nodes, [])
    assert len({y for _, y in alone.position.values()}) == 1
    roles = ["IO", "S1", "S1+1", "S2", "end"]
    many = lay_out([Node(0, head, role) for head in range(9) for role in roles], [])
    assert len({y for _, y in many.position.values()}) > 1
    assert many.width <= WIDTH


def test_no_line_is_shorter_than_a_few_nodes():
    """Even where twelve columns make the picture wider than it should be."""
    roles = [f"role {i}" for i in range(12)]
    layout = lay_out([Node(0, h, role) for h in range(2 * LEAST_IN_LINE) for role in roles], [])
    assert len({y for _, y in layout.position.values()}) == 2


def test_a_flat_picture_is_drawn_apart():
    """Rows of wide cells stand further apart than those of narrow ones."""

    def row_height(n: int) -> float:
        layout = lay_out([Node(layer, head, "end") for layer in (0, 1) for head in range(n)], [])
        return layout.rows[0][2] - layout.rows[0][1]

    assert row_height(1) < row_height(12) <= 4


def weak(up: tuple, down: tuple) -> tuple[list[Edge], Edge]:
    return [edge((0, 0, "end"), (1, 0, "end")), edge((0, 1, "end"), (1, 0, "end"))], edge(up, down)


def test_a_weaker_node_takes_a_free_place_of_its_cell():
    edges, weaker = weak((0, 2, "end"), (1, 5, "end"))
    before, after = lay_out([], edges), lay_out([], edges, [weaker])
    assert {n: after.position[n] for n in before.position} == before.position
    assert [after.curves[e] for e in edges] == [before.curves[e] for e in edges]
    assert (after.width, after.height) == (before.width, before.height)
    assert weaker not in after.curves  # layer 0 is full: two slots, two nodes
    edges, weaker = weak((0, 1, "end"), (1, 5, "end"))
    assert weaker not in lay_out([], edges, [weaker]).curves  # 1.0 stands in the middle of two
    wide = [edge((0, h, "end"), (1, 0, "end")) for h in range(4)]
    after = lay_out([], wide, [weaker])
    x, y = after.position[Node(1, 5, "end")]
    assert y == after.position[Node(1, 0, "end")][1]
    assert abs(x - after.position[Node(1, 0, "end")][0]) >= 1
    assert 0.5 <= x <= after.width - 0.5
    assert after.curves[weaker][-1] == (x, y)


def test_a_weaker_node_without_column_or_row_stays_out():
    edges, weaker = weak((0, 2, "IO"), (1, 0, "end"))
    assert lay_out([], edges, [weaker]).position.keys() == lay_out([], edges).position.keys()
    edges, weaker = weak((1, 0, "end"), (2, 2, "end"))
    assert lay_out([], edges, [weaker]).curves.keys() == set(edges)


def test_weaker_nodes_do_not_cover_others():
    edges = random_graph(2, 150)
    layout = lay_out([], edges[::2], edges[1::2])
    assert set(edges[::2]) < layout.curves.keys() < set(edges)
    assert layout.position.keys() == {n for e in layout.curves for n in (e.up, e.down)}
    for a, b in combinations(layout.position.values(), 2):
        assert abs(a[0] - b[0]) >= 0.99 or abs(a[1] - b[1]) >= 0.99


def test_roles_are_in_the_order_of_the_prompt():
    assert sort_roles(["end", "zeta", "S2", "IO", "alpha", "IO"]) == [
        "IO",
        "S2",
        "end",
        "alpha",
        "zeta",
    ]


def test_columns_are_in_the_order_of_tokens() -> None:
    """An order counts where some role is none of the indirect-object prompts."""
    order = ["end-12", "S1", "IO", "end-9", "end"]
    assert sort_roles(["end-9", "end", "end-12", "IO"], order) == ["end-12", "IO", "end-9", "end"]
    assert sort_roles(["S1", "IO", "end"], order) == ["IO", "S1", "end"]


def test_nothing_to_lay_out():
    layout = lay_out([], [])
    assert (layout.position, layout.curves, layout.width, layout.height) == ({}, {}, 0, 0)


def test_a_column_without_nodes_keeps_its_place():
    layout = lay_out([Node(1, 0, "b")], [], columns=["a", "b", "c"])
    assert [role for role, *_ in layout.columns] == ["a", "b", "c"]
    (_, left, right) = layout.columns[1]
    assert left < layout.position[Node(1, 0, "b")][0] < right
