"""Queries over interventions: literal rows in, expected rows out."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control

from svt.query.named import run
from tests.store_rows import InterventionRows, StoreRows, connection, insert

A_B = {"up_layer": 1, "up_head": 0, "layer": 3, "head": 1, "side": "dest", "dest_role": "end"}
A_C = {"up_layer": 1, "up_head": 0, "layer": 4, "head": 0, "side": "src", "src_role": "IO"}
B_C = {"up_layer": 3, "up_head": 1, "layer": 4, "head": 0, "side": "dest", "dest_role": "end"}
NAMES = ("up_layer", "up_head", "layer", "head", "side")


def connected(rows: InterventionRows) -> duckdb.DuckDBPyConnection:
    return connection({}, rows.tables)


def by_prompt(*effects: float | None) -> dict[tuple[int, int], float | None]:
    """One pair in every prompt."""
    return {(prompt, 100 + prompt): effect for prompt, effect in enumerate(effects)}


def interval(row: Mapping[str, Any], name: str) -> tuple[float, float, float]:
    return row[name], row[f"{name}_low"], row[f"{name}_high"]


def test_edge_effects() -> None:
    """Prompt 0: pairs with -1 and -3, so -2; prompt 1: -4. The effect is -3, the share -3 / 3.

    Score: (-0.5, -1.5) and -2, so -1.5; weight: (-0.1, -0.3) and 0, so -0.1; the rank rises by 2
    and 4 in prompt 0 and by 1 in prompt 1, so by 2. Contributions 1, 2 and 6 have the mean 3.
    """
    store = StoreRows()
    pairs = [store.pair((0, 3, 1, 5, 2), dest={(1, 0): 1.0, (1, 1): 9.0}, src={(1, 0): 8.0})]
    pairs += [store.pair((0, 3, 1, 5, 3), dest={(1, 0): 2.0})]
    pairs += [store.pair((1, 3, 1, 5, 2), dest={(1, 0): 6.0})]
    rows = InterventionRows()
    expected = [(4, -1, -0.5, -0.1, 2), (4, -3, -1.5, -0.3, 4), (2, -4, -2, 0, 1)]
    rows.add(
        A_B,
        effects={
            (prompt, pair): {
                "logit_diff": full, "logit_diff_after": full + effect, "score_after": 1 + score,
                "weight_after": 0.5 + weight, "answer_rank": 1, "answer_rank_after": 1 + rank,
            }
            for prompt, pair, (full, effect, score, weight, rank) in zip(
                (0, 0, 1), pairs, expected, strict=True
            )
        },
    )  # fmt: skip
    (row,) = run(connection(store.tables(), rows.tables), "edge_effects").to_dicts()
    assert [row[name] for name in NAMES] == [A_B[name] for name in NAMES]
    assert (row["label"], row["dest_role"], row["src_role"]) == ("1.0 -> 3.1 dest", "end", None)
    assert (row["scope"], row["kind"], row["strength"]) == ("global", "ablate", 1.0)
    assert (row["n_prompts"], row["n_pairs"], row["weight"]) == (2, 3, 3.0)
    assert interval(row, "effect") == (-3.0, -4.0, -2.0)  # a draw of one prompt alone is likely
    assert (row["effect_share"], row["score_effect"], row["rank_effect"]) == (-1.0, -1.5, 2.0)
    assert row["weight_effect"] == pytest.approx(-0.1)
    control = ("random_effect", "random_low", "random_high", "n_random", "beyond")
    assert [row[name] for name in control] == [None, None, None, 0, None]


def test_edge_effects_beside_their_control() -> None:
    """All prompts alike: the interval is a point. Two seeds, 0 and -1 everywhere: from -1 to 0."""
    rows = InterventionRows()
    for scope, effect in (("global", -1.5), ("local_qk", -0.5)):
        rows.add(A_B, effects=by_prompt(*[effect] * 6), scope=scope)
        for seed, drawn in ((7, 0.0), (8, -1.0)):
            rows.add(A_B, effects=by_prompt(*[drawn] * 6), scope=scope, seed=seed)
    con = connected(rows)
    found = run(con, "edge_effects").to_dicts()
    assert [row["scope"] for row in found] == ["global", "local_qk"]
    assert [interval(row, "effect") for row in found] == [(-1.5,) * 3, (-0.5,) * 3]
    for row in found:
        assert (row["random_effect"], row["random_low"], row["random_high"]) == (-0.5, -1.0, 0.0)
        assert (row["n_random"], row["weight"]) == (2, None)
    assert [row["beyond"] for row in found] == [True, False]
    assert run(con, "edge_effects", scope="local_qk")["effect"].to_list() == [-0.5]
    assert run(con, "edge_effects", kind="boost").is_empty()


def test_edge_effects_of_a_control_that_differs_by_prompt() -> None:
    """One seed, effects 0 and -1: the control's interval is that over prompts."""
    rows = InterventionRows()
    rows.add(A_B, effects=by_prompt(1.0, 1.0))
    rows.add(A_B, effects=by_prompt(0.0, -1.0), seed=0)
    (row,) = run(connected(rows), "edge_effects", min_prompts=2).to_dicts()
    assert (row["random_effect"], row["random_low"], row["random_high"]) == (-0.5, -1.0, 0.0)
    assert row["beyond"]


