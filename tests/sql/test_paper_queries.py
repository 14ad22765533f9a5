"""The paper's numbers: every one computed by hand from a handful of rows."""

from __future__ import annotations  # DuckDB complains of types that pytest keeps to the end

from typing import Any

import duckdb
import pytest

from svt.paths import conf_dir
from svt.query.csv_rows import read_rows
from svt.query.named import load_query, run
from tests.store_rows import InterventionRows, StoreRows, connection

ROLES = {"IO": 1, "S1": 3, "S2": 5, "verb": 6, "end": 8}
END_IO, END_S2, END_VERB = (8, 1), (8, 5), (8, 6)


def store() -> tuple[StoreRows, dict[str, int]]:
    """Two prompts, so the thresholds 65, 100 and 170 of 256 are ceil(0.51), ceil(0.78), ceil(1.33):
    1, 1 and 2.
    """
    rows = StoreRows()
    rows.prompt(0, ROLES, n_tokens=14, template="a")
    rows.prompt(1, ROLES, n_tokens=20, template="b")
    pairs = {
        # 8.6 twice: scores 10 + 2 and 6 + 2; slice 0 in both signals, slice 1 in one of two
        "8.6": rows.pair((0, 8, 6, *END_S2), slices=(10.0, 2.0), n_slices=2, weight=0.9),
        "8.6 again": rows.pair((1, 8, 6, *END_S2), slices=(6.0, 2.0), n_slices=1, weight=0.6),
        # 9.9 twice: slice 0 in one signal, slice 1 in the other; over signal slices 8.6 writes
        # most (4 and 5), over all slices 7.9 (1 and 2 against 9 and 9)
        "9.9": rows.pair((0, 9, 9, *END_IO), dest={(8, 6): (4, 1), (7, 9): (1, 9)}),
        "9.9 again": rows.pair(
            (1, 9, 9, *END_IO), dest={(8, 6): (5, 2), (7, 9): (1, 9)}, slices=(0.5, 1.0)
        ),
        "10.0": rows.pair((0, 10, 0, *END_IO), dest={(8, 6): 1, (7, 9): 2}, src={(0, 9): 3}),
        "9.6": rows.pair((0, 9, 6, *END_IO), dest={(8, 6): 3.0}),
        "2.8": rows.pair((0, 2, 8, *END_VERB), n_slices=25),
        "2.8 elsewhere": rows.pair((1, 2, 8, *END_S2)),
        "2.8 not traced": rows.pair((1, 2, 8, *END_IO)),
        "weak": rows.pair((0, 4, 11, 3, 1), weight=0.3),
    }
    return rows, pairs


def edge(layer: int, head: int, side: str, up: tuple[int, int], role: str) -> dict[str, Any]:
    return {
        "layer": layer, "head": head, "side": side, "up_layer": up[0], "up_head": up[1],
        f"{side}_role": role,
    }  # fmt: skip


def intervened(pairs: dict[str, int]) -> InterventionRows:
    """Three edges, weights 3 (8.6 -> 9.6), 1 (8.6 -> 10.0) and 3 (0.9 -> 10.0), and three sets."""
    rows = InterventionRows()
    edges = {
        "9.6": (edge(9, 6, "dest", (8, 6), "end"), (-3.0, 0.5), (2.0, -0.25)),
        "10.0": (edge(10, 0, "dest", (8, 6), "end"), (-1.0, -0.5), (-1.0, 0.5)),
        "10.0 at IO": (edge(10, 0, "src", (0, 9), "IO"), (0.5, -2.0), (1.0, 1.0)),
    }
    local = {"cosine": 0.9995, "norm_ratio": 1.005, "score_after": 0.5}
    for name, (of, ablate, boost) in edges.items():
        pair = pairs[name.split()[0]]
        for kind, effects in (("ablate", ablate), ("boost", boost)):
            wide, narrow = ({(0, pair): {"effect": effect}} for effect in effects)
            if name == "10.0 at IO":
                wide[0, pair]["score_after"] = 0.25
            rows.add(of, effects=wide, kind=kind)
            narrow[0, pair] |= local if kind == "ablate" else {"cosine": 0.99, "norm_ratio": 1.02}
            rows.add(of, effects=narrow, kind=kind, scope="local_qkv")
        rows.add(of, effects={(0, pair): {"effect": 0, "cosine": 0}}, scope="local_qkv", seed=1)
    for name, effect in (("0.9", -1.0), ("0.11", -3.0), ("0.9 and 0.11", -2.0)):
        label = f"parallel: out of {name}"
        rows.add(edge(9, 6, "src", (0, 9), "IO"), effects={(0, 0): effect}, name=label)
    return rows


