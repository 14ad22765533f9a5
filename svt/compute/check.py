"""What a model is held to once it is loaded: all that is traced on it, on random tokens.

1. Folding changed nothing: its logits are those from before.
2. Its heads' queries and keys are products of the folded weights with the normalised residual, and
   their scores, capped and masked, give the model's own attention weights.
3. What the components add sums to the residual stream at every layer.

A model that fails would be traced wrongly, so it is refused, with the part that is not right.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svt.compute.attention import compute_scores, input_hooks, prepare_inputs
from svt.compute.model import Model
from svt.errors import ModelError

N_PROMPTS, N_TOKENS = 2, 12
TOLERANCE = 1e-4
LOGITS_TOLERANCE = 1e-2  # rounding grows from layer to layer where heads are sharp


def random_tokens(config: Mapping[str, Any]) -> Int[Tensor, "prompt position"]:
    """Return the prompts that a model of this config.json is checked on."""
    names = ("n_positions", "max_position_embeddings")
    length = min(N_TOKENS, *(config[name] for name in names if isinstance(config.get(name), int)))
    generator = torch.Generator().manual_seed(0)
    size = config.get("vocab_size")
    n_words = size if isinstance(size, int) and size > 0 else 2
    return torch.randint(n_words, (N_PROMPTS, length), generator=generator)


def check_model(
    model: Model,
    name: str,
    tokens: Int[Tensor, "prompt position"],
    logits: Float[Tensor, "prompt position vocabulary"],
) -> frozenset[str]:
    """Return the components that write anything but zeros; raise ModelError where a check fails.

    `logits` are from before folding.
    """
    seen: dict[str, Tensor] = {}

    def keep(hook: str, value: Tensor) -> None:
        seen[hook] = value.to(model.work_dtype)

    with torch.inference_mode():
        model.run(tokens, {hook: partial(keep, hook) for hook in _names(model)})
        own = model.logits(seen["ln_final.hook_normalized"])
        allowed = max(TOLERANCE, 16 * torch.finfo(model.dtype).eps)
        most = max(LOGITS_TOLERANCE, allowed)
        _hold(own, logits.to(own.dtype), most, f"{name}: the logits of the folded model")  # 1
        w_q, b_q, w_k, b_k = (model.weight(part) for part in ("W_Q", "b_Q", "W_K", "b_K"))
        for layer in range(model.n_layers):  # 2
            _check_vectors(model, name, layer, seen, (w_q[layer], b_q[layer]), "q", allowed)
            _check_vectors(model, name, layer, seen, (w_k[layer], b_k[layer]), "k", allowed)
            _check_weights(model, name, layer, seen, allowed)
        return _check_parts(model, name, seen, allowed)  # 3


def _names(model: Model) -> list[str]:
    names = ["ln_final.hook_normalized", "hook_embed", "hook_pos_embed"]
    for layer in range(model.n_layers):
        at = f"blocks.{layer}."
        names += input_hooks(model, layer)
        names += [at + hook for hook in ("attn.hook_pattern", "attn.hook_z", "hook_resid_pre")]
        names += [at + hook for hook in ("ln1.hook_normalized", "ln1_post.hook_scale")]
        names += [at + hook for hook in ("hook_mlp_out", "hook_resid_post")]
    return [name for name in names if model.has_hook(name)]


def _check_vectors(
    model: Model,
    name: str,
    layer: int,
    seen: Mapping[str, Tensor],
    weights: tuple[Tensor, Tensor],
    part: str,
    allowed: float,
) -> None:
    """Check the queries or keys of a layer; the weights carry the gain of QK-norm."""
    at, (w, b) = f"blocks.{layer}.", weights
    x = seen.get(at + "ln1.hook_normalized", seen[at + "hook_resid_pre"])  # [prompt, position, d]
    own = x[:, None] @ w + b[:, None]  # [prompt, head, position, r]
    gain = getattr(model.scoring[layer], f"{part}_gain")
    theirs = seen[at + f"attn.hook_{part}"]
    theirs = (theirs if gain is None else theirs * gain).transpose(1, 2)
    size = theirs.abs().amax((0, 2, 3)).clamp_min(1e-3)
    _refuse_heads((own - theirs).abs().amax((0, 2, 3)) / size, name, layer, allowed)


def _check_weights(
    model: Model, name: str, layer: int, seen: Mapping[str, Tensor], allowed: float
) -> None:
    """Check the attention weights of a layer, by the softmax of its scores."""
    raw = compute_scores(
        model, layer, prepare_inputs(model, layer, seen)
    )  # [prompt, head, dest, src]
    position = torch.arange(raw.shape[-1], device=raw.device)
    distance = position[:, None] - position
    window = model.scoring[layer].window
    visible = (distance >= 0) & (distance < (window or len(position)))
    own = model.scoring[layer].capped(raw).masked_fill(~visible, -torch.inf).softmax(-1)
    size = raw.masked_fill(~visible, 0).abs().amax((0, 2, 3)).clamp_min(1)
    theirs = seen[f"blocks.{layer}.attn.hook_pattern"]
    _refuse_heads((own - theirs).abs().amax((0, 2, 3)) / size, name, layer, allowed)


def _refuse_heads(error: Float[Tensor, " head"], name: str, layer: int, allowed: float) -> None:
    """Raise ModelError for the head whose error is largest, if that is not allowed."""
    if not (error <= allowed).all():
        head = int(error.nan_to_num(torch.inf).argmax())
        raise ModelError(
            f"{name}: the scores of head {layer}.{head} are not those of its query and key "
            f"weights (relative error {error[head]:.1e}, at most {allowed:.0e}), so a circuit "
            "would be traced wrongly; this model cannot be decomposed"
        )


def _check_parts(
    model: Model, name: str, seen: Mapping[str, Tensor], allowed: float
) -> frozenset[str]:
    """Check step 3; the names of the components that write."""
    w_o, b_o = model.weight("W_O"), model.weight("b_O")
    total = seen["hook_embed"]
    writing = {"head", "embed"}
    if "pos_embed" in model.components:
        total = total + seen["hook_pos_embed"]
        writing.add("pos_embed")
    for layer in range(model.n_layers):
        at = f"blocks.{layer}."
        what = f"{name}: the parts that are read by layer {layer}"
        _hold(total, seen[at + "hook_resid_pre"], allowed, what)
        scale = seen.get(at + "ln1_post.hook_scale", total.new_ones(()))
        heads = torch.einsum("nphr,hrd->npd", seen[at + "attn.hook_z"], w_o[layer])
        mlp = seen[at + "hook_mlp_out"]
        total = total + (heads + b_o[layer]) / scale + mlp
        writing |= {part for part, value in (("bias", b_o[layer]), ("mlp", mlp)) if value.any()}
    last = seen[f"blocks.{model.n_layers - 1}.hook_resid_post"]
    _hold(total, last, allowed, f"{name}: the parts behind the last layer")
    return frozenset(writing)


def _hold(own: Tensor, theirs: Tensor, allowed: float, what: str) -> None:
    """Raise ModelError unless both are the same, relative to the size of the second."""
    error = float((own - theirs).norm() / theirs.norm().clamp_min(1e-9))
    if not error <= allowed:
        raise ModelError(
            f"{what} are not the model's own (relative error {error:.1e}, at most {allowed:.0e}), "
            "so a circuit would be traced wrongly; this model cannot be decomposed"
        )