@pytest.mark.parametrize(
    ("effects", "controls", "beyond"),
    [
        ((0.0, -4.0), (0.0, 0.0), False),  # outside the control, but its interval holds 0
        ((-1.0, -1.0), (-2.0, -2.0), False),  # random slices do more
        ((-1.0, -1.0), (-2.0, 0.0), False),  # inside the control
        ((-1.0, -1.0), (2.0, 2.0), True),  # the other way
        ((3.0, 3.0), (1.0, 2.0), True),
    ],
)
def test_edge_effects_beyond_chance(
    effects: tuple[float, float], controls: tuple[float, float], beyond: bool
) -> None:
    rows = InterventionRows()
    rows.add(A_B, effects=by_prompt(*effects))
    rows.add(A_B, effects=by_prompt(*controls), seed=0)
    (row,) = run(connected(rows), "edge_effects", min_prompts=2).to_dicts()
    assert row["beyond"] is beyond


def test_edge_effects_of_five_prompts_have_no_verdict() -> None:
    """Six alike have; the answer gains by what lowers the difference when it is gone (A_B)."""
    for n, verdicts in ((5, [(None, None)] * 4), (6, [(True, h) for h in (True, False) * 2])):
        rows = InterventionRows()
        for edge, kind, effect in (
            (A_B, "ablate", -1.0), (A_C, "ablate", 1.0), (A_B, "boost", 1.0), (A_C, "boost", -1.0),
        ):  # fmt: skip
            unmeasured = {} if n == 6 else {(9, 9): None}
            rows.add(edge, effects=by_prompt(*[effect] * n) | unmeasured, kind=kind)
            rows.add(edge, effects=by_prompt(*[0.0] * n) | unmeasured, kind=kind, seed=0)
        found = run(connected(rows), "edge_effects").sort("kind", "layer")
        assert found.select("beyond", "helps").rows() == verdicts
        assert set(found["n_prompts"]) == {n if n == 6 else n + 1}


def test_edge_effects_without_answers() -> None:
    rows = InterventionRows()
    rows.add(A_B, effects=by_prompt(None, None))
    rows.add(A_B, effects=by_prompt(None, None), seed=0)
    (row,) = run(connected(rows), "edge_effects").to_dicts()
    nothing = ("effect", "effect_low", "effect_share", "random_effect", "rank_effect", "beyond")
    assert {row[name] for name in nothing} == {None}
    assert (row["n_prompts"], row["score_effect"]) == (2, 0.0)


