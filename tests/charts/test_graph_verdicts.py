"""What interventions say of the edges of the graph: in words, in the tooltip, as a dash."""

import polars as pl

from svt.charts.graph import graph, with_verdicts
from svt.charts.style import specification
from tests.charts.frames import subtitle

VALIDATED = {
    "layer": pl.UInt8,
    "head": pl.UInt8,
    "side": pl.Enum(["dest", "src"]),
    "dest_role": pl.String,
    "src_role": pl.String,
    "up_layer": pl.UInt8,
    "up_head": pl.UInt8,
    "random_low": pl.Float64,
    "validated": pl.Boolean,
    "helps": pl.Boolean,
}


def validated(*rows: tuple) -> pl.DataFrame:
    """Rows without `helps` help the answer if they are validated at all."""
    filled = [row if len(row) == len(VALIDATED) else (*row, row[-1] or None) for row in rows]
    return pl.DataFrame(filled, schema=VALIDATED, orient="row")


INTO_END = (2, 0, "dest", "end", None, 1, 1)
INTO_IO = (2, 0, "src", None, "IO", 1, 2)


def verdicts(edges: pl.DataFrame, found: pl.DataFrame) -> dict[tuple, str]:
    message = with_verdicts(edges, found)
    assert message.drop("causal").equals(edges)
    return {
        (row["up_layer"], row["up_head"], row["side"], row["role"]): row["causal"]
        for row in message.to_dicts()
    }


def test_an_edge_is_known_by_the_role_it_writes_to(edges):
    found = verdicts(edges, validated((*INTO_END, 0.0, True), (*INTO_IO, 0.0, False)))
    assert (found[1, 1, "dest", "end"], found[1, 2, "src", "IO"]) == ("helps", "no")
    assert sorted(found.values()) == ["helps", "no", "not tested", "not tested"]
    elsewhere = (2, 0, "src", "end", "S2", 1, 2)  # end is the role at the other side
    assert set(verdicts(edges, validated((*elsewhere, 0.0, True))).values()) == {"not tested"}


def test_one_of_many_changes_of_an_edge_is_enough(edges):
    found = verdicts(edges, validated((*INTO_END, 0.0, False), (*INTO_END, 0.0, True)))
    assert found[1, 1, "dest", "end"] == "helps"


def test_without_a_control_nothing_is_said(edges, nodes):
    message = with_verdicts(edges, validated((*INTO_END, None, False)))
    assert message.equals(edges)
    spec = specification(graph(message, nodes))
    assert "ablation" not in subtitle(spec) and "causal" not in str(spec)


def test_the_picture_says_what_validated_its_edges(edges, nodes):
    message = with_verdicts(edges, validated((*INTO_END, 0.0, True), (*INTO_IO, 0.0, False)))
    spec = specification(graph(message, nodes, min_count=60))
    words = "Tested by ablation: 1 of 2 edges causal, 1 for the answer and 0 against it (dotted)"
    assert words in subtitle(spec)
    seen, felt = [layer for layer in spec["layer"] if layer.get("data", {}).get("name") == "edges"]
    dash, dots, both = seen["encoding"]["strokeDash"]["condition"]
    assert dash["test"] == "datum.causal === 'no'"
    assert dots["test"] == "datum.causal === 'hinders'"
    assert both["test"] == "datum.causal === 'too few prompts'"
    assert {"field": "causal", "type": "nominal"} in felt["encoding"]["tooltip"]
    causal = {(e["from"], e["role"]): e["causal"] for e in spec["datasets"]["edges"]}
    assert (causal["1.1", "end"], causal["1.2", "IO"]) == ("helps", "no")
    # 1.1 into end alone reaches 85: the other tested edge is not shown, and not counted.
    few = subtitle(specification(graph(message, nodes, min_count=85)))
    assert "Tested by ablation: 1 of 1 edge causal" in few


def test_edges_against_the_answer_and_of_too_few_prompts(edges, nodes):
    rows = ((*INTO_END, 0.0, True, False), (*INTO_IO, 0.0, None, None))
    message = with_verdicts(edges, validated(*rows))
    causal = {(row["up_head"], row["role"]): row["causal"] for row in message.to_dicts()}
    assert (causal[1, "end"], causal[2, "IO"]) == ("hinders", "too few prompts")
    words = subtitle(specification(graph(message, nodes, min_count=60)))
    assert "1 of 1 edge causal, 0 for the answer and 1 against it (dotted)" in words
    assert "1 in too few prompts (dash-dotted)." in words
