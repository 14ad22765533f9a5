"""One forward pass over a batch of prompts, with the activations that the dump needs.

1. Prompts are cut after their `end` token and padded right. Causal attention hides padding from
   every real token, and every array holds real tokens only, one prompt after the other.
2. Hooks save, of each layer, the queries and keys (attention.py), the heads' z, divided by the
   scale of a norm after attention if there is one, and, on demand, the outputs of the other writers
   and the residual stream before the layer. Attention matrices go to a callback and are dropped.
3. Logits are not computed: those of the last token follow from its residual.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svt.compute.attention import AttentionInputs, compute_scores, input_hooks, prepare_inputs
from svt.compute.model import Model
from svt.dataset.prompt import Prompt

PairCallback = Callable[[int, Tensor, Tensor], None]


@dataclass(frozen=True)
class Activations:
    """The activations of all real tokens, prompt by prompt; lists are by layer."""

    position: Int[Tensor, " token"]  # in its prompt
    inputs: list[AttentionInputs]  # by token
    z: list[Float[Tensor, "token head r"]]  # z W_O is the output of a head
    post_scale: list[Float[Tensor, " token"]] | None  # of a norm after attention
    writers: dict[
        str, Tensor
    ]  # "embed", "pos_embed": [token, d_model]; "mlp": [layer, token, d_model]
    end_x: Float[Tensor, "prompt d_model"]  # ln_final.hook_normalized at the last token
    end_scale: Float[Tensor, " prompt"]  # ln_final.hook_scale at the last token
    resid: list[Float[Tensor, "token d_model"]] = field(default_factory=list)  # may be empty


@dataclass(frozen=True)
class Layout:
    """The prompts of a batch, and the places of their real tokens."""

    prompts: tuple[Prompt, ...]
    tokens: Int[Tensor, "prompt position"]  # padded right
    lengths: Int[np.ndarray, " prompt"]  # tokens up to and with `end`
    starts: Int[np.ndarray, " prompt"]  # index of the first token

    @property
    def prompt_ids(self) -> Int[np.ndarray, " prompt"]:
        """Return the prompts' ids."""
        return np.array([prompt.prompt_id for prompt in self.prompts], np.int64)


def pad_prompts(prompts: Sequence[Prompt]) -> Layout:
    """Return the prompts cut and padded (step 1)."""
    rows = [p.tokens[: count_positions(p)] for p in prompts]
    lengths = np.array([len(row) for row in rows], np.int64)
    tokens = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for row, padded in zip(rows, tokens, strict=True):
        padded[: len(row)] = torch.tensor(row)
    return Layout(tuple(prompts), tokens, lengths, np.cumsum(lengths) - lengths)


def count_positions(prompt: Prompt) -> int:
    """Return the number of tokens of a prompt up to and with `end`."""
    return prompt.roles.get("end", len(prompt.tokens) - 1) + 1


def select_prompts(
    batch: Layout, acts: Activations, mask: Bool[np.ndarray, " prompt"]
) -> tuple[Layout, Activations]:
    """Return the layout and activations of the prompts where `mask` is true."""
    rows = np.flatnonzero(mask)
    lengths = batch.lengths[rows]
    prompts = torch.as_tensor(rows, device=acts.end_x.device)
    tokens = torch.as_tensor(np.repeat(mask, batch.lengths), device=acts.end_x.device)
    selected = Layout(
        tuple(batch.prompts[row] for row in rows),
        batch.tokens[rows],
        lengths,
        np.cumsum(lengths) - lengths,
    )
    return selected, Activations(
        position=acts.position[tokens],
        inputs=[layer.at(tokens) for layer in acts.inputs],
        z=[layer[tokens] for layer in acts.z],
        resid=[layer[tokens] for layer in acts.resid],
        post_scale=acts.post_scale and [layer[tokens] for layer in acts.post_scale],
        writers={
            name: part[:, tokens] if name == "mlp" else part[tokens]
            for name, part in acts.writers.items()
        },
        end_x=acts.end_x[prompts],
        end_scale=acts.end_scale[prompts],
    )


