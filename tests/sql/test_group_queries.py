"""Queries by template, by order and from prompt to prompt: literal rows in, expected rows out."""

import json
from typing import Any

import duckdb
import pytest

from svt.query.named import run
from tests.sql.test_result_queries import CONFIG, reached, rows
from tests.store_rows import StoreRows, insert

A, B = "when {A}", "then {A}"
PROMPTS = {0: (A, "ABBA"), 1: (A, "ABBA"), 2: (A, "BABA"), 3: (B, "BABA")}
FIRST = (2, 0, "head", 3, 0, "dest", "end")
RARE = (1, 0, "head", 3, 0, "src", "IO")
LATE = (1, 1, "head", 2, 0, "dest", "end")
KNOWN = {(2, 0): True, (1, 1): False, (0, 1): True}  # and whether it is reachable


def steps(
    store: StoreRows, edge: tuple[Any, ...], prompts: tuple[int, ...], src: int = 2
) -> list[dict[str, Any]]:
    up_layer, up_head, component, layer, head, side, _ = edge
    return [
        {
            "root_layer": 3, "root_head": 0, "prompt_id": prompt, "layer": layer, "head": head,
            "pair_id": store.pair_id(prompt, layer, head, 5, src), "dest": 5, "src": src,
            "side": side, "up_layer": up_layer, "up_head": up_head, "component": component,
            "contribution": 1.0, "visits": 2,
        }
        for prompt in prompts
    ]  # fmt: skip


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """Edges FIRST in every prompt, RARE in prompt 0, from two roots, LATE in prompt 3.

    3.0 fires from end onto IO in prompts 0, 1 and 3, in prompt 2 it does not; 2.1 in prompt 3 twice
    between tokens without a role, in prompt 0 with a negative score. The root is 3.0.
    """
    store = StoreRows(n_layers=4, n_heads=2)
    for prompt, (template, pattern) in PROMPTS.items():
        store.prompt(prompt, {"end": 5, "IO": 2}, n_tokens=6, template=template, pattern=pattern)
    for prompt, weight in enumerate((0.5, 1.0, 0.25, 1.0)):
        store.pair((prompt, 3, 0, 5, 2), weight=weight)
    store.pair((3, 2, 1, 4, 3), weight=0.75)
    store.pair((3, 2, 1, 3, 1), weight=1.0)
    store.pair((0, 2, 1, 4, 3), weight=1.0, score=-1.0)
    rare = steps(store, RARE, (0,))
    edges = [
        *steps(store, FIRST, (0, 1, 2, 3)), *rare, rare[0] | {"root_head": 1},
        *steps(store, LATE, (3,)),
    ]  # fmt: skip
    return store.connect(
        run=[{"config": json.dumps(CONFIG), "n_prompts": 4}],
        trace_pairs=[reached(store, (0, 3, 0, 5, 2), 0)],
        trace_edges=edges,
        reference_heads=[
            {"reference": "known", "layer": layer, "head": head, "reachable": reachable}
            for (layer, head), reachable in KNOWN.items()
        ],
    )


def test_edges_by_group(con: duckdb.DuckDBPyConnection) -> None:
    """Half of the three prompts of A is 2, of the one of B 1: RARE is shown by neither, LATE by B.

    Half of ABBA and of BABA is 1: ABBA shows RARE, once fired and visited twice from each root.
    """
    assert rows(con, "edges_by_group") == [
        (B, 1, *FIRST, 1, 1.0, 1, 2, True, 2),
        (A, 3, *FIRST, 3, 1.0, 3, 6, True, 2),
        (B, 1, *LATE, 1, 1.0, 1, 2, True, 1),
        (A, 3, *LATE, 0, 0.0, 0, 0, False, 1),
    ]
    by_pattern = run(con, "edges_by_group", by="pattern").rows()
    assert by_pattern == [
        ("ABBA", 2, *FIRST, 2, 1.0, 2, 4, True, 2),
        ("BABA", 2, *FIRST, 2, 1.0, 2, 4, True, 2),
        ("ABBA", 2, *LATE, 0, 0.0, 0, 0, False, 1),
        ("BABA", 2, *LATE, 1, 0.5, 1, 2, True, 1),
        ("ABBA", 2, *RARE, 1, 0.5, 1, 4, True, 1),
        ("BABA", 2, *RARE, 0, 0.0, 0, 0, False, 1),
    ]