def test_edge_effects_in_order() -> None:
    """By falling weight; roles, kinds and strengths keep edges apart, seeds do not."""
    store = StoreRows()
    pairs = [store.pair((0, 3, 1, 5, j), dest={(1, 0): weight}) for j, weight in ((2, 1.0), (3, 2))]
    rows = InterventionRows()
    for more in ({"strength": 1.0}, {"strength": 2.0}, {"kind": "boost"}):
        rows.add(A_B, effects={(0, pairs[0]): -1.0}, **more)
    rows.add({**A_B, "src_role": "IO"}, effects={(0, pairs[1]): -1.0})
    found = run(connection(store.tables(), rows.tables), "edge_effects")
    assert found.select("weight", "src_role", "kind", "strength").rows() == [
        (2.0, "IO", "ablate", 1.0),
        (1.0, None, "ablate", 1.0),
        (1.0, None, "ablate", 2.0),
        (1.0, None, "boost", 1.0),
    ]


def values(con: duckdb.DuckDBPyConnection, rows: list[tuple[int, int | None, int, float]]) -> None:
    con.execute("CREATE TEMP TABLE given (series INT, repeat BIGINT, prompt_id INT, value DOUBLE)")
    con.executemany("INSERT INTO given VALUES (?, ?, ?, ?)", rows)


def bootstrapped(con: duckdb.DuckDBPyConnection, draws: int, seed: int = 0) -> pl.DataFrame:
    return con.sql(
        "FROM bootstrapped('given', $draws, $seed) ORDER BY series",
        params={"draws": draws, "seed": seed},
    ).pl()


def weight(seed: int, draw: int, name: object) -> int:
    """How often a draw takes something: u, of the last 64 bits of an MD5, has passed so many of
    the sums of e^-1 / k!.
    """
    digest = hashlib.md5(f"{seed},{draw},{name}".encode()).digest()
    u = int.from_bytes(digest[8:], "little") / 2**64
    return sum(u >= sum(1 / math.factorial(j) for j in range(k + 1)) / math.e for k in range(9))


def test_edge_effects_take_prompts_as_often_as_poisson() -> None:
    """20000 weights: e^-1 / k! of them are k; mean and variance are 1."""
    found = connection().execute(
        "SELECT bootstrap_weight(3, d, p) FROM range(400) a(d), range(50) b(p) ORDER BY d, p"
    )
    weights = np.array(found.fetchall()).ravel()
    assert weights.tolist() == [weight(3, d, p) for d in range(400) for p in range(50)]
    shares = [np.mean(weights == k) for k in range(4)]
    assert shares == pytest.approx([0.36788, 0.36788, 0.18394, 0.06131], abs=0.01)
    assert (weights.mean(), weights.var()) == (
        pytest.approx(1, abs=0.02),
        pytest.approx(1, abs=0.04),
    )


def test_edge_effects_with_intervals_as_numpy_draws_them() -> None:
    """Two series of 60 and 30 prompts, 4000 multinomial draws: bounds within a tenth of a width."""
    rng = np.random.default_rng(0)
    samples = [rng.exponential(2.0, 60) - 1, rng.normal(0.5, 1, 30)]
    con = connection()
    values(con, [(s, None, p, float(v)) for s, xs in enumerate(samples) for p, v in enumerate(xs)])
    found = bootstrapped(con, 2000)
    for row, sample in zip(found.to_dicts(), samples, strict=True):
        draws = rng.choice(sample, (4000, len(sample))).mean(axis=1)
        low, high = np.quantile(draws, [0.025, 0.975])
        assert row["mean"] == pytest.approx(sample.mean())
        assert (row["low"], row["high"]) == pytest.approx((low, high), abs=(high - low) / 10)
    assert bootstrapped(con, 2000).equals(found)
    assert not bootstrapped(con, 2000, seed=1).equals(found)