def forward(
    model: Model,
    batch: Layout,
    components: Sequence[str],
    on_pairs: PairCallback,
    with_resid: bool = False,
) -> Activations:
    """Run the model on a batch and return its activations (steps 2 and 3).

    components: those whose outputs are saved. on_pairs: called with each layer and its weights and
    scores, [prompt, head, dest, src], in the work dtype and on the model's device. with_resid:
    whether the residual stream before each layer is saved.
    """
    real = torch.arange(batch.tokens.shape[1]) < torch.as_tensor(batch.lengths)[:, None]
    flat = real.flatten().nonzero()[:, 0].to(model.device)  # [token]
    saved: dict[str, Tensor] = {}
    inputs: list[AttentionInputs] = []

    def save_real(name: str, value: Tensor) -> None:
        saved[name] = value.flatten(0, 1)[flat].to(model.work_dtype)

    def finish_layer(layer: int, weights: Tensor) -> None:
        of_layer = prepare_inputs(model, layer, saved)
        for name in input_hooks(model, layer):
            del saved[name]
        on_pairs(layer, weights.to(model.work_dtype), compute_scores(model, layer, of_layer))
        inputs.append(of_layer.flatten().at(flat))

    watch = {name: partial(save_real, name) for name in _saved_hooks(model, components, with_resid)}
    for layer in range(model.n_layers):
        watch |= {name: partial(saved.__setitem__, name) for name in input_hooks(model, layer)}
        watch[f"blocks.{layer}.attn.hook_pattern"] = partial(finish_layer, layer)
    model.run(batch.tokens, watch)
    ends = torch.as_tensor(batch.starts + batch.lengths - 1, device=model.device)
    blocks = range(model.n_layers)
    writers = {c: saved[f"hook_{c}"] for c in ("embed", "pos_embed") if f"hook_{c}" in saved}
    if "mlp" in components:
        writers["mlp"] = torch.stack([saved[f"blocks.{i}.hook_mlp_out"] for i in blocks])
    z = [saved[f"blocks.{i}.attn.hook_z"] for i in blocks]
    resid = [saved[f"blocks.{i}.hook_resid_pre"] for i in blocks] if with_resid else []
    post_scale = None
    if "blocks.0.ln1_post.hook_scale" in saved:
        post_scale = [saved[f"blocks.{i}.ln1_post.hook_scale"][:, 0] for i in blocks]
        z = [part / scale[:, None, None] for part, scale in zip(z, post_scale, strict=True)]
    return Activations(
        position=flat % batch.tokens.shape[1],
        inputs=inputs,
        z=z,
        resid=resid,
        post_scale=post_scale,
        writers=writers,
        end_x=saved["ln_final.hook_normalized"][ends],
        end_scale=saved["ln_final.hook_scale"][ends, 0],
    )


def _saved_hooks(model: Model, components: Sequence[str], with_resid: bool) -> list[str]:
    """Return the names of the hooks whose values are saved for every real token."""
    names = ["ln_final.hook_normalized", "ln_final.hook_scale"]
    names += [f"hook_{c}" for c in ("embed", "pos_embed") if c in components]
    for layer in range(model.n_layers):
        names += [f"blocks.{layer}.{hook}" for hook in ("attn.hook_z", "ln1_post.hook_scale")]
        if "mlp" in components:
            names.append(f"blocks.{layer}.hook_mlp_out")
        if with_resid:
            names.append(f"blocks.{layer}.hook_resid_pre")
    return [name for name in names if model.has_hook(name)]


def watched_hooks(model: Model, components: Sequence[str], with_resid: bool) -> list[str]:
    """Return the names of all hooks that `forward` watches."""
    names = _saved_hooks(model, components, with_resid)
    for layer in range(model.n_layers):
        names += [*input_hooks(model, layer), f"blocks.{layer}.attn.hook_pattern"]
    return names
