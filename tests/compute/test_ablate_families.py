"""Ablation of heads in every family, beside hooks on the Hugging Face model itself."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from svt.compute.ablate import Ablation
from svt.compute.model import Model
from svt.config import Head
from tests.families import FAMILIES
from tests.hf_models import hf_logits, load_double
from tests.marks import families
from tests.prompts import prompts_of

SETS: list[list[Head]] = [[(1, 2)], [(0, 3), (2, 1)], [(1, 0), (1, 1), (2, 3)]]
LAYERS = {"gpt2": "transformer.h", "gpt_neo": "transformer.h", "gpt_neox": "gpt_neox.layers"}
OUTPUTS = {
    "gpt2": "attn.c_proj",
    "gpt_neo": "attn.attention.out_proj",
    "gpt_neox": "attention.dense",
}
NORMS = {"gpt2": "ln_1", "gpt_neo": "ln_1", "gpt_neox": "input_layernorm"}


def constant_values(family: str, layer: Any) -> Tensor | float:
    """What biases alone make the heads' z: it belongs to the layer's output bias, and stays."""
    if family == "qwen2":  # two key heads, each of two heads
        return layer.self_attn.v_proj.bias.unflatten(0, (2, -1)).repeat_interleave(2, 0).flatten()
    if family not in NORMS:
        return 0.0
    shift = layer.get_submodule(NORMS[family]).bias
    if family == "gpt_neo":
        return layer.attn.attention.v_proj(shift)
    if family == "gpt2":
        return layer.attn.c_attn(shift[None])[0, -len(shift) :]
    return layer.attention.query_key_value(shift).unflatten(0, (4, 3, -1))[:, 2].flatten()


def without(
    model: PreTrainedModel, family: str, heads: Sequence[Head], tokens: Sequence[int]
) -> np.ndarray:
    """Logits at the last token with z of the heads zero, but for what biases make it."""
    layers = model.get_submodule(LAYERS.get(family, "model.layers"))
    handles = []
    for at, head in heads:
        constant = constant_values(family, layers[at])

        def zero(_: Any, args: Any, head: int = head, constant: Any = constant) -> tuple[Tensor]:
            z = args[0].clone()
            own = z.shape[-1] // 4
            mine = slice(own * head, own * (head + 1))
            z[..., mine] = constant[mine] if isinstance(constant, Tensor) else 0.0
            return (z,)

        output = layers[at].get_submodule(OUTPUTS.get(family, "self_attn.o_proj"))
        handles.append(output.register_forward_pre_hook(zero))
    logits = hf_logits(model, tokens)[-1]
    for handle in handles:
        handle.remove()
    return logits


@pytest.mark.parametrize("case", families(FAMILIES))
def test_zero_ablation_is_that_of_the_hugging_face_model(
    checkpoint: Callable[[str], Path], family: Callable[..., Model], case: str
) -> None:
    theirs = load_double(checkpoint(case))
    prompts = prompts_of(1, 5, (4, 12))
    ablation = Ablation(family(case, "float64"), prompts, "zero", 0, 8)
    with torch.no_grad():
        for heads, found in zip([[], *SETS], ablation.logit_diffs([[], *SETS]), strict=True):
            wanted = []
            for prompt in prompts:
                logits = without(theirs, case, heads, prompt.tokens)
                answer, distractor = logits[list(prompt.answer)], logits[list(prompt.distractor)]
                wanted.append(answer.mean() - distractor.mean())
            np.testing.assert_allclose(found, wanted, atol=2e-5)
            if heads:
                assert np.abs(np.array(wanted) - ablation.full).max() > 0.01
            else:
                np.testing.assert_array_equal(found, ablation.full)
