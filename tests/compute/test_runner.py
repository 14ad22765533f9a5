"""The forward pass that begins in the middle against the model's own."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from svt.compute import runner as module
from svt.compute.model import Model
from svt.compute.runner import Runner, Window, bytes_per_token
from svt.dataset.prompt import Prompt
from svt.errors import SvtError
from tests.checkpoints import tiny_gpt2
from tests.compute.runs import loaded
from tests.families import CASES
from tests.marks import first
from tests.prompts import prompts_of

SHAPE = {"n_layers": 3, "n_heads": 3, "d_model": 24, "sharp": 3.0, "n_ctx": 24}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return loaded(tiny_gpt2(tmp_path_factory.mktemp("model"), **SHAPE), "float64")


def from_layer(
    runner: Runner, layer: int, prompt: Sequence[int], width: int, change: Tensor | None = None
) -> Tensor:
    """Logits of runs of `width` tokens, with `change` added to the first of them before a layer."""
    with torch.inference_mode():
        window = runner.window(np.array(prompt), width)
        resid = runner.residual(layer, window).clone()
        if change is not None:
            first = window.position[:, 0].clamp_min(0) - window.position[:, 0]  # behind padding
            resid[torch.arange(len(prompt)), first] += change
        for at in range(layer, runner.model.n_layers):
            resid = runner.run_layer(at, resid, window, {})
        return runner.model.logits(runner.normalise_end(resid))


def own_logits(
    model: Model, prompt: Prompt, layer: int, position: int, change: Tensor | None
) -> Tensor:
    """The bridge's, with `change` added to the residual before a layer."""
    tokens = torch.tensor([prompt.tokens[: prompt.roles["end"] + 1]])

    def add(value: Tensor, hook: object) -> Tensor:
        value = value.clone()
        value[:, position] += change
        return value

    hooks: list[tuple[str, Callable[..., Tensor]]] = []
    if change is not None:
        hooks.append((f"blocks.{layer}.hook_in", add))
    with torch.inference_mode():
        return model.bridge.run_with_hooks(tokens, fwd_hooks=hooks)[0, -1]


@pytest.mark.parametrize("case", first(1, list(CASES)))
def test_from_every_layer_and_token_it_is_the_model(
    family: Callable[..., Model], case: str
) -> None:
    """Prompts of 3 to 12 tokens in one batch, longer than any sliding window.

    Of most families transformers computes softmaxes and rotations in float32.
    """
    model = family(case, "float64")
    prompts = prompts_of(0, n_prompts=3, lengths=(3, 12))
    generator = torch.Generator().manual_seed(1)
    added = 3 * torch.randn(model.d_model, generator=generator, dtype=torch.float64)
    if model.centres:
        added -= added.mean()
    runner = Runner(model, prompts)
    untouched = [own_logits(model, prompt, 0, 0, None) for prompt in prompts]
    every, close = range(len(prompts)), 1e-9 if case == "gpt2" else 2e-6
    for layer in range(model.n_layers):
        for width in (1, 5, max(len(p.tokens) for p in prompts)):
            for change in (None, added):
                found = from_layer(runner, layer, every, width, change)
                for prompt, wanted, logits in zip(prompts, untouched, found, strict=True):
                    if change is not None:
                        first = max(0, len(prompt.tokens) - width)
                        wanted = own_logits(model, prompt, layer, first, change)
                    torch.testing.assert_close(logits, wanted, rtol=close, atol=close)


def test_tokens_after_the_end_are_cut(model: Model) -> None:
    prompt = prompts_of(0, n_prompts=1, lengths=(9, 9))[0]
    cut = replace(prompt, roles={"end": 5})
    short = replace(prompt, tokens=prompt.tokens[:6], roles={"end": 5})
    found = [from_layer(Runner(model, [p]), 1, [0], 2) for p in (cut, short, prompt)]
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


def test_the_size_of_its_batches_changes_nothing(model: Model) -> None:
    prompts = prompts_of(1, n_prompts=9, lengths=(2, 12))
    found = [
        from_layer(Runner(model, prompts, batch_tokens=size), 2, range(9), 2)
        for size in (1, 30, 4096)
    ]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_any_dtype(tmp_path: Path, dtype: str) -> None:
    model = loaded(tiny_gpt2(tmp_path, **{**SHAPE, "sharp": 1.0}), dtype)
    prompts = prompts_of(2, n_prompts=3, lengths=(3, 6))
    logits = from_layer(Runner(model, prompts), 1, range(3), 2)
    assert logits.dtype == torch.float32
    for prompt, found in zip(prompts, logits, strict=True):
        wanted = own_logits(model, prompt, 0, 0, None).float()
        assert (found - wanted).norm() < 0.05 * wanted.norm()


@pytest.mark.parametrize("part", ["keys", "position"])
def test_a_model_that_cannot_begin_in_the_middle_is_refused(
    model: Model, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Whose blocks take no keys from before, or other positions than those they are called with."""
    prompts = prompts_of(0, n_prompts=3, lengths=(3, 8))
    if part == "keys":
        monkeypatch.setattr(module, "_replace_last", lambda whole, own: own)
    else:
        cut = Runner._cut_uncached

        def cut_wrongly(self: Runner, value: object, window: Window) -> object:
            turned = replace(window, position=window.position.flip(1))
            return cut(self, value, turned)

        monkeypatch.setattr(Runner, "_cut_uncached", cut_wrongly)
    with pytest.raises((SvtError, RuntimeError)) as refusal:
        Runner(model, prompts)
    if part == "position":
        assert "relative error" in str(refusal.value)


def test_what_it_keeps_is_what_it_says(model: Model, family: Callable[..., Model]) -> None:
    prompts = prompts_of(0, n_prompts=4, lengths=(3, 8))
    n_tokens = sum(len(prompt.tokens) for prompt in prompts)
    for some in (model, family("gemma2")):
        runner = Runner(some, prompts)
        kept = [*runner._resid, *runner._keys, *runner._values, *runner.z, *(runner._post or ())]
        assert sum(tensor.nbytes for tensor in kept) == n_tokens * bytes_per_token(some)
    assert bytes_per_token(model) == 3 * 4 * 24 * 8
    whole = Runner(model, prompts, middle=False)
    kept = [*whole._resid, *whole._keys, *whole._values, *whole.z]
    assert sum(tensor.nbytes for tensor in kept) == n_tokens * (3 * 24 + 24) * 8


def test_hooks_are_gone_after_a_block(model: Model) -> None:
    runner = Runner(model, prompts_of(0, n_prompts=2, lengths=(3, 8)))
    point = model.bridge.hook_dict["blocks.1.attn.hook_z"]
    window = runner.window(np.array([0]), 1)

    def fail(z: Tensor) -> None:
        raise ValueError("inside")

    with torch.inference_mode(), pytest.raises(ValueError, match="inside"):
        runner.run_layer(1, runner.residual(1, window), window, {"attn.hook_z": fail})
    assert not point.fwd_hooks and not point._forward_hooks
