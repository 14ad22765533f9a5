import random
from itertools import combinations, pairwise

from svt.charts.layout import CELL_WIDTH, Edge, Node, lay_out, role_order


def edge(up: tuple, down: tuple) -> Edge:
    return Edge(Node(*up), Node(*down), "dest", up[2])


def random_graph(seed: int, n_edges: int = 150) -> list[Edge]:
    chance = random.Random(seed)
    roles = ["IO", "S1", "S2", "end", "elsewhere"]
    edges = set()
    while len(edges) < n_edges:
        layer = chance.randrange(1, 8)
        down = (layer, chance.randrange(8), chance.choice(roles))
        edges.add(edge((chance.randrange(layer), chance.randrange(8), chance.choice(roles)), down))
    return sorted(edges, key=lambda e: (e.up, e.down))


def test_no_two_nodes_come_closer_than_their_size():
    for seed in range(3):
        layout = lay_out([], random_graph(seed))
        for a, b in combinations(layout.position.values(), 2):
            assert abs(a[0] - b[0]) >= 0.99 or abs(a[1] - b[1]) >= 0.99


def test_every_node_stands_in_its_column_and_row():
    layout = lay_out([], random_graph(5))
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
    straight = lay_out([], [edge((0, 0, "end"), (2, 0, "end"))]).curves[0]
    assert {round(x, 6) for x, _ in straight} == {round(straight[0][0], 6)}
    layout = lay_out([Node(1, 0, "end")], [edge((0, 0, "end"), (2, 0, "end"))])
    x, y = layout.position[Node(1, 0, "end")]
    assert min((p - x) ** 2 + (q - y) ** 2 for p, q in layout.curves[0]) > 0.2


def test_edges_between_the_same_nodes_do_not_coincide():
    first = edge((0, 0, "end"), (1, 0, "end"))
    both = [first, Edge(first.up, first.down, "src", "end")]
    one, other = lay_out([], both).curves
    assert one != other and one[0] == other[0] and one[-1] == other[-1]


def test_curves_rise():
    for curve in lay_out([], random_graph(1)).curves:
        assert all(a[1] < b[1] for a, b in pairwise(curve))


def test_a_full_cell_takes_more_lines():
    nodes = [Node(0, head, "end") for head in range(2 * CELL_WIDTH + 1)]
    assert len({y for _, y in lay_out(nodes, []).position.values()}) == 3


def test_roles_stand_as_in_the_prompt():
    assert role_order(["end", "zeta", "S2", "IO", "alpha", "IO"]) == [
        "IO",
        "S2",
        "end",
        "alpha",
        "zeta",
    ]


def test_nothing_to_lay_out():
    layout = lay_out([], [])
    assert (layout.position, layout.curves, layout.width, layout.height) == ({}, [], 0, 0)
