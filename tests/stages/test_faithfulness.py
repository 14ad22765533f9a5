"""What a circuit keeps when all else is ablated, where the circuit is known, and on small rows."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from svt.compute.ablate import Ablation
from svt.config import Config, Head, from_mapping
from svt.dataset.prompt import Prompt
from svt.query.named import run
from svt.query.trace import trace
from svt.stages import faithfulness
from svt.stages.faithfulness import measure_faithfulness
from tests.checkpoints import tiny_gpt2
from tests.compute.runs import loaded, prompts_of
from tests.marks import first
from tests.planted_answers import planted_with_answers
from tests.settings import TRACE, composed
from tests.store_rows import connection
from tests.test_planted import store_of


def config_of(*overrides: str) -> Config:
    return from_mapping(composed(*overrides))


@pytest.mark.parametrize("ablation", first(1, ["mean", "resample"]))
@pytest.mark.parametrize("seed", first(1, range(3)))
def test_the_planted_circuit_alone_does_what_it_is_for(
    tmp_path: Path, seed: int, ablation: str
) -> None:
    circuit = planted_with_answers(tmp_path, seed)
    con = store_of(circuit)
    trace(con, replace(TRACE, roots=(circuit.root,)))
    config = config_of(f"intervene.faithfulness={ablation}", "intervene.repeats=8")
    measure_faithfulness(con, config, loaded(circuit.path), circuit.prompts)
    whole, root = run(con, "faithfulness").to_dicts()
    assert (whole["min_count"], whole["n_heads"], whole["accuracy"]) == (12, 7, 1.0)
    assert whole["share"] == pytest.approx(1, abs=0.05)
    assert (root["min_count"], root["n_heads"]) == (13, 1)
    assert abs(root["share_above_none"]) < 0.1
    full, none = con.execute(
        "SELECT DISTINCT logit_diff_full, logit_diff_none FROM results.faithfulness"
    ).fetchall()[0]
    assert whole["random_mean_share"] < none / full + 0.2
    assert whole["n_random"] == root["n_random"] == 8


def edge(up: Head, down: Head, n_prompts: int) -> dict[str, object]:
    return {
        "up_layer": up[0], "up_head": up[1], "component": "head", "layer": down[0],
        "head": down[1], "side": "dest", "role": "end", "n_prompts": n_prompts,
        "n_firings": n_prompts, "n_visits": n_prompts, "total": 1.0, "mean": 1.0,
    }  # fmt: skip


def a_graph(edges: Sequence[dict[str, object]]) -> duckdb.DuckDBPyConnection:
    """Root 2.0 above the edges given."""
    root = {"root_layer": 2, "root_head": 0, "prompt_id": 0, "pair_id": 0, "depth": 0, "visits": 1}
    return connection(results={"trace_pairs": [root], "graph_edges": edges})


def test_rows_are_what_ablation_says(tmp_path: Path) -> None:
    """Two thresholds, two seeds: the same sets again from their definition."""
    model, prompts = loaded(tiny_gpt2(tmp_path, sharp=4.0)), prompts_of(1, 12, (5, 7))
    con = a_graph([edge((1, 1), (2, 0), 4), edge((0, 2), (1, 1), 3)])
    settings = ("intervene.repeats=2", "intervene.seed=7", "intervene.faithfulness=resample")
    measure_faithfulness(con, config_of(*settings), model, prompts)
    heads = [(layer, head) for layer in range(3) for head in range(4)]
    circuits: dict[int, list[Head]] = {
        3: [(2, 0), (1, 1), (0, 2)],
        4: [(2, 0), (1, 1)],
        5: [(2, 0)],
    }
    ablation = Ablation(model, prompts, "resample", 7, 100)
    full = float(ablation.full.mean())
    none = float(ablation.logit_diffs([heads]).mean())
    wanted = []
    for min_count, circuit in circuits.items():
        for seed in (None, 7, 8):
            kept = circuit
            if seed is not None:
                order = np.random.default_rng(seed).permutation(12)
                kept = [heads[i] for i in order[: len(circuit)]]
            (diffs,) = ablation.logit_diffs([set(heads) - set(kept)])
            control = "traced" if seed is None else "random"
            row = (min_count, len(kept), control, seed, "resample", float(diffs.mean()), full, none)
            wanted.append((*row, float((diffs > 0).mean())))
    found = con.execute("FROM results.faithfulness ORDER BY min_count, seed NULLS FIRST")
    for row, expected in zip(found.fetchall(), wanted, strict=True):
        assert row == pytest.approx(expected, abs=1e-6)
    assert len({row[5] for row in wanted}) > 5


def test_only_prompts_with_answer_and_distractor_are_measured(tmp_path: Path) -> None:
    model, prompts = loaded(tiny_gpt2(tmp_path, sharp=4.0)), prompts_of(1, 12, (5, 7))
    blank = tuple(
        replace(p, prompt_id=20 + p.prompt_id, answer=()) for p in prompts_of(2, 3, (5, 7))
    )

    def measured(given: tuple[Prompt, ...]) -> list[tuple[object, ...]]:
        con = a_graph([edge((1, 1), (2, 0), 4)])
        measure_faithfulness(con, config_of(), model, given)
        return con.execute("FROM results.faithfulness").fetchall()

    assert measured((*prompts, *blank)) == measured(prompts)
    assert measured(blank) == []


def test_none_measures_nothing_and_a_second_run_replaces_it(tmp_path: Path) -> None:
    model, prompts = loaded(tiny_gpt2(tmp_path)), prompts_of(1, 4, (5, 5))
    con = a_graph([edge((1, 1), (2, 0), 4)])
    n_rows = []
    for settings in ("intervene.repeats=3", "intervene.repeats=0", "intervene.faithfulness=none"):
        measure_faithfulness(con, config_of(settings), model, prompts)
        n_rows.append(con.execute("SELECT count(*) FROM results.faithfulness").fetchall()[0][0])
    assert n_rows == [8, 2, 0]


def test_of_very_many_thresholds_an_even_choice_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Best counts 1 to 8 and the root alone from 9 on; of these nine 1, 3, 5, 7 and 9."""
    caplog.set_level(logging.INFO, "svt")
    monkeypatch.setattr(faithfulness, "MAX_THRESHOLDS", 5)
    model, prompts = loaded(tiny_gpt2(tmp_path)), prompts_of(1, 4, (5, 5))
    ups = [(layer, head) for layer in range(2) for head in range(4)]
    con = a_graph([edge(up, (2, 0), n) for n, up in enumerate(ups, 1)])
    measure_faithfulness(con, config_of("intervene.repeats=0"), model, prompts)
    found = con.execute("SELECT min_count FROM results.faithfulness ORDER BY 1").fetchall()
    assert [n for (n,) in found] == [1, 3, 5, 7, 9]
    assert "5 of 9 thresholds" in caplog.text