def test_edge_effects_with_controls_over_prompts_and_seeds() -> None:
    """The draws in NumPy, from the same weights: sums over seeds of sums over prompts."""
    rng = np.random.default_rng(1)
    sample = rng.normal(size=(3, 20)) + np.array([[0], [1], [3]])
    absent = {(0, 4), (2, 7), (2, 8)}
    there = np.array([[(s, p) not in absent for p in range(20)] for s in range(3)])
    con = connection()
    values(con, [(0, s, p, float(sample[s, p])) for s, p in np.argwhere(there).tolist()])

    means = []
    for draw in range(100):
        prompts = np.array([weight(5, draw, p) for p in range(20)])
        seeds = np.array([weight(5, draw, f"repeat {s}") for s in range(3)])
        weights = seeds[:, None] * prompts * there
        if weights.sum():
            means.append((weights * sample).sum() / weights.sum())
    (row,) = bootstrapped(con, 100, seed=5).to_dicts()
    assert row["n_repeats"] == 3
    assert row["mean"] == pytest.approx(sample[there].mean())
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_p_values_count_the_controls_that_reach_as_far() -> None:
    """Of 3 controls (-1, 0.5, 2 on average) 1.5 is reached by one, -3 by none; -9 has no control.

    So p = 2/4 and 1/4; with two tests q = 1/4 * 2 / 1 and 2/4 * 2 / 2, both 0.5.
    """
    rows = InterventionRows()
    for head, effect in enumerate((1.5, -3.0, -9.0)):
        edge = {**A_B, "up_head": head}
        rows.add(edge, effects=by_prompt(*[effect] * 6))
        for seed, control in enumerate((-1.0, 0.5, 2.0) if head < 2 else ()):
            rows.add(edge, effects=by_prompt(control - 1, control + 1, *[control] * 4), seed=seed)
    con = connected(rows)
    found = run(con, "edge_effects").sort("up_head")
    tested = ("n_random", "p_value", "q_value")
    assert found.select(tested).rows() == [(3, 0.5, 0.5), (3, 0.25, 0.5), (0, None, None)]
    assert found.select(tested[1:]).equals(
        run(con, "validated_edges").sort("up_head").select(tested[1:])
    )
    few = run(con, "edge_effects", min_prompts=7)
    assert few["p_value"].null_count() == 3


