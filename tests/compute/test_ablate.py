"""Ablation of whole heads, beside a checkpoint edited by hand and plain full forward passes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from svt.compute.ablate import Ablation
from svt.compute.model import Model
from svt.compute.token_classes import classify_tokens
from svt.config import Head
from svt.dataset.prompt import Prompt
from svt.words import Replacement
from tests.checkpoints import tiny_gpt2
from tests.compute.runs import loaded, prompts_of

HEADS = [(layer, head) for layer in range(3) for head in range(4)]
SETS: list[list[Head]] = [[(1, 2)], [(0, 3), (2, 1)], [], [(1, 0), (1, 2)], HEADS]
KINDS: list[Replacement] = ["mean", "zero", "resample"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return loaded(tiny_gpt2(tmp_path_factory.mktemp("model"), sharp=4.0))


def diffs_of_logits(logits: Tensor, prompts: tuple[Prompt, ...]) -> NDArray[np.float64]:
    """logit(answer) - logit(distractor) at the last token; logits: [prompt, position, word]."""
    return np.array(
        [
            float(row[n - 1, list(p.answer)].mean() - row[n - 1, list(p.distractor)].mean())
            for row, p, n in zip(logits, prompts, [len(p.tokens) for p in prompts], strict=True)
        ]
    )


def one_by_one(
    model: Model, prompts: tuple[Prompt, ...], heads: list[Head], replaced: list[Tensor]
) -> NDArray[np.float64]:
    """Full passes of one prompt each; replaced: of each prompt [layer, position, head, r]."""
    found = []
    for prompt, values in zip(prompts, replaced, strict=True):

        def replace(z: Tensor, hook: Any, values: Tensor = values) -> Tensor:
            layer = int(hook.name.split(".")[1])
            for at, head in heads:
                if at == layer:
                    z[0, :, head] = values[layer, :, head]
            return z

        names = [f"blocks.{layer}.attn.hook_z" for layer in range(model.n_layers)]
        with torch.inference_mode():
            logits = model.bridge.run_with_hooks(
                torch.tensor([prompt.tokens]), fwd_hooks=[(name, replace) for name in names]
            )
        found.append(diffs_of_logits(logits, (prompt,))[0])
    return np.array(found)


def z_of(model: Model, prompt: Prompt) -> Tensor:
    """[layer, position, head, r] of the undisturbed run of one prompt."""
    names = [f"blocks.{layer}.attn.hook_z" for layer in range(model.n_layers)]
    with torch.inference_mode():
        _, cache = model.bridge.run_with_cache(torch.tensor([prompt.tokens]), names_filter=names)
    return torch.stack([cache[name][0] for name in names])


def test_zero_ablation_is_a_head_without_output_weights(tmp_path: Path, model: Model) -> None:
    """W_O of head 1.2 is zero in the checkpoint; what biases alone write stays, as the layer's."""
    folder = tiny_gpt2(tmp_path, sharp=4.0)
    file = folder / "model.safetensors"
    weights = load_file(file)
    w_o, b_o = (weights[f"transformer.h.1.attn.c_proj.{part}"] for part in ("weight", "bias"))
    own = slice(2 * 8, 3 * 8)
    w_v, b_v = (
        weights[f"transformer.h.1.attn.c_attn.{part}"][..., 2 * 32 :][..., own]
        for part in ("weight", "bias")
    )
    b_o += (weights["transformer.h.1.ln_1.bias"] @ w_v + b_v) @ w_o[own]
    w_o[own] = 0
    save_file(weights, file, {"format": "pt"})
    prompts = prompts_of(1, 8, (5, 9))
    ablated = Ablation(model, prompts, "zero", 0, 8)
    edited = Ablation(loaded(folder), prompts, "zero", 0, 8)
    np.testing.assert_allclose(ablated.logit_diffs([[(1, 2)]])[0], edited.full, atol=1e-4)
    assert np.abs(ablated.full - edited.full).max() > 0.05


def test_full_is_what_the_model_says(model: Model) -> None:
    prompts = prompts_of(2, 9, (4, 9))
    own = [
        diffs_of_logits(model.bridge(torch.tensor([p.tokens])).detach(), (p,))[0] for p in prompts
    ]
    np.testing.assert_allclose(Ablation(model, prompts, "zero", 0, 4).full, own, atol=1e-4)