def results(pairs: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
    traced = [pairs[name] for name in ("9.6", "9.9", "10.0", "8.6", "2.8", "2.8 elsewhere")]
    graph = {"layer": 9, "head": 6, "side": "dest", "role": "end", "component": "head"}
    counts = ((1, 0), (2, 1), (40, 2))
    return {
        "run": [{"config": '{"trace": {"count": "prompts", "firing_weight": 0.5}}'}],
        "trace_pairs": [
            {"root_layer": 9, "root_head": 6, "prompt_id": 0, "pair_id": pair, "depth": 0}
            | {"visits": 1}
            for pair in traced
        ],
        "graph_edges": [
            graph | {"up_layer": 0, "up_head": up, "n_prompts": 1, "n_firings": 1}
            | {"n_visits": visits, "total": 1.0, "mean": 1.0}
            for visits, up in counts
        ],
        "reference_heads": [
            {"reference": "wang2023", "layer": 9, "head": head, "class": None}
            | {"reachable": head > 0}
            for head in range(3)
        ],
        "evaluation": [
            {"reference": reference, "count": count, "min_count": least, "n_heads": n, "tp": tp}
            | {"precision": tp / n, "recall": 0.1, "recall_reachable": tp / 10, "f1": 0.1}
            for reference, count, least, n, tp in (
                ("wang2023", "prompts", 1, 9, 3), ("wang2023", "prompts", 2, 8, 4),
                ("wang2023", "prompts", 3, 3, 3), ("wang2023", "visits", 1, 7, 2),
                ("wang2023", "visits", 40, 5, 1), ("other", "prompts", 2, 1, 0),
            )
        ],
    }  # fmt: skip


EXPECTED = {
    "layers": 12, "heads a layer": 12, "width of the residual stream": 8, "slices of a head": 2,
    "prompts": 2,
    "different names": 2,  # t1 and t3
    "templates": 2,
    "tokens of the shortest prompt": 14, "tokens of the longest prompt": 20,
    # of nine firings: 25 slices once, 2 slices once, 1 slice seven times
    "share of firings with at most 20 slices in the signal": 8 / 9,
    "share of firings with 2 or 3 slices in the signal": 1 / 9,
    "score of a firing of 8.6, before the division (mean; the paper: one)": (12 + 8) / 2,
    "attention weight of a firing of 8.6 (mean; the paper: one)": (0.9 + 0.6) / 2,
    "slices in the signal of half of the firings of 8.6": 2,
    "slices in the signal of half of the firings of 4.11": None,  # it never fires
    "slices in the signal of 100 firings of 9.9": 2,  # each in one
    "rank of 8.6 in what writes for 9.9 at the end": 1,
    "rank of 8.6 in what writes for 10.0 at the end": 2,
    "rank of 8.6 in what writes for 9.9 at the end, over all slices": 2,
    "rank of 8.6 in what writes for 10.0 at the end, over all slices": 2,
    "share of the traced firings of 2.8 that attend to the verb": 1 / 2,
    "heads of Wang et al. that a trace from the roots can reach": 2,
    "heads at 170": 8, "heads of Wang et al. at 170": 4,  # from 2 prompts on
    "precision at 170": 0.5, "recall at 170, of the reachable": 0.4,
    "edges, counted at all": 3,
    "edges at 65 visits": 3, "edges at 170 visits": 2,  # from 1 and from 2 visits on
    "heads at 170 visits": 5, "heads of Wang et al. at 170 visits": 1,  # of the row for 2 to 40
    "largest count of an edge": 40,
    # effects of ablation: -3, -1, 0.5 global, 0.5, -0.5, -2 local; of boosting 2, -1, 1 and
    # -0.25, 0.5, 1
    "share of changed edges whose global ablation lowers the logit difference": 2 / 3,
    "share of changed edges whose local ablation lowers it": 2 / 3,
    "share of changed edges whose global boosting raises it": 2 / 3,
    "share of changed edges whose local boosting raises it": 2 / 3,
    # weights 3, 1, 3 have the ranks 2, 1, 2; sizes 3, 1, 0.5 the ranks 3, 2, 1: with the means
    # 5/3 and 2 the products of deviations add up to 1/3 + 0 - 1/3
    "rank correlation of weight and size of the effect, global ablation": 0,
    # three ablations at 0.9995 and 1.005, three boostings at 0.99 and 1.02, without controls
    "share of local changes with a cosine similarity above 0.999": 1 / 2,
    "share of local changes that change the norm by less than 1%": 1 / 2,
    "effect of all edges out of 0.9 and 0.11 over the sum of both, global": -2 / (-1 - 3),
    # 8.6 -> 9.6 at end leaves its score at 1, 0.9 -> 10.0 at IO lowers its own; locally both do
    "share of edges into 9.6 at end and 10.0 at IO whose global ablation lowers the score": 1 / 2,
    "share of edges into 9.6 at end and 10.0 at IO whose local ablation lowers the score": 1,
    "share of edges into 9.6 at end whose global ablation lowers the logit difference": 1,
    "share of edges into 9.6 at end whose local ablation raises it": 1,
}  # fmt: skip


def message(con: duckdb.DuckDBPyConnection, **params: Any) -> dict[str, float | None]:
    found = run(con, "paper_numbers", **params)
    return dict(found.select("quantity", "measured").rows())


def test_paper_numbers() -> None:
    rows, pairs = store()
    con = connection(rows.tables(), results(pairs) | intervened(pairs).tables)
    found = message(con)
    assert list(found) == list(EXPECTED)
    for quantity, expected in EXPECTED.items():
        assert found[quantity] == pytest.approx(expected, abs=1e-6), quantity
    assert message(con, count="visits")["heads at 170"] == 5
    assert message(con, firing_weight=0.8)[
        "attention weight of a firing of 8.6 (mean; the paper: one)"
    ] == (pytest.approx(0.9))


def test_paper_numbers_of_stages_that_did_not_run() -> None:
    """Without trace, reference and interventions only what the store holds is measured."""
    rows, _ = store()
    found = message(rows.connect())
    of_the_store = list(EXPECTED)[:20]
    assert {quantity for quantity, value in found.items() if value is not None} == {
        quantity for quantity in of_the_store if EXPECTED[quantity] is not None
    }


def test_paper_numbers_ask_for_sets_that_the_papers_file_has() -> None:
    sets = {
        row["set"] for _, row in read_rows(conf_dir() / "intervene" / "paper_sets.csv", ("set",))
    }
    for name in ("0.9", "0.11", "0.9 and 0.11"):
        label = f"parallel: out of {name}"
        assert label in sets
        assert f"'{label}'" in load_query("paper_numbers").text