def test_p_values_of_noise_are_below_a_tenth_in_a_tenth() -> None:
    """The change and its 19 controls are alike, so every rank of it is as likely: 10% of 400."""
    rng = np.random.default_rng(3)
    rows = InterventionRows()
    for head in range(400):
        edge = {**A_B, "up_layer": head // 20, "up_head": head % 20}
        for seed in (None, *range(19)):
            rows.add(edge, effects=by_prompt(*rng.normal(size=6).tolist()), seed=seed)
    found = run(connected(rows), "edge_effects", draws=0)["p_value"]
    assert (found * 20).cast(int).unique().sort().to_list() == list(range(1, 21))
    assert 20 <= (found < 0.101).sum() <= 60  # 40 expected, 6 their standard deviation


def test_q_values_are_scipys() -> None:
    """Family by family, with equal values, and p-values of 1."""
    rng = np.random.default_rng(0)
    sizes = (1, 7, 40)
    families = [np.ceil(rng.uniform(size=n) ** 3 * 20) / 20 for n in sizes]
    con = connection()
    con.execute("CREATE TABLE tests (change_id INTEGER, family VARCHAR, p_value DOUBLE)")
    flat = [(f, float(p)) for f, values in enumerate(families) for p in values]
    con.executemany("INSERT INTO tests VALUES (?, ?, ?)", [(i, *row) for i, row in enumerate(flat)])
    con.execute("INSERT INTO tests VALUES (99, '0', NULL)")
    found = con.sql("FROM false_discovery('tests') ORDER BY change_id").pl()
    expected = np.concatenate([false_discovery_control(values) for values in families])
    assert found["change_id"].to_list() == list(range(len(flat)))
    np.testing.assert_allclose(found["q_value"].to_numpy(), expected, rtol=1e-12)


def test_validated_edges() -> None:
    """Controls from -1 to 0: -1.5 and 0.5 lie outside, -1 does not; C has no control."""
    rows = InterventionRows()
    edges = [{**A_B, "up_head": h} for h in range(4)]
    for edge, effect in zip(edges, (-1.5, -1.0, 0.5, -9.0), strict=True):
        rows.add(edge, effects=by_prompt(*[effect] * 4))
        rows.add(edge, effects=by_prompt(*[0.0] * 4), kind="boost")
        for seed in range(2 if effect > -9 else 0):
            rows.add(edge, effects=by_prompt(*[-1.0 * seed] * 4), seed=seed)
    found = run(connected(rows), "validated_edges", min_prompts=4)
    columns = ("up_head", "effect", "random_low", "random_high", "validated", "helps")
    assert found.select(columns).rows() == [
        (0, -1.5, -1.0, 0.0, True, True),
        (2, 0.5, -1.0, 0.0, True, False),
        (1, -1.0, -1.0, 0.0, False, None),
        (3, -9.0, None, None, False, None),
    ]
    few = run(connected(rows), "validated_edges")
    assert few.select("up_head", "n_prompts", "validated").sort("up_head").rows() == [
        (0, 4, None), (1, 4, None), (2, 4, None), (3, 4, False),
    ]  # fmt: skip
    assert set(found["kind"]) == {"ablate"}
    assert run(connected(rows), "validated_edges", scope="local_qk").is_empty()


def test_set_effects() -> None:
    """All pairs of a prompt carry the prompt's effect: -1 (twice) and -2, so -1.5, not -4 / 3."""
    rows = InterventionRows()
    rows.add(A_B, effects=by_prompt(-7.0))
    rows.add(A_B, A_C, name="both", effects={(0, 1): -1.0, (0, 2): -1.0, (1, 3): -2.0})
    rows.add(A_B, A_C, name="both", effects=by_prompt(0.25, 0.25), seed=0)
    rows.add(B_C, name="alone", effects=by_prompt(-0.5, -0.5))
    assert run(connected(rows), "set_effects", min_prompts=2).rows() == [
        (
            "alone",
            "global",
            "ablate",
            1.0,
            1,
            2,
            -0.5,
            -0.5,
            -0.5,
            None,
            None,
            None,
            0,
            None,
            None,
            None,
        ),
        (
            "both",
            "global",
            "ablate",
            1.0,
            2,
            2,
            -1.5,
            -2.0,
            -1.0,
            0.25,
            0.25,
            0.25,
            1,
            True,
            0.5,
            0.5,
        ),
    ]


def test_additivity() -> None:
    """Two prompts. Alone A -> B has (-1, -2), A -> C has -3 in prompt 0 only: sums (-4, -2).

    Together (-3, -2), mean -2.5 against -3: ratio 5 / 6; differences (1, 0), mean 0.5.
    The serial set has A -> B and B -> C, (-1, -2) + (1, 2) = 0: no ratio; differences (-2, -2).
    """
    rows = InterventionRows()
    rows.add(A_B, effects={(0, 1): 0.0, (0, 2): -2.0, (1, 3): -2.0})
    rows.add(A_B, effects=by_prompt(9.0, 9.0), seed=0)
    rows.add(A_B, effects=by_prompt(8.0, 8.0), kind="boost")
    rows.add({**A_B, "src_role": "IO"}, effects=by_prompt(7.0, 7.0))
    rows.add(A_C, effects={(0, 4): -3.0})
    rows.add(B_C, effects=by_prompt(1.0, 2.0))
    rows.add(A_B, A_C, name="outgoing: 1.0", effects=by_prompt(-3.0, -2.0))
    rows.add(A_B, A_C, name="outgoing: 1.0", effects=by_prompt(-9.0, -9.0), seed=0)
    rows.add(A_B, B_C, name="serial: a", effects=by_prompt(-2.0, -2.0))
    same = ("global", "ablate", 1.0, 2, 2)
    assert run(connected(rows), "additivity").rows() == [
        ("outgoing: 1.0", "outgoing", *same, -2.5, -3.0, -2.0, -3.0, 5 / 6, 0.5, 0.0, 1.0),
        ("serial: a", "serial", *same, -2.0, -2.0, -2.0, 0.0, None, -2.0, -2.0, -2.0),
    ]


def test_additivity_of_what_was_not_changed_alone() -> None:
    """B -> C was only boosted alone, so there is no sum. A plain name tells no arrangement."""
    rows = InterventionRows()
    rows.add(A_B, effects=by_prompt(-1.0, -1.0))
    rows.add(B_C, effects=by_prompt(-1.0, -1.0), kind="boost")
    rows.add(A_B, B_C, name="mine", effects=by_prompt(-2.0, -2.0))
    (row,) = run(connected(rows), "additivity").to_dicts()
    assert (row["arrangement"], row["effect"], row["n_edges"]) == (None, -2.0, 2)
    names = ("sum_of_members", "ratio", "difference", "difference_low", "difference_high")
    assert {row[name] for name in names} == {None}
    assert run(connected(rows), "additivity", kind="boost").is_empty()


def test_effect_vs_weight() -> None:
    """Weights 1, 2, 3, 4; effects -1, -2, -2, -5 have ranks 4, 2.5, 2.5, 1.

    Deviations (-1.5, -0.5, 0.5, 1.5) and (1.5, 0, 0, -1.5): -4.5 / sqrt(5 * 4.5) = -0.9487. The
    controls are all 0, which has no correlation.
    """
    store, rows = StoreRows(), InterventionRows()
    for i, effect in enumerate((-1.0, -2.0, -2.0, -5.0)):
        edge = {**A_B, "head": i}
        pair = store.pair((0, 3, i, 5, 2), dest={(1, 0): float(i + 1)})
        rows.add(edge, effects={(0, pair): effect})
        rows.add(edge, effects={(0, pair): 0.0}, seed=0)
    rows.add({**A_B, "head": 4}, effects={(0, pair): effect}, scope="local_qkv")
    rank = 4.5 / 22.5**0.5
    assert run(connection(store.tables(), rows.tables), "effect_vs_weight").rows() == [
        ("global", "ablate", "signal", 1.0, 4, pytest.approx(-rank), pytest.approx(rank)),
        ("global", "ablate", "random", 1.0, 4, None, None),
        ("local_qkv", "ablate", "signal", 1.0, 1, None, None),
    ]


def test_disturbance() -> None:
    """Single edges: cosines 0, 0.5 and 1 over four bins of 0.25, the largest in the last; a control
    of 0.75 shares the bins. The set's two pairs of prompt 0 have the mean 0.5, prompt 1 has 0.5.
    """
    rows = InterventionRows()
    rows.add(A_B, effects={(0, i): {"cosine": i / 2} for i in range(3)})
    rows.add(A_B, effects={(0, 0): {"cosine": 0.75}}, seed=0)
    cosines = {(0, 0): {"cosine": 0.0}, (0, 1): {"cosine": 1.0}, (1, 2): {"cosine": 0.5}}
    rows.add(A_B, A_C, name="both", effects=cosines)
    rows.add(A_B, effects={(0, 0): {"cosine": 0.25}}, scope="local_qk", kind="boost")
    found = run(connected(rows), "disturbance", bins=4)
    assert found.filter(measure="cosine").drop("measure").rows() == [
        ("single", "global", "ablate", "signal", 0, 0.0, 0.25, 1, pytest.approx(1 / 3)),
        ("single", "global", "ablate", "signal", 2, 0.5, 0.75, 1, pytest.approx(1 / 3)),
        ("single", "global", "ablate", "signal", 3, 0.75, 1.0, 1, pytest.approx(1 / 3)),
        ("single", "global", "ablate", "random", 3, 0.75, 1.0, 1, 1.0),
        ("single", "local_qk", "boost", "signal", 0, 0.25, 0.25, 1, 1.0),
        ("set", "global", "ablate", "signal", 0, 0.5, 0.5, 2, 1.0),
    ]
    others = found.filter(pl.col("measure") != "cosine")
    assert set(others["measure"]) == {"norm_ratio", "resid_cosine", "resid_norm_ratio"}
    assert set(others["low"]) == {1.0}


def shown(up: str, down: str, side: str, role: str, total: float, **more: Any) -> dict[str, Any]:
    """A row of graph_edges in all of the prompts."""
    (up_layer, up_head), (layer, head) = up.split("."), down.split(".")
    return {
        "up_layer": int(up_layer), "up_head": int(up_head), "component": "head",
        "layer": int(layer), "head": int(head), "side": side, "role": role, "n_prompts": 4,
        "n_firings": 4, "n_visits": 4, "total": total, "mean": total / 4, **more,
    }  # fmt: skip


def test_edge_sets() -> None:
    """0.0 and 0.1 write for 2.0 at end, which writes for 4.0 at end and 4.1 at IO, and 0.0 for 4.0.

    2.0 attends from end: what it writes at IO is no part of a chain, nor is what 0.1 writes at IO.
    """
    edges = [
        shown("0.0", "2.0", "dest", "end", 5.0),
        shown("0.1", "2.0", "dest", "end", 1.0),
        shown("0.1", "2.0", "src", "IO", 1.0),
        shown("2.0", "4.0", "dest", "end", 2.0),
        shown("2.0", "4.1", "src", "IO", 9.0),
        shown("0.0", "4.0", "dest", "end", 1.0),
        shown("1.0", "4.0", "dest", "end", 99.0, component="mlp", up_head=None),
        shown("1.1", "4.0", "dest", "end", 99.0, n_prompts=1),
    ]
    con = connection({"prompts": [{"prompt_id": p, "n_tokens": 9} for p in range(4)]})
    insert(con, "results.graph_edges", edges)
    found = run(con, "edge_sets", min_share=0.5)
    end = (("dest", "end", None, "end"),)

    def member(up: str, down: str, side: tuple[Any, ...] = end[0]) -> tuple[Any, ...]:
        head = (*map(int, down.split(".")),)
        return (*head, *side[:3], *map(int, up.split(".")), side[3])

    at_io = ("src", None, "IO", "IO")
    expected = {
        "parallel: into 2.0 dest end": [member("0.0", "2.0"), member("0.1", "2.0")],
        "parallel: into 4.0 dest end": [member("2.0", "4.0"), member("0.0", "4.0")],
        "serial: 0.0 -> 2.0 -> 4.0 dest end": [member("0.0", "2.0"), member("2.0", "4.0")],
        "serial: 0.1 -> 2.0 -> 4.0 dest end": [member("2.0", "4.0"), member("0.1", "2.0")],
        "outgoing: 2.0": [member("2.0", "4.1", at_io), member("2.0", "4.0")],
        "outgoing: 0.0": [member("0.0", "2.0"), member("0.0", "4.0")],
        "outgoing: 0.1": [member("0.1", "2.0"), member("0.1", "2.0", at_io)],
    }
    assert found.rows() == [(name, *row) for name, rows in expected.items() for row in rows]
    strongest = run(con, "edge_sets", min_share=0.5, n=1)["set"].unique(maintain_order=True)
    assert strongest.to_list() == [list(expected)[i] for i in (0, 2, 4)]
    assert run(con, "edge_sets", min_count=5).is_empty()
