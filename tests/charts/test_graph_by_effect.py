"""The traced graph by effect: what an edge's strength is, what is drawn, and its texts."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from svt.charts import Context, draw, trace_figures
from svt.charts.graph import MAX_NODES, graph
from svt.charts.graph_strength import with_effects
from svt.charts.layout import Node
from svt.charts.style import Chart, specification
from svt.config import Head
from tests import settings
from tests.charts.frames import edges_frame, nodes_frame, subtitle

ROOTS = [Node(9, 0, "end")]
NODES = nodes_frame([(9, 0, True, 10, 10, False, None)])

ANSWER = pl.DataFrame(
    schema={"layer": pl.UInt8, "head": pl.UInt8, "is_root": pl.Boolean, "n_prompts": pl.Int64,
            "n_positive": pl.Int64, "mean": pl.Float64, "share": pl.Float64}
)  # fmt: skip

Row = tuple[Head, Head, str, str, int, float, str]  # up, down, side, role, firings, effect, from


def edges_of(*rows: Row) -> pl.DataFrame:
    """Rows of `graph_links`, each edge in as many prompts as it has firings, contributing 1."""
    frame = edges_frame(
        [
            (*up, "head", *down, side, role, *[n] * 3, 1.0, dest, None)
            for up, down, side, role, n, _, dest in rows
        ]
    )
    return frame.with_columns(effect=pl.Series([row[5] for row in rows], dtype=pl.Float64))


@pytest.fixture
def edges() -> pl.DataFrame:
    """Of 10 prompts. 7.0 has one way to the root, over 8.0, and one of no use, over 8.1 at S2."""
    return edges_of(
        ((8, 0), (9, 0), "dest", "end", 5, 0.2, "end"),
        ((7, 0), (8, 0), "src", "S2", 10, 0.8, "end"),
        ((6, 0), (7, 0), "dest", "S2", 10, 0.05, "S2"),
        ((7, 0), (8, 1), "src", "S2", 10, 0.9, "S2"),  # 8.1 writes nothing at S2
        ((8, 2), (9, 0), "dest", "end", 10, -0.3, "end"),
    )


def strengths(edges: pl.DataFrame) -> dict[str, tuple[float, float]]:
    ranked, _ = with_effects(edges, ROOTS, 10)
    names = pl.format("{}.{} {}.{}", "up_layer", "up_head", "layer", "head")
    return {name: (size, strength) for name, size, strength in ranked.select(
        names, "size", "strength").iter_rows()}  # fmt: skip


def shown(chart: Chart) -> dict[str, dict[str, Any]]:
    spec = specification(chart)
    (least,) = [p["value"] for p in spec["params"] if p["name"] == "least"]
    return {
        f"{e['from']} {e['to']}": e for e in spec["datasets"]["edges"] if e["strength"] >= least
    }


def test_an_edge_is_as_strong_as_its_way_to_a_root(edges: pl.DataFrame) -> None:
    """5 of 10 prompts lose 0.2: 0.1 each. What comes in over that edge is no stronger."""
    assert strengths(edges) == {
        "8.0 9.0": (pytest.approx(0.1), 0.1),
        "7.0 8.0": (pytest.approx(0.8), 0.1),
        "6.0 7.0": (pytest.approx(0.05), 0.05),
    }


def test_of_many_ways_the_strongest_counts(edges: pl.DataFrame) -> None:
    more = edges_of(((7, 0), (9, 0), "dest", "S2", 10, 0.3, "end"))
    assert strengths(pl.concat([edges, more]))["6.0 7.0"] == (pytest.approx(0.05), 0.05)
    assert strengths(pl.concat([edges, more]))["7.0 8.0"][1] == 0.1
    strong = edges.with_columns(
        effect=pl.when(pl.col("up_layer") == 6).then(0.9).otherwise("effect")
    )
    assert strengths(strong)["6.0 7.0"][1] == 0.1
    assert strengths(pl.concat([strong, more]))["6.0 7.0"][1] == 0.3


def test_suppressors_and_edges_that_lead_nowhere_are_counted(edges: pl.DataFrame) -> None:
    assert with_effects(edges, ROOTS, 10)[1].startswith("2 edges without effect or path to a root")
    assert with_effects(edges.head(3), ROOTS, 10)[1] == ""
    unknown = edges.with_columns(effect=pl.lit(None, pl.Float64))
    assert with_effects(unknown, ROOTS, 10)[0].is_empty()


def test_threshold_and_widths_are_effects(edges: pl.DataFrame) -> None:
    ranked, _ = with_effects(edges, ROOTS, 10)
    chart = graph(ranked, NODES, by_effect=True, min_count=0.05)
    sizes = {name: edge["size"] for name, edge in shown(chart).items()}
    assert sizes == {"8.0 9.0": 0.1, "7.0 8.0": 0.8, "6.0 7.0": 0.05}
    spec = specification(chart)
    assert subtitle(spec).startswith("3 edges with an effect of at least 0.050; all")
    (bind,) = [p["bind"] for p in spec["params"] if p["name"] == "least"]
    assert (bind["min"], bind["max"], bind["step"]) == (0.05, 0.1, 0.001)
    assert "'3 edges, 4 heads'" in str(spec) and "format(least, '.3f')" in str(spec)
    (widths,) = [
        layer["encoding"]["strokeWidth"]
        for layer in spec["layer"]
        if "strokeWidth" in layer["encoding"]
    ]
    assert (widths["title"], widths["scale"]["domain"]) == ("weight lost without it", [0, 0.8])


def test_what_is_narrowed_hangs_together() -> None:
    """Each of 60 chains of two has the strength of its weaker, upper edge: all are equally strong,
    and no lower edge is shown without its upper one.
    """
    rows = [
        row
        for i in range(60)
        for row in (
            ((8, i), (9, 0), "dest", "end", 10, 0.1, "end"),
            ((7, i), (8, i), "dest", "end", 10, 0.9, "end"),
        )
    ]
    ranked, _ = with_effects(edges_of(*rows), ROOTS, 10)
    drawn = shown(graph(ranked, NODES, by_effect=True, min_count=0.01))
    lower = {name.split()[1] for name in drawn if name.startswith("7.")}
    upper = {name.split()[0] for name in drawn if name.startswith("8.")}
    assert lower and lower <= upper
    assert len(upper) + len(lower) == MAX_NODES - 1


@pytest.mark.parametrize("by_effect", [False, True])
def test_every_edge_shows_contribution_and_effect(edges: pl.DataFrame, by_effect: bool) -> None:
    frame = with_effects(edges, ROOTS, 10)[0] if by_effect else edges
    chart = graph(frame, NODES, by_effect=by_effect, min_count=0.01)
    edge = shown(chart)["8.0 9.0"]
    assert (edge["total"], edge["effect"]) == (1.0, 0.2)
    (message,) = [
        [tooltip["field"] for tooltip in layer["encoding"]["tooltip"]]
        for layer in specification(chart)["layer"]
        if layer["data"].get("name") == "edges" and "tooltip" in layer["encoding"]
    ]
    assert {"total", "mean", "effect"} <= set(message)


@pytest.mark.parametrize(
    ("edges", "rule", "by_effect"),
    [(None, "coverage", False), (None, "effect", True), ("effect", "coverage", True),
     ("coverage", "effect", False)],
)  # fmt: skip
def test_unless_chosen_the_graph_goes_by_the_trace(
    edges: str | None, rule: str, by_effect: bool
) -> None:
    assert context(edges, rule).by_effect is by_effect


@pytest.mark.parametrize(
    ("figure", "least"), [("graph", 0.01), ("graph_skeleton", 0.04), ("graph_top", 0.01)]
)
def test_a_figure_by_effect_names_rules_and_threshold(
    monkeypatch: pytest.MonkeyPatch, edges: pl.DataFrame, figure: str, least: float
) -> None:
    """From 0.06 lost in a sixth of the prompts on, in two thirds for the skeleton."""
    seen: list[dict[str, Any]] = []

    def drawn(frame: pl.DataFrame, nodes: pl.DataFrame, **settings: Any) -> Chart:
        seen.append(settings)
        return graph(frame, nodes, **settings)

    def ask(query: str, **_: Any) -> pl.DataFrame:
        frames = {"graph_links": edges, "graph_nodes": NODES, "answer_edges": ANSWER}
        return frames.get(query, edges.clear())

    monkeypatch.setattr(trace_figures, "graph", drawn)
    monkeypatch.setattr(trace_figures, "with_verdicts", lambda edges, _: edges)
    monkeypatch.setattr(trace_figures, "with_roles", lambda nodes, _: nodes)
    chosen = context("effect", "coverage", min_effect=0.06, min_share=1 / 6)
    spec = specification(draw(figure, ask, chosen).chart)
    assert seen[0]["min_count"] == least
    assert spec["title"]["text"].endswith(", by effect")
    assert "Traced by coverage: the strongest contributions that exceed 70%" in subtitle(spec)
    assert "ordered by the weight lost without them" in subtitle(spec)


def context(
    edges: str | None, rule: str, roots: Sequence[Head] = ((9, 0),), **more: Any
) -> Context:
    trace = dataclasses.replace(settings.TRACE, rule=rule, **more)  # type: ignore[arg-type]
    chart = dataclasses.replace(settings.CHART, edges=edges)  # type: ignore[arg-type]
    return Context(trace, roots, 600, chart)
