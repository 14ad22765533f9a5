"""Interventions in a planted circuit (tests/planted.py), where the causes are known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from svt.compute.columns import Columns
from svt.compute.decompose import HeadSVD, decompose_model
from svt.compute.intervene import EditMode, Edits, draw_random_slices, intervene
from svt.compute.model import Model
from svt.compute.runner import Runner
from svt.compute.single_heads import SingleHeads
from svt.words import Scope
from tests.compute.edited import SCOPES
from tests.compute.runs import dumped, loaded
from tests.planted import LINKS, PLAN, Head, Planted, planted
from tests.settings import DUMP

PAIRS = {  # the tokens that each planted head attends from and to
    "P": ("P", "Q"),
    "R": ("R", "Q"),
    "E1": ("end", "Q"),
    "E2": ("end", "Q"),
    "F": ("R", "P"),
    "G": ("end", "R"),
    "root": ("end", "P"),
}
HALVES = ("E1", "E2")  # each writes half of what G reads
Link = tuple[str, str, str]


@dataclass(frozen=True)
class Bench:
    """A planted circuit, its undisturbed runs and the signal of every firing pair."""

    circuit: Planted
    model: Model
    svd: HeadSVD
    runner: Runner
    heads: dict[str, Head]
    signals: dict[int, NDArray[np.bool_]]  # by pair_id

    def apart(self, links: Sequence[tuple[Head, str, str]]) -> Edits:
        """A run a link and prompt, so that every link is edited alone."""
        prompts = range(len(self.circuit.prompts))
        alone = [self.edits([link], prompts) for link in links]
        names = [field.name for field in fields(Edits)]
        columns = {name: np.concatenate([getattr(e, name) for e in alone]) for name in names}
        return Edits(**columns | {"run": np.arange(len(columns["run"]))})

    def edits(self, links: Sequence[tuple[Head, str, str]], prompts: Sequence[int]) -> Edits:
        """A run a prompt, with an edit for each (upstream head, downstream head, side)."""
        model, rows = self.model, []
        for run, i in enumerate(prompts):
            prompt = self.circuit.prompts[i]
            for up, down, side in links:
                dest, src = (prompt.roles[role] for role in PAIRS[down])
                layer, head = self.heads[down]
                at = (prompt.prompt_id * model.n_layers + layer) * model.n_heads + head
                pair_id = (at * model.n_ctx + dest) * model.n_ctx + src
                rows.append((run, i, pair_id, layer, head, dest, src, int(side == "src"), *up))
        return Edits(*np.array(rows, np.int64).T)

    def ablated(self, edits: Edits, scope: Scope, base: str = "live") -> Columns:
        """What the edits make when their signals are ablated."""
        (found,) = self.changed(edits, scope, [(-1.0, None)], base)
        return found

    def changed(
        self,
        edits: Edits,
        scope: Scope,
        ways: Sequence[tuple[float, int | None]],
        base: str = "live",
    ) -> list[Columns]:
        """What each way, a strength and a seed of random slices or None, makes of the edits."""
        signal = np.array([self.signals[int(pair)] for pair in edits.pair_id])
        variants = [
            EditMode(scope, strength, signal)
            if seed is None
            else EditMode(scope, strength, draw_random_slices(signal, edits.pair_id, seed))
            for strength, seed in ways
        ]
        settings: Any = {"homogeneous": True, "local_base": base, "batch_size": 64}
        return list(intervene(self.runner, self.svd, edits, variants, **settings))

    def every_prompt(self, *links: Link) -> Edits:
        named = [(self.heads[up], down, side) for up, down, side in links]
        return self.edits(named, range(len(self.circuit.prompts)))


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))]


@pytest.fixture(scope="module", params=SEEDS)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    circuit = planted(tmp_path_factory.mktemp("planted"), seed=request.param)
    model = loaded(circuit.path)
    dump = replace(DUMP, min_weight=0.5, sample=0.0, batch_size=100, effects=False)
    tables = dumped(model, circuit.prompts, dump)
    pair_ids = tables["pairs"]["pair_id"].tolist()
    in_signal = tables["slices"]["in_signal"].reshape(len(pair_ids), -1)
    return Bench(
        circuit=circuit,
        model=model,
        svd=decompose_model(model),
        runner=Runner(model, circuit.prompts),
        heads=dict(zip(PLAN, circuit.signals, strict=True)),
        signals=dict(zip(pair_ids, in_signal, strict=True)),
    )


def firing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, link: Link, scope: Scope, prompt: int
) -> Iterator[set[str]]:
    """The planted heads that fire at their planted pair, undisturbed and with the link ablated."""
    run_layer, attend, pattern = Runner.run_layer, SingleHeads.attend, "attn.hook_pattern"
    order: list[tuple[int, int, Any]] = []
    changed: list[tuple[int, Any]] = []

    def spy(self: Runner, layer: int, resid: Any, window: Any, hooks: Any, look: Any = None) -> Any:
        kept = []

        def keep(weights: Any) -> None:
            kept.append(weights[0].clone())
            if pattern in hooks:
                hooks[pattern](weights)

        changed.clear()
        behind = run_layer(self, layer, resid, window, {**hooks, pattern: keep}, look)
        for head, weights in changed:  # worked out beside the block
            kept[0][head] = weights
        order.append((layer, int(window.position[0, 0]), kept[0]))
        return behind

    def spy_heads(self: SingleHeads) -> Any:
        found = attend(self)
        changed.extend(zip(self.head.tolist(), found.weights, strict=True))
        return found

    up, down, side = link
    with monkeypatch.context() as patch:
        patch.setattr(Runner, "run_layer", spy)
        patch.setattr(SingleHeads, "attend", spy_heads)
        bench.ablated(bench.edits([(bench.heads[up], down, side)], [prompt]), scope)
    roles = bench.circuit.prompts[prompt].roles
    for run in (order[: len(order) // 2], order[len(order) // 2 :]):
        weights = {layer: (first, weight) for layer, first, weight in run}
        fires = set()
        for name, (layer, head) in bench.heads.items():
            dest, src = (roles[role] for role in PAIRS[name])
            first, weight = weights.get(layer, (dest + 1, None))
            if dest < first or weight[head, dest - first, src] >= 0.5:  # as it was: fires
                fires.add(name)
        yield fires


def must_stop(link: Link, scope: Scope) -> set[str]:
    """The heads that an ablated link silences: whoever reads what is gone, and all behind them."""
    up, down, _ = link
    stopped = {down}
    if scope == "global":  # whoever else reads the same marker
        stopped |= {reader for writer, reader, _ in LINKS if writer == up}
    while more := {d for u, d, _ in LINKS if u in stopped} - stopped:
        stopped |= more
    return stopped


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("link", LINKS, ids=lambda link: "-".join(link))
def test_an_ablated_edge_stops_what_hangs_on_it_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, link: Link, scope: Scope
) -> None:
    for prompt in (0, 6):
        before, after = firing(bench, monkeypatch, link, scope, prompt)
        assert before == set(PLAN)
        if link[0] in HALVES:  # half of a signal is left, which may do or not
            assert before - after <= must_stop(link, scope)
        else:
            assert before - after == must_stop(link, scope)


@pytest.mark.parametrize("scope", SCOPES)
def test_planted_edges_carry_the_signal_random_slices_do_not(bench: Bench, scope: Scope) -> None:
    for link in LINKS:
        edits = bench.every_prompt(link)
        ways = [(-1.0, None), (1.0, None), *((-1.0, seed) for seed in range(3))]
        found, boosted, *controls = bench.changed(edits, scope, ways)
        assert len(found["run"]) == 12 and (found["n_slices"] == 1).all()
        assert (found["score"] > 2).all() and (found["weight"] > 0.9).all()
        drop = found["score"] - found["score_after"]
        if link[0] in HALVES:
            np.testing.assert_allclose(drop, drop.mean(), rtol=0.2)
        else:
            assert (found["score_after"] < 0).all() and (found["weight_after"] < 0.2).all()
        assert (boosted["score_after"] > boosted["score"] + 0.5 * drop).all()
        for control in controls:
            assert (control["n_slices"] == 1).all()
            assert (np.abs(control["score_after"] - control["score"]) < 0.02 * drop).all()
            np.testing.assert_allclose(control["weight_after"], control["weight"], atol=1e-3)


@pytest.mark.parametrize("scope", SCOPES)
def test_two_halves_make_a_whole(bench: Bench, scope: Scope) -> None:
    """Parallel edges of a set add up; together they silence what neither does alone."""
    halves = [(up, "G", "dest") for up in HALVES]
    drops = [
        found["score"] - found["score_after"]
        for found in (
            bench.ablated(bench.every_prompt(*links), scope)
            for links in (halves[:1], halves[1:], halves)
        )
    ]
    np.testing.assert_allclose(drops[0] + drops[1], drops[2], rtol=0.1)
    together = bench.ablated(bench.every_prompt(*halves), scope)
    assert (together["weight_after"] < 0.2).all()


@pytest.mark.parametrize("base", ["live", "clean"])
def test_serial_edges_do_not_add_up(bench: Bench, base: str) -> None:
    """With F's source silenced, F no longer writes what the next edge would take away."""
    edits = bench.every_prompt(("P", "F", "src"), ("F", "G", "src"))
    found = bench.ablated(edits, "local_qk", base)
    alone = bench.ablated(bench.every_prompt(("F", "G", "src")), "local_qk")
    of_g = np.isin(found["pair_id"], alone["pair_id"])
    assert of_g.sum() == len(alone["run"]) == 12
    np.testing.assert_allclose(found["score_after"][of_g], alone["score_after"], atol=0.6)


@pytest.mark.parametrize("scope", SCOPES)
def test_edges_that_are_not_planted_do_nothing(bench: Bench, scope: Scope) -> None:
    """Every other head below, at both tokens of every planted pair."""
    planted_links = {(bench.heads[up], down, side) for up, down, side in LINKS}
    others = [
        (up, down, side)
        for down, side in product(PLAN, ("dest", "src"))
        for up in product(range(PLAN[down][0]), range(bench.model.n_heads))
        if (up, down, side) not in planted_links
    ]
    assert len(others) == 2 * (6 + 12 + 18) - len(LINKS)
    found = bench.ablated(bench.apart(others), scope)
    n_prompts = len(bench.circuit.prompts)
    assert found["run"].tolist() == list(range(len(others) * n_prompts))
    moved = np.abs(found["score_after"] - found["score"]) >= 1
    assert not moved.any(), [others[run // n_prompts] for run in found["run"][moved]]
    assert (found["weight_after"] > 0.9).all()
