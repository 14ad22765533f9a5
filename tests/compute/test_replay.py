"""The forward pass that begins in the middle against the model's own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from svt.compute import replay as replay_module
from svt.compute.model import Model
from svt.compute.replay import Replay, bytes_per_token
from svt.dataset.prompt import Prompt
from svt.errors import SvtError
from tests.checkpoints import tiny_gpt2
from tests.compute.runs import loaded, prompts_of

SHAPE = {"n_layers": 3, "n_heads": 3, "d_model": 24, "sharp": 3.0, "n_ctx": 24}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return loaded(tiny_gpt2(tmp_path_factory.mktemp("model"), **SHAPE), "float64")


def from_layer(
    replay: Replay, layer: int, prompt: list[int], first: list[int], change: Tensor | None = None
) -> Tensor:
    """Logits of runs that enter before a layer, with `change` added to their first token there."""
    window = replay.window(np.array(prompt), np.array(first))
    resid = replay.residual(layer, window).clone()
    if change is not None:
        resid[window.start] += change
    for at in range(layer, replay.model.n_layers):
        qkv = replay.projected(at, replay.normalised(resid)[0])
        _, _, z = replay.attention(at, qkv, window)
        resid = resid + replay.written(at, z)
        resid = resid + replay.mlp(at, resid)
    return replay.logits(resid[window.last])


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


@pytest.mark.parametrize("changed", [False, True])
def test_from_every_layer_and_token_it_is_the_model(model: Model, changed: bool) -> None:
    prompts = prompts_of(0, n_prompts=3, lengths=(3, 8))
    runs = [(i, first) for i, p in enumerate(prompts) for first in range(len(p.tokens))]
    rows, firsts = map(list, zip(*runs, strict=True))
    change = torch.randn(model.d_model, generator=torch.Generator().manual_seed(1)).double()
    added = 3 * (change - change.mean()) if changed else None
    with torch.inference_mode():
        replay = Replay(model, prompts)
    for layer in range(model.n_layers):
        with torch.inference_mode():
            found = from_layer(replay, layer, rows, firsts, added)
        for (i, first), logits in zip(runs, found, strict=True):
            wanted = own_logits(model, prompts[i], layer, first, added)
            torch.testing.assert_close(logits, wanted, rtol=1e-9, atol=1e-9)


def test_tokens_after_the_end_are_cut(model: Model) -> None:
    prompt = prompts_of(0, n_prompts=1, lengths=(9, 9))[0]
    cut = replace(prompt, roles={"end": 5})
    short = replace(prompt, tokens=prompt.tokens[:6], roles={"end": 5})
    with torch.inference_mode():
        found = [from_layer(Replay(model, [p]), 1, [0], [2]) for p in (cut, short, prompt)]
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


def test_the_size_of_its_batches_changes_nothing(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = prompts_of(1, n_prompts=9, lengths=(2, 12))
    found = []
    for size in (1, 30, 4096):
        monkeypatch.setattr(replay_module, "BATCH_TOKENS", size)
        with torch.inference_mode():
            found.append(from_layer(Replay(model, prompts), 2, [*range(9)], [1] * 9))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
def test_any_activation(tmp_path: Path, activation: str) -> None:
    folder = tiny_gpt2(tmp_path, **SHAPE, activation_function=activation)
    Replay(loaded(folder), prompts_of(2, n_prompts=3, lengths=(3, 6)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_any_dtype(tmp_path: Path, dtype: str) -> None:
    model = loaded(tiny_gpt2(tmp_path, **{**SHAPE, "sharp": 1.0}), dtype)
    replay = Replay(model, prompts_of(2, n_prompts=3, lengths=(3, 6)))
    assert replay.w_o.dtype == torch.float32


def test_a_model_whose_forward_pass_is_another_is_refused(tmp_path: Path) -> None:
    model = loaded(tiny_gpt2(tmp_path, **SHAPE))
    prompts = prompts_of(0, n_prompts=3, lengths=(3, 8))
    model.bridge.cfg.act_fn = "relu"
    with pytest.raises(SvtError, match=r"relative error .*, at most 1e-04"):
        Replay(model, prompts)


def test_what_it_keeps_is_what_it_says(model: Model) -> None:
    prompts = prompts_of(0, n_prompts=4, lengths=(3, 8))
    replay = Replay(model, prompts)
    kept = [replay._resid, replay._keys, replay._values, replay._z]
    n_tokens = sum(len(prompt.tokens) for prompt in prompts)
    assert sum(tensor.nbytes for tensor in kept) == n_tokens * bytes_per_token(model)
    assert bytes_per_token(model) == 3 * 4 * 24 * 8
