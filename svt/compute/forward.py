"""One forward pass over a batch of prompts, keeping what the dump needs and nothing else.

1. Prompts are cut after their `end` token and padded right; causal attention keeps padding out of
   every real token, and every kept array holds real tokens only, one prompt after the other.
2. Hooks keep, per layer, what its heads read (attention.py), their mixed values z, divided by the
   scale of a norm behind attention where there is one, and, where they are dumped, the other
   writers into the residual stream, and where removals need it the stream before each layer;
   attention matrices are reduced to the chosen pairs at once.
3. The vocabulary's logits are not computed: those of the last token follow from its residual.
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
    """Of all real tokens ("token" below is an index into these, prompt by prompt)."""

    position: Int[Tensor, " token"]  # in its prompt
    read: list[AttentionInputs]  # per layer, by token
    z: list[Float[Tensor, "token head r"]]  # times W_O it is what a head writes
    post_scale: list[Float[Tensor, " token"]] | None  # of the norm behind attention
    writers: dict[
        str, Tensor
    ]  # "embed", "pos_embed": [token, d_model]; "mlp": [layer, token, d_model]
    end_x: Float[Tensor, "prompt d_model"]  # ln_final.hook_normalized at the last token
    end_scale: Float[Tensor, " prompt"]  # ln_final.hook_scale at the last token
    resid: list[Float[Tensor, "token d_model"]] = field(default_factory=list)  # if it is kept


@dataclass(frozen=True)
class Layout:
    """Where the real tokens of a batch lie."""

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
    for row, into in zip(rows, tokens, strict=True):
        into[: len(row)] = torch.tensor(row)
    return Layout(tuple(prompts), tokens, lengths, np.cumsum(lengths) - lengths)


def count_positions(prompt: Prompt) -> int:
    """Tokens of a prompt that are run: up to and with `end`."""
    return prompt.roles.get("end", len(prompt.tokens) - 1) + 1


def select_prompts(
    batch: Layout, acts: Activations, kept: Bool[np.ndarray, " prompt"]
) -> tuple[Layout, Activations]:
    """Return the layout and activations of the prompts that are `kept`."""
    rows = np.flatnonzero(kept)
    lengths = batch.lengths[rows]
    prompts = torch.as_tensor(rows, device=acts.end_x.device)
    tokens = torch.as_tensor(np.repeat(kept, batch.lengths), device=acts.end_x.device)
    fewer = Layout(
        tuple(batch.prompts[row] for row in rows),
        batch.tokens[rows],
        lengths,
        np.cumsum(lengths) - lengths,
    )
    return fewer, Activations(
        position=acts.position[tokens],
        read=[layer.at(tokens) for layer in acts.read],
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
    choose: PairCallback,
    with_resid: bool = False,
) -> Activations:
    """Return steps 2 and 3. `choose(layer, weights, scores)` gets [prompt, head, dest, src] of each
    layer, in the work dtype and on the model's device.
    """
    real = torch.arange(batch.tokens.shape[1]) < torch.as_tensor(batch.lengths)[:, None]
    flat = real.flatten().nonzero()[:, 0].to(model.device)  # [token]
    kept: dict[str, Tensor] = {}
    read: list[AttentionInputs] = []

    def keep(name: str, value: Tensor) -> None:
        kept[name] = value.flatten(0, 1)[flat].to(model.work_dtype)

    def keep_whole(name: str, value: Tensor) -> None:
        kept[name] = value

    def finish_layer(layer: int, weights: Tensor) -> None:
        whole = prepare_inputs(model, layer, kept)
        for name in input_hooks(model, layer):
            del kept[name]
        choose(layer, weights.to(model.work_dtype), compute_scores(model, layer, whole))
        read.append(whole.flatten().at(flat))

    watch = {name: partial(keep, name) for name in _kept_hooks(model, components, with_resid)}
    for layer in range(model.n_layers):
        watch |= {name: partial(keep_whole, name) for name in input_hooks(model, layer)}
        watch[f"blocks.{layer}.attn.hook_pattern"] = partial(finish_layer, layer)
    model.run(batch.tokens, watch)
    ends = torch.as_tensor(batch.starts + batch.lengths - 1, device=model.device)
    blocks = range(model.n_layers)
    writers = {c: kept[f"hook_{c}"] for c in ("embed", "pos_embed") if f"hook_{c}" in kept}
    if "mlp" in components:
        writers["mlp"] = torch.stack([kept[f"blocks.{i}.hook_mlp_out"] for i in blocks])
    z = [kept[f"blocks.{i}.attn.hook_z"] for i in blocks]
    resid = [kept[f"blocks.{i}.hook_resid_pre"] for i in blocks] if with_resid else []
    post_scale = None
    if "blocks.0.ln1_post.hook_scale" in kept:
        post_scale = [kept[f"blocks.{i}.ln1_post.hook_scale"][:, 0] for i in blocks]
        z = [part / scale[:, None, None] for part, scale in zip(z, post_scale, strict=True)]
    return Activations(
        position=flat % batch.tokens.shape[1],
        read=read,
        z=z,
        resid=resid,
        post_scale=post_scale,
        writers=writers,
        end_x=kept["ln_final.hook_normalized"][ends],
        end_scale=kept["ln_final.hook_scale"][ends, 0],
    )


def _kept_hooks(model: Model, components: Sequence[str], with_resid: bool) -> list[str]:
    """Return the names of the hooks whose values are kept of every real token."""
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
    names = _kept_hooks(model, components, with_resid)
    for layer in range(model.n_layers):
        names += [*input_hooks(model, layer), f"blocks.{layer}.attn.hook_pattern"]
    return names