def test_edges_by_group_separates_sides_and_firings(con: duckdb.DuckDBPyConnection) -> None:
    """In prompt 3 the root attends from end to itself, too: FIRST twice, once into the source."""
    store, into_src = StoreRows(n_layers=4, n_heads=2), (*FIRST[:5], "src", "end")
    for edge in (FIRST, into_src):
        insert(con, "results.trace_edges", steps(store, edge, (3,), src=5))
    assert rows(con, "edges_by_group")[:4] == [
        (B, 1, *FIRST, 1, 1.0, 2, 4, True, 2),
        (A, 3, *FIRST, 3, 1.0, 3, 6, True, 2),
        (B, 1, *LATE, 1, 1.0, 1, 2, True, 1),
        (A, 3, *LATE, 0, 0.0, 0, 0, False, 1),
    ]
    assert rows(con, "edges_by_group")[4:] == [
        (B, 1, *into_src, 1, 1.0, 1, 2, True, 1),
        (A, 3, *into_src, 0, 0.0, 0, 0, False, 1),
    ]


def test_edges_by_group_from_other_counts(con: duckdb.DuckDBPyConnection) -> None:
    """3 of 4 prompts is three quarters: 3 of A's, 1 of B's. By visits RARE has 4, above A's 3."""
    kept = run(con, "edges_by_group", min_count=3).filter("shown")
    assert kept.select("prompt_group", "up_layer", "up_head").rows() == [
        (B, 2, 0), (A, 2, 0), (B, 1, 1),
    ]  # fmt: skip
    every = run(con, "edges_by_group", by="pattern", min_count=4).filter("shown")
    assert set(every["up_layer"]) == {2}  # LATE is in half of BABA only
    kept = run(con, "edges_by_group", min_count=3, count="visits").filter("shown")
    assert kept.filter(side="src").select("prompt_group", "n_visits").rows() == [(A, 4)]


def test_precision_recall_by_group(con: duckdb.DuckDBPyConnection) -> None:
    """Known are 2.0, 1.1 and 0.1, all but 1.1 reachable. A: 3.0 and 2.0. B: 1.1 too."""
    assert rows(con, "precision_recall_by_group") == [
        ("known", B, 1, 2, 3, 2, 2 / 3, 2 / 3, 0.5, 4 / 6),
        ("known", A, 3, 1, 2, 1, 0.5, 1 / 3, 0.5, 2 / 5),
    ]