def test_mean_is_that_of_the_other_equal_prompts(model: Model) -> None:
    """Three prompts of one length: each gets the mean of the other two, position by position."""
    prompts = prompts_of(3, 3, (6, 6))
    z = [z_of(model, prompt) for prompt in prompts]
    replaced = [(z[1] + z[2]) / 2, (z[0] + z[2]) / 2, (z[0] + z[1]) / 2]
    found = Ablation(model, prompts, "mean", 0, 2).logit_diffs(SETS)
    for heads, diffs in zip(SETS, found, strict=True):
        wanted = one_by_one(model, prompts, heads, replaced)
        np.testing.assert_allclose(diffs, wanted, atol=1e-4)
    assert np.abs(found[0] - found[2]).max() > 0.05


def test_mean_of_a_lone_prompt_is_that_of_the_role(model: Model) -> None:
    """Its end gets the mean of the other ends, its other tokens that of all others without role."""
    prompts = (*prompts_of(4, 2, (6, 6)), *prompts_of(5, 1, (4, 4)))
    z = [z_of(model, prompt) for prompt in prompts]
    lone = torch.empty_like(z[2])
    lone[:, 3] = (z[0][:, 5] + z[1][:, 5]) / 2
    inner = torch.cat([z[0][:, :5], z[1][:, :5], z[2][:, :3]], dim=1)
    lone[:, :3] = (inner.sum(1, keepdim=True) - z[2][:, :3]) / (inner.shape[1] - 1)
    wanted = one_by_one(model, prompts, HEADS, [z[1], z[0], lone])
    (found,) = Ablation(model, prompts, "mean", 0, 8).logit_diffs([HEADS])
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_resampling_takes_z_of_the_prompt_drawn(model: Model) -> None:
    prompts = prompts_of(6, 5, (6, 6))
    like = classify_tokens(prompts, np.full(5, 6))
    drawn = like.draw_others(np.repeat(np.arange(5), 6), 7).reshape(5, 6)[:, 0] // 6
    replaced = [z_of(model, prompts[i]) for i in drawn]
    found = Ablation(model, prompts, "resample", 7, 3).logit_diffs(SETS)
    for heads, diffs in zip(SETS, found, strict=True):
        wanted = one_by_one(model, prompts, heads, replaced)
        np.testing.assert_allclose(diffs, wanted, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_no_head_ablated_changes_no_bit(model: Model, kind: Replacement) -> None:
    ablation = Ablation(model, prompts_of(8, 12, (4, 9)), kind, 0, 5)
    (nothing,) = ablation.logit_diffs([()])
    assert (nothing == ablation.full).all()


def test_equal_prompts_replace_themselves_bit_by_bit(model: Model) -> None:
    first, *_ = prompts_of(9, 1, (7, 7))
    kinds: tuple[Replacement, ...] = ("mean", "resample")
    for kind in kinds:
        ablation = Ablation(model, (first, first), kind, 0, 2)
        assert (ablation.logit_diffs(SETS) == ablation.full).all()


@pytest.mark.parametrize("kind", KINDS)
def test_batches_change_nothing(model: Model, kind: Replacement) -> None:
    prompts = prompts_of(10, 8, (4, 9))
    one, many = (Ablation(model, prompts, kind, 3, size).logit_diffs(SETS) for size in (1, 5))
    np.testing.assert_allclose(one, many, atol=1e-4)


def test_sets_sharing_lower_layers_are_those_alone_bit_by_bit(model: Model) -> None:
    ablation = Ablation(model, prompts_of(11, 6, (4, 9)), "mean", 0, 4)
    steps: list[int] = []
    together = ablation.logit_diffs(SETS, steps.append)
    assert sum(steps) == len(SETS) * 6
    for heads, diffs in zip(SETS, together, strict=True):
        assert (ablation.logit_diffs([heads])[0] == diffs).all()
    assert len({row.tobytes() for row in together}) == len(SETS)


def test_other_dtypes(model: Model, tmp_path: Path) -> None:
    prompts = prompts_of(12, 4, (6, 6))
    wide, narrow = (
        Ablation(loaded(tiny_gpt2(tmp_path / dtype, sharp=4.0), dtype), prompts, "mean", 0, 4)
        for dtype in ("float64", "bfloat16")
    )
    plain = Ablation(model, prompts, "mean", 0, 4).logit_diffs(SETS)
    np.testing.assert_allclose(wide.logit_diffs(SETS), plain, atol=1e-4)
    assert np.isfinite(narrow.logit_diffs(SETS)).all()
