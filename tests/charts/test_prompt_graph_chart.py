"""The trace through one prompt: what becomes a node and an edge, and what is left out first."""

from typing import Any

import polars as pl

from svt.charts import prompt_graph as module
from svt.charts.prompt_graph import prompt_graph
from svt.charts.style import specification

TOKENS = pl.DataFrame(
    {
        "pos": [0, 1, 2, 3],
        "token": ["When", " Mary", " gave", " to"],
        "role": [None, "IO", None, "end"],
    }
)
SCHEMA = {
    "prompt_id": pl.Int32,
    "n_shown": pl.Int64,
    "pair_id": pl.Int64,
    "layer": pl.UInt8,
    "head": pl.UInt8,
    "dest": pl.UInt16,
    "src": pl.UInt16,
    "dest_token": pl.String,
    "src_token": pl.String,
    "dest_role": pl.String,
    "src_role": pl.String,
    "weight": pl.Float32,
    "score": pl.Float32,
    "n_slices": pl.UInt16,
    "is_root": pl.Boolean,
    "side": pl.String,
    "component": pl.String,
    "up_layer": pl.UInt8,
    "up_head": pl.UInt8,
    "up_fires": pl.Boolean,
    "contribution": pl.Float64,
    "share": pl.Float64,
    "effect": pl.Float32,
    "pattern": pl.String,
}

Spec = dict[str, Any]


def row(
    pair: tuple[int, int, int, int],
    side: str | None = None,
    up: tuple[int, int] | None = None,
    contribution: float | None = None,
    effect: float | None = None,
    root: bool = False,
    fires: bool = True,
) -> tuple[Any, ...]:
    """A row of the query for the pair (layer, head, dest, src) of prompt 7."""
    layer, head, dest, src = pair
    tokens, roles = TOKENS["token"].to_list(), TOKENS["role"].to_list()
    pair_id = ((layer * 9 + head) * 9 + dest) * 9 + src
    return (
        *(7, 12, pair_id, *pair, tokens[dest], tokens[src], roles[dest], roles[src]),
        *(0.75, 2.5, 4, root, side, side and "head", *(up or (None, None))),
        *(side is not None and fires, contribution, side and 0.5, effect),
        "name mover" if roles[src] == "IO" else None,
    )


ROOT, WRITER, READER = (2, 0, 3, 1), (1, 1, 3, 2), (0, 5, 1, 0)
ROWS = [
    row(ROOT, "dest", (1, 1), 3.0, 0.25, root=True),
    row(ROOT, "src", (0, 5), 2.0, -0.5, root=True),
    row(ROOT, "src", (0, 4), 9.0, 0.6, root=True, fires=False),
    row(WRITER),
    row(READER),
]


def drawn(*prompts: list[tuple[Any, ...]], n_traced: int | None = None) -> Spec:
    frames = [pl.DataFrame(rows, schema=SCHEMA, orient="row") for rows in prompts]
    return specification(prompt_graph([(frame, TOKENS) for frame in frames], n_traced))


def with_field(spec: Spec, field: str) -> list[dict[str, Any]]:
    """The rows of the first layer whose rows have this field."""
    for layer in spec["layer"]:
        rows = layer["data"]["values"]
        if rows and field in rows[0]:
            return rows
    raise AssertionError(f"no layer has {field}")


def test_a_node_is_a_head_at_the_token_that_it_attends_from() -> None:
    nodes = {node["label"]: node for node in with_field(drawn(ROWS), "slices")}
    assert set(nodes) == {"2.0", "1.1", "0.5"}
    assert nodes["2.0"]["x"] == nodes["1.1"]["x"] > nodes["0.5"]["x"]
    assert nodes["2.0"]["y"] > nodes["1.1"]["y"] > nodes["0.5"]["y"]
    assert [label for label, node in nodes.items() if node["root"]] == ["2.0"]
    root = nodes["2.0"]
    assert (root["pattern"], nodes["1.1"]["pattern"]) == ("name mover", "–")
    assert root["pair"] == " to (3) ->  Mary (1)"
    assert (root["roles"], root["weight"], root["score"], root["slices"]) == (
        *("end -> IO", 0.75, 2.5, 4),
    )


def test_edges_have_their_side_and_the_effect_of_their_removal() -> None:
    """The strongest last, so on top; the one from 0.4, which does not fire there, stays out."""
    lines = with_field(drawn(ROWS), "hinders")
    keys = ("from", "to", "side", "token", "contribution", "share", "effect", "size", "hinders")
    assert [tuple(line[key] for key in keys) for line in lines] == [
        ("1.1", "2.0", "destination", " to", 3.0, 0.5, 0.25, 0.25, False),
        ("0.5", "2.0", "source", " Mary", 2.0, 0.5, -0.5, 0.5, True),
    ]