def test_precision_and_recall_without_edges_are_of_the_roots(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """More firings than any prompt has: the root alone, which nobody knows."""
    found = run(con, "precision_recall_by_group", by="pattern", count="visits", min_count=99)
    assert found.select("prompt_group", "n_edges", "n_heads", "precision", "f1").rows() == [
        ("ABBA", 0, 1, 0.0, 0.0),
        ("BABA", 0, 1, 0.0, 0.0),
    ]


def test_firing_rates(con: duckdb.DuckDBPyConnection) -> None:
    """Of A 3.0 fires in prompts 0 and 1 of three, weights 0.5 and 1."""
    assert rows(con, "firing_rates") == [
        (2, 1, None, None, B, 1, 1, 1.0, 0.875),
        (2, 1, None, None, A, 3, 0, 0.0, None),
        (3, 0, "end", "IO", B, 1, 1, 1.0, 1.0),
        (3, 0, "end", "IO", A, 3, 2, 2 / 3, 0.75),
    ]
    by_pattern = run(con, "firing_rates", by="pattern", min_rate=1.0)
    assert by_pattern.select("layer", "prompt_group", "rate").rows() == [
        (3, "ABBA", 1.0),
        (3, "BABA", 0.5),
    ]
    traced = run(con, "firing_rates", traced=True)  # it reaches 3.0 in prompt 0 alone
    assert traced.select("layer", "prompt_group", "n_prompts").rows() == [(3, B, 0), (3, A, 1)]


def test_prompts_of_no_known_template_are_a_group(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(f"UPDATE store.prompts SET template = NULL WHERE template = '{B}'")
    assert run(con, "firing_rates")["prompt_group"].unique().sort().to_list() == ["unknown", A]


def test_circuit_overlap(con: duckdb.DuckDBPyConnection) -> None:
    """Prompt 0 has FIRST and RARE, 1 and 2 FIRST, 3 FIRST and LATE. Prompts 1 and 2 share all, 0
    and 3 one of three, the other four pairs one of two.
    """
    found = run(con, "circuit_overlap").select("pairs", "n_pairs", "mean", "median")
    assert found.rows() == [
        ("all", 6, pytest.approx((1 + 1 / 3 + 4 / 2) / 6), 0.5),
        ("same template", 3, pytest.approx((1 + 2 / 2) / 3), 0.5),
        ("different templates", 3, pytest.approx((1 / 3 + 2 / 2) / 3), 0.5),
        ("same pattern", 2, 0.5, 0.5),
        ("different patterns", 4, pytest.approx((1 + 1 / 3 + 2 / 2) / 4), 0.5),
    ]
    (quantiles,) = run(con, "circuit_overlap").head(1).drop("pairs", "n_pairs", "mean").rows()
    # of 1/3, 1/2 four times, 1: at 0.125 and 4.875 of the way from place to place
    assert quantiles == pytest.approx((1 / 3 + 0.125 / 6, 0.5, 0.5, 0.5, 0.5 + 0.875 / 2))


def test_circuit_overlap_of_frequent_edges_and_of_drawn_prompts(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """FIRST alone is in half of the prompts. Of two drawn prompts there is one pair."""
    assert run(con, "circuit_overlap", min_share=0.5)["mean"].to_list() == [1.0] * 5
    drawn = [run(con, "circuit_overlap", n_prompts=2, seed=seed) for seed in range(8)]
    assert {frame["n_pairs"][0] for frame in drawn} == {1}
    assert {frame["mean"][0] for frame in drawn} > {0.5}
    # an edge in two prompts is in half of all, whichever are drawn
    rare = run(con, "circuit_overlap", n_prompts=2, min_share=0.5)
    assert rare["mean"].to_list() == [1.0] * 3


def test_circuit_overlap_of_prompts_without_edges(con: duckdb.DuckDBPyConnection) -> None:
    """Prompts 2 and 3 lose theirs: the pair of both has no index, those with one other have 0."""
    con.execute("DELETE FROM results.trace_edges WHERE prompt_id >= 2")
    assert run(con, "circuit_overlap").row(0)[:3] == ("all", 5, pytest.approx(0.5 / 5))


def test_precision_recall_intervals(con: duckdb.DuckDBPyConnection) -> None:
    """Against draws made here: how often each prompt is taken decides which edges are in half."""
    n_draws, metrics = 60, ("n_heads", "precision", "recall", "recall_reachable", "f1")
    weights = {
        (draw, prompt): weight
        for draw, prompt, weight in con.execute(
            "SELECT draw, prompt_id, bootstrap_weight(7, draw, prompt_id) "
            "FROM range(60) AS d(draw), prompts"
        ).fetchall()
    }
    values: dict[str, list[float]] = {metric: [] for metric in metrics}
    for draw in range(n_draws):
        taken = [weights[draw, prompt] for prompt in range(4)]
        least = max(1.0, sum(taken) / 2)
        heads = {(3, 0)}
        if sum(taken) >= least:
            heads |= {(2, 0)}
        if taken[0] >= least:
            heads |= {(1, 0)}
        if taken[3] >= least:
            heads |= {(1, 1), (2, 0)}
        tp, reached = len(heads & KNOWN.keys()), len(heads & {(2, 0)})
        drawn = (len(heads), tp / len(heads), tp / 3, reached / 2, 2 * tp / (len(heads) + 3))
        for metric, value in zip(metrics, drawn, strict=True):
            values[metric].append(value)
    assert len(set(values["precision"])) > 2
    frame = run(con, "precision_recall_intervals", draws=n_draws, seed=7)
    found = {metric: rest for _, metric, *rest in frame.rows()}
    assert tuple(found) == metrics
    now = dict(zip(metrics, (2.0, 0.5, 1 / 3, 0.5, 2 / 5), strict=True))
    for metric in metrics:
        ordered = sorted(values[metric])
        ends = (quantile(ordered, 0.025), quantile(ordered, 0.975))
        mean = sum(ordered) / n_draws
        assert found[metric] == pytest.approx([now[metric], mean, *ends]), metric


def test_precision_recall_intervals_of_other_counts(con: duckdb.DuckDBPyConnection) -> None:
    """From 7 visits on: FIRST has 8, RARE 4, LATE 2; from 4 firings on the same."""
    for count, least in (("visits", 7), ("firings", 4)):
        frame = run(con, "precision_recall_intervals", count=count, min_count=least, draws=5)
        assert frame.row(0)[:3] == ("known", "n_heads", 2.0)
    frame = run(con, "precision_recall_intervals", count="visits", min_count=4, draws=5)
    assert frame.row(0)[:3] == ("known", "n_heads", 3.0)


def quantile(ordered: list[float], q: float) -> float:
    """Interpolated between the two nearest places."""
    place = q * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
