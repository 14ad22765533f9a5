"""What an intervention must and must not change."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from svt.compute import edits as edits_module
from svt.compute.changed_runs import ChangedRuns
from svt.compute.columns import Columns
from svt.compute.decompose import decompose_model
from svt.compute.edits import split_into_batches
from svt.compute.intervene import EditMode, Edits, draw_random_slices
from svt.compute.model import Model
from svt.compute.pairs import select
from svt.compute.single_heads import SingleHeads
from tests.checkpoints import tiny_gpt2
from tests.compute.edited import PLACES, SCOPES, effects, pair_slices, random_edits
from tests.compute.runs import loaded, prompts_of, with_signs
from tests.families import FAMILIES
from tests.marks import first

SHAPE: dict[str, Any] = {"n_layers": 4, "n_heads": 3, "d_model": 24, "sharp": 3.0, "n_ctx": 24}
TWICE = ("logit_diff", "score", "weight", "answer_rank")  # before and after


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return loaded(tiny_gpt2(tmp_path_factory.mktemp("model"), **SHAPE), "float64")


@pytest.fixture(scope="module")
def prompts() -> tuple:
    return prompts_of(3, n_prompts=5, lengths=(3, 9))


def same(found: Columns, wanted: Columns) -> None:
    """Equal up to rounding, row by row."""
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype, name
        np.testing.assert_allclose(
            found[name].astype(float), values.astype(float), rtol=1e-5, atol=1e-6, err_msg=name
        )


@pytest.mark.parametrize(
    ("case", "most", "base"),
    first(
        3,
        [
            ("gemma2", 6, "live"),
            ("gpt2", 1, "live"),
            ("gpt2", 6, "clean"),
            *((case, 6, "live") for case in FAMILIES if case != "gemma2"),
        ],
    ),
)
def test_strength_0_changes_nothing_in_any_family(
    family: Callable[..., Model], prompts: tuple, case: str, most: int, base: str
) -> None:
    model = family(case)  # float32
    edits = random_edits(model, prompts, 0, n_runs=12, most=most)
    slices = pair_slices(edits, model.d_head, 0)
    variants = [EditMode(scope, s, slices) for scope in SCOPES for s in (-1.0, 0.0)]
    changed, nothing = {}, {}
    found = effects(model, prompts, edits, variants, local_base=base, batch_size=16)
    for variant, columns in zip(variants, found, strict=True):
        (nothing if variant.strength == 0 else changed)[variant.scope] = columns
    for scope in SCOPES:
        for name in TWICE:
            before, after = nothing[scope][name], nothing[scope][name + "_after"]
            assert before.tolist() == after.tolist()
        for name in ("cosine", "norm_ratio", "resid_cosine", "resid_norm_ratio"):
            assert (nothing[scope][name] == 1).all()
        before, after = changed[scope]["logit_diff"], changed[scope]["logit_diff_after"]
        assert (before != after).mean() > 0.5


def one_edit(model: Model, prompts: tuple, **keys: int) -> Edits:
    at = {"run": 0, "prompt": 0, "pair_id": 7, "layer": 3, "head": 1, "dest": 5, "src": 2}
    at |= {"side": 0, "up_layer": 1, "up_head": 2}
    return Edits(*np.array([[value] for value in (at | keys).values()], np.int64))


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("up_layer", [0, 1, 2])
def test_a_projector_that_holds_all_a_head_writes_ablates_it(
    model: Model, side: int, up_layer: int
) -> None:
    prompts = prompts_of(3, n_prompts=1, lengths=(8, 8))
    edits = one_edit(model, prompts, side=side, up_layer=up_layer)
    svd = decompose_model(model)
    whole = torch.zeros(model.d_model + 1, model.d_head, dtype=torch.float64)
    whole[:-1] = torch.linalg.qr(model.weight("W_O")[up_layer, 2].T)[0]
    (svd.u, svd.v)[side][3, 1] = whole
    every = np.ones((1, model.d_head), bool)
    (found,) = effects(model, prompts, edits, [EditMode("global", -1.0, every)], svd)
    scores: list[Tensor] = []

    def ablate(z: Tensor, hook: object) -> Tensor:
        z = z.clone()
        z[:, int(edits.token[0]), 2] = 0
        return z

    hooks = [
        (f"blocks.{up_layer}.attn.hook_z", ablate),
        ("blocks.3.attn.hook_attn_scores", lambda value, hook: scores.append(value)),
    ]
    with torch.inference_mode():
        logits = model.bridge.run_with_hooks(torch.tensor([prompts[0].tokens]), fwd_hooks=hooks)
    said = logits[0, -1]
    (answer,), (distractor,) = prompts[0].answer, prompts[0].distractor
    difference = said[answer] - said[distractor]
    assert found["logit_diff_after"][0] == pytest.approx(float(difference), rel=1e-6)
    assert found["logit_diff"][0] != pytest.approx(float(difference), rel=1e-4)
    assert found["score_after"][0] == pytest.approx(float(scores[0][0, 1, 5, 2]), rel=1e-6)


@pytest.mark.parametrize("homogeneous", [True, False])
def test_what_is_added_is_the_centred_projection(model: Model, homogeneous: bool) -> None:
    """Any orthonormal W will do; those of a folded model are centred already."""
    (prompt,) = prompts = prompts_of(3, n_prompts=1, lengths=(8, 8))
    edits = one_edit(model, prompts)
    svd = decompose_model(model)
    numbers = np.random.default_rng(0)
    shape = (model.d_model + 1, model.d_head)
    svd.u[3, 1] = w = torch.as_tensor(np.linalg.qr(numbers.normal(size=shape) + 0.3)[0])
    slices = numbers.random((1, model.d_head)) < 0.6
    variant = EditMode("global", 1.5, slices)
    (found,) = effects(model, prompts, edits, [variant], svd, homogeneous=homogeneous)
    kept: list[Tensor] = []

    def keep(z: Tensor, hook: object) -> None:
        kept.append(z[0, 5, 2])

    def add(written: Tensor, hook: object) -> Tensor:
        extended = torch.cat([kept[0] @ model.weight("W_O")[1, 2], torch.tensor([homogeneous])])
        of_slices = w[:, torch.as_tensor(slices[0])]
        h = (of_slices @ (of_slices.T @ extended))[:-1]
        assert abs(h.mean()) > 0.05 * h.norm() / model.d_model**0.5
        changed = written.clone()
        changed[:, 5] += 1.5 * (h - h.mean())
        kept.extend((written[0, 5], changed[0, 5]))
        return changed

    hooks = [("blocks.1.attn.hook_z", keep), ("blocks.1.hook_attn_out", add)]
    with torch.inference_mode():
        said = model.bridge.run_with_hooks(torch.tensor([prompt.tokens]), fwd_hooks=hooks)[0, -1]
    difference = float(said[prompt.answer[0]] - said[prompt.distractor[0]])
    assert found["logit_diff_after"][0] == pytest.approx(difference, rel=1e-6)
    _, before, after = kept  # a mean would be lost on every reader, but not on these
    assert found["norm_ratio"][0] == pytest.approx(float(after.norm() / before.norm()), rel=1e-6)
    cosine = torch.cosine_similarity(before, after, dim=0)
    assert found["cosine"][0] == pytest.approx(float(cosine), rel=1e-6)


@pytest.mark.parametrize("base", ["live", "clean"])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("scope", ["local_qk", "local_qkv"])
def test_a_local_change_touches_one_head_of_its_layer(
    model: Model, monkeypatch: pytest.MonkeyPatch, scope: str, side: int, base: str
) -> None:
    """Attention at the changed layer sees another query, key or value there, nowhere else."""
    prompts = prompts_of(3, n_prompts=1, lengths=(8, 8))
    edits = one_edit(model, prompts, side=side, layer=2)
    read: list[Tensor] = []
    mixed: list[Tensor] = []
    attend, change = SingleHeads.attend, ChangedRuns._change_heads

    def spy(self: SingleHeads) -> Any:
        assert self.head.tolist() == [1]
        read.append(torch.stack(self.parts)[:, 0])
        return attend(self)

    def spy_all(self: ChangedRuns, layer: int, resid: Tensor, z: Tensor, up: Any) -> Tensor:
        assert layer == 2
        mixed.append(change(self, layer, resid, z, up)[0])
        return mixed[-1][None]

    monkeypatch.setattr(SingleHeads, "attend", spy)
    monkeypatch.setattr(ChangedRuns, "_change_heads", spy_all)
    every = np.ones((1, model.d_head), bool)
    effects(model, prompts, edits, [EditMode(scope, -1.0, every)], local_base=base)  # type: ignore[arg-type]
    parts = [side] if scope == "local_qk" else [0, 1, 2]
    before, after = read
    differs = (before != after).any(-1)  # [part, token]
    assert differs.nonzero().tolist() == [[part, 0] for part in parts]
    z, z_after = mixed
    moved = (z != z_after).any(-1)  # [token, head]
    assert moved[:, 1].any() and not moved[:, [0, 2]].any()
    if scope == "local_qk" and side == 0:
        assert not moved[1:].any()  # of the query, only its own token hears


@pytest.mark.parametrize(("most", "base"), first(1, [(5, "clean"), (5, "live"), (1, "live")]))
def test_batches_order_and_padding_change_nothing(
    model: Model, prompts: tuple, monkeypatch: pytest.MonkeyPatch, most: int, base: str
) -> None:
    edits = random_edits(model, prompts, 1, n_runs=6, most=most)
    slices = pair_slices(edits, model.d_head, 1)

    def found(index: np.ndarray, edits: Edits, prompts: tuple, batch_size: int) -> list[Columns]:
        variants = [EditMode(scope, -1.0, slices[index]) for scope in SCOPES]
        return effects(
            model, prompts, select(edits, index), variants, local_base=base, batch_size=batch_size
        )

    every = np.arange(len(edits))
    wanted = found(every, edits, prompts, 64)
    for one, whole in zip(found(every, edits, prompts, 1), wanted, strict=True):
        same(one, whole)
    monkeypatch.setattr(edits_module, "BATCH_CELLS", 200)
    for cut, whole in zip(found(every, edits, prompts, 64), wanted, strict=True):
        same(cut, whole)
    monkeypatch.undo()
    backwards = replace(edits, run=5 - edits.run, prompt=len(prompts) - edits.prompt)
    longer = (*prompts_of(9, n_prompts=1, lengths=(20, 20)), *prompts[::-1])
    by_run = np.argsort(backwards.run, kind="stable")
    for turned, whole in zip(found(by_run, backwards, longer, 7), wanted, strict=True):
        turned["run"] = 5 - turned["run"]
        turned["prompt"] = len(prompts) - turned["prompt"]
        order = np.lexsort((turned["pair_id"], turned["run"]))
        same({name: values[order] for name, values in turned.items()}, whole)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_run_begins_where_it_changes(model: Model, prompts: tuple, scope: str) -> None:
    """Every run once, at its lowest changed layer and first changed token, and no batch too big."""
    edits = random_edits(model, prompts, 1, n_runs=60, most=3)
    lengths = np.array([len(prompt.tokens) for prompt in prompts])
    found = list(split_into_batches(edits, scope, lengths, model.n_heads, batch_size=8))  # type: ignore[arg-type]
    assert sorted(run for batch in found for run in batch.run) == list(range(60))
    assert sum(len(batch.run) == 8 for batch in found) > 3
    for batch in found:
        assert len(batch.run) <= 8
        assert (edits.run[batch.index] == batch.run[batch.row]).all()
        for row, run in enumerate(batch.run):
            mine = select(edits, edits.run == run)
            assert batch.layer == mine.changed_layer(scope).min()  # type: ignore[arg-type]
            assert batch.first[row] == mine.token.min()
            assert (batch.row == row).sum() == len(mine)


def test_slices_may_change_their_sign(model: Model, prompts: tuple) -> None:
    edits = random_edits(model, prompts, 2, n_runs=8, most=3)
    variants = [EditMode(s, 1.0, pair_slices(edits, model.d_head, 2)) for s in SCOPES]
    svd = decompose_model(model)
    flipped = with_signs(svd, torch.where(torch.rand(svd.sigma.shape) < 0.5, -1.0, 1.0).double())
    for one, other in zip(
        effects(model, prompts, edits, variants, svd),
        effects(model, prompts, edits, variants, flipped),
        strict=True,
    ):
        same(one, other)


def test_a_single_edge_has_one_base(model: Model, prompts: tuple) -> None:
    """What the changed run reads is what the undisturbed one reads, where nothing else changed."""
    edits = random_edits(model, prompts, 4, n_runs=8)
    variants = [EditMode(s, -1.0, pair_slices(edits, model.d_head, 4)) for s in SCOPES]
    for live, clean in zip(
        effects(model, prompts, edits, variants, local_base="live"),
        effects(model, prompts, edits, variants, local_base="clean"),
        strict=True,
    ):
        same(live, clean)


def test_pairs_without_a_slice_leave_no_row(model: Model, prompts: tuple) -> None:
    edits = random_edits(model, prompts, 5, n_runs=12, most=4)
    slices = pair_slices(edits, model.d_head, 5, empty=0.5)
    none = np.zeros_like(slices)
    some, empty, all_slices = effects(
        model,
        prompts,
        edits,
        [EditMode("local_qk", -1.0, s) for s in (slices, none, ~none)],
    )
    wanted = {
        (run, prompt, pair, n)
        for run, prompt, pair, n in zip(
            *(getattr(edits, name) for name in PLACES), slices.sum(1), strict=True
        )
        if n
    }
    rows = list(zip(*(some[name] for name in (*PLACES, "n_slices")), strict=True))
    assert rows == sorted(wanted)
    assert all(len(values) == 0 for values in empty.values())
    assert {name: v.dtype for name, v in empty.items()} == {n: v.dtype for n, v in some.items()}
    assert len(all_slices["run"]) > len(rows)
    assert (all_slices["n_slices"] == model.d_head).all()


def test_what_nobody_asks_for_is_missing(model: Model, prompts: tuple) -> None:
    edits = random_edits(model, prompts, 6, n_runs=8)
    variant = EditMode("global", -1.0, pair_slices(edits, model.d_head, 6, empty=0))
    (answered,) = effects(model, prompts, edits, [variant])
    silent = tuple(replace(p, answer=(), distractor=()) for p in prompts)
    (mute,) = effects(model, silent, edits, [variant])
    half = tuple(replace(p, distractor=()) for p in prompts)
    (ranked,) = effects(model, half, edits, [variant])
    for end in ("", "_after"):
        assert np.isfinite(answered["logit_diff" + end]).all()
        assert np.isnan(mute["logit_diff" + end]).all()
        assert np.isnan(ranked["logit_diff" + end]).all()
        assert mute["answer_rank" + end].mask.all()
        assert ranked["answer_rank" + end].tolist() == answered["answer_rank" + end].tolist()
    assert mute["score_after"].tolist() == answered["score_after"].tolist()


def test_variants_come_in_their_order(model: Model, prompts: tuple) -> None:
    edits = random_edits(model, prompts, 7, n_runs=5)
    slices = pair_slices(edits, model.d_head, 7)
    ways = [("global", -1.0), ("local_qk", 1.0), ("global", 1.0), ("local_qkv", -1.0)]
    variants = [EditMode(scope, strength, slices) for scope, strength in ways]  # type: ignore[arg-type]
    for variant, columns in zip(variants, effects(model, prompts, edits, variants), strict=True):
        (alone,) = effects(model, prompts, edits, [variant])
        same(columns, alone)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_another_device_has_the_same_effects(tmp_path: Path, prompts: tuple) -> None:
    from svt.compute.load import load_model
    from svt.config import ModelConfig

    folder = tiny_gpt2(tmp_path, **SHAPE)
    found = []
    for device in ("cpu", "cuda"):
        model = load_model(ModelConfig("test", str(folder), None, device, "float64"))
        edits = random_edits(model, prompts, 8, n_runs=20, most=4)
        slices = pair_slices(edits, model.d_head, 8)
        variants = [EditMode(scope, -1.0, slices) for scope in SCOPES]
        found.append(effects(model, prompts, edits, variants))
    for one, other in zip(*found, strict=True):
        same(one, other)


@given(st.data())
def test_random_slices(data: st.DataObject) -> None:
    n, r = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 12))
    bits = st.lists(st.booleans(), min_size=n * r, max_size=n * r)
    in_signal = np.array(data.draw(bits)).reshape(n, r)
    pair_id = np.array(data.draw(st.lists(st.integers(0, 2**50), min_size=n, max_size=n)))
    seed = data.draw(st.integers(0, 2**40))
    drawn = draw_random_slices(in_signal, pair_id, seed)
    assert not (drawn & in_signal).any()
    size = in_signal.sum(1)
    assert drawn.sum(1).tolist() == np.minimum(size, r - size).tolist()
    order = np.array(data.draw(st.permutations(range(n))))
    again = draw_random_slices(in_signal[order], pair_id[order], seed)
    assert (again == drawn[order]).all()


def test_random_slices_are_drawn_evenly() -> None:
    """Of 9 slices outside the signal each of 3 is drawn a third of the time, by the seed."""
    n = 3000
    in_signal = np.zeros((n, 12), bool)
    in_signal[:, [0, 5, 11]] = True
    seeds = [draw_random_slices(in_signal, np.arange(n), seed) for seed in range(3)]
    free = [k for k in range(12) if k not in (0, 5, 11)]
    for drawn in seeds:
        shares = drawn.mean(0)
        assert (shares[[0, 5, 11]] == 0).all()
        np.testing.assert_allclose(shares[free], 1 / 3, atol=0.04)
    together = (seeds[0] & seeds[1]).sum(1).mean()
    assert together == pytest.approx(1, abs=0.1)  # 9 slices, each in both with 1 / 9