def test_without_effects_contributions_make_the_width() -> None:
    rows = [(*each[:-2], None, each[-1]) for each in ROWS]
    lines = with_field(drawn(rows), "hinders")
    assert [(line["size"], line["hinders"]) for line in lines] == [(2.0, False), (3.0, False)]


def test_by_coverage_contributions_make_the_width() -> None:
    frame = pl.DataFrame(ROWS, schema=SCHEMA, orient="row")
    chart = prompt_graph([(frame, TOKENS)], by_effect=False)
    sizes = [line["size"] for line in with_field(specification(chart), "hinders")]
    assert sizes == [2.0, 3.0]


def test_every_token_has_a_column_with_its_text_and_role() -> None:
    names = with_field(drawn(ROWS), "token")
    tokens = [(name["token"], name["role"]) for name in names if "x" in name and "role" in name]
    assert tokens == [("When", ""), ("Mary", "IO"), ("gave", ""), ("to", "end")]
    assert [name["x"] for name in names] == sorted({name["x"] for name in names})


def test_what_a_head_attends_to_is_a_dot_in_that_column() -> None:
    spec = drawn(ROWS)
    columns = [name["x"] for name in with_field(spec, "token")]
    dots = {line["node"]: line["to_x"] for line in with_field(spec, "to_x")}
    numbers = {node["label"]: node["node"] for node in with_field(spec, "slices")}
    attended = {"2.0": 1, "1.1": 2, "0.5": 0}
    assert {label: dots[numbers[label]] for label in attended} == {
        label: columns[pos] for label, pos in attended.items()
    }


def test_what_is_left_out_is_said(monkeypatch: Any) -> None:
    spec = drawn(ROWS)
    assert spec["title"]["text"] == "The trace through one prompt"
    assert with_field(spec, "line")[0]["line"] == (
        "Prompt 7: 2 edges between heads that fire; not shown: 1 edge from writers that do not "
        "fire at the token they write to"
    )
    monkeypatch.setattr(module, "MAX_EDGES", 1)
    narrowed = with_field(drawn(ROWS), "line")[0]["line"]
    assert narrowed.startswith("Prompt 7: the strongest 1 of 2 edges between heads that fire;")


def test_a_menu_chooses_among_prompts() -> None:
    """Every mark is filtered by the menu, which stands at the first prompt and names its text."""
    other = [(8, *each[1:]) for each in ROWS[:1] + ROWS[3:]]
    spec = drawn(ROWS, other, n_traced=40)
    menu = next(param for param in spec["params"] if param["name"] == "chosen_prompt")
    assert (menu["value"], menu["bind"]["options"]) == (7, [7, 8])
    assert menu["bind"]["labels"][0] == "7: When Mary gave to"
    assert {layer["transform"][0]["filter"] for layer in spec["layer"]} == {
        "datum.prompt === chosen_prompt"
    }
    assert [(line["prompt"], line["from"]) for line in with_field(spec, "hinders")] == [
        *((7, "1.1"), (7, "0.5"), (8, "1.1")),
    ]
    assert spec["title"]["subtitle"][0].startswith("The menu has 2 of 40 traced prompts")


def test_one_prompt_needs_no_menu() -> None:
    spec = drawn(ROWS)
    assert "chosen_prompt" not in str(spec)
    assert "menu" not in str(spec["title"])


def test_the_strongest_edges_hang_together(monkeypatch: Any) -> None:
    """0.5 -> 1.1 is stronger than all, but of no use without the weak 1.1 -> 2.0 above it.

    So it ranks with that one, below 0.6 -> 2.0.
    """
    rows = [
        row(ROOT, "dest", (1, 1), 1.0, 0.1, root=True),
        row(ROOT, "src", (0, 6), 1.0, 0.2, root=True),
        row(WRITER, "dest", (0, 5), 1.0, 0.9),
        row((0, 5, 3, 2)),
        row((0, 6, 1, 0)),
    ]
    for n, expected in ((1, ["0.6"]), (2, ["1.1", "0.6"]), (3, ["0.5", "1.1", "0.6"])):
        monkeypatch.setattr(module, "MAX_EDGES", n)
        assert [line["from"] for line in with_field(drawn(rows), "hinders")] == expected


def test_nodes_are_bounded_too(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MAX_NODES", 2)
    assert len(with_field(drawn(ROWS), "slices")) == 2


def test_a_prompt_that_no_trace_reaches_says_so() -> None:
    spec = drawn([])
    assert spec["mark"]["type"] == "text"
    assert "has no firing of this prompt" in str(spec)
