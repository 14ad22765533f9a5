"""Self-checks of a loaded model on random tokens, of all quantities that a trace relies on.

1. Folding changes no logit.
2. Queries and keys are products of the folded weights and the normalised residual, and their
   scores, capped and masked, give the model's own attention weights.
3. The outputs of the components sum to the residual stream at every layer.

A model that fails would be traced wrongly, so it is refused with the name of the failing part.
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
    """Return the prompts for the checks of a model with this config.json."""
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
    """Return the components whose output is not always zero; raise ModelError if a check fails.

    name: of the model, for messages. logits: from before folding.
    """
    values: dict[str, Tensor] = {}

    def save(hook: str, value: Tensor) -> None:
        values[hook] = value.to(model.work_dtype)

    with torch.inference_mode():
        model.run(tokens, {hook: partial(save, hook) for hook in _checked_hooks(model)})
        folded = model.logits(values["ln_final.hook_normalized"])
        allowed = max(TOLERANCE, 16 * torch.finfo(model.dtype).eps)
        most = max(LOGITS_TOLERANCE, allowed)
        what = f"{name}: the logits of the folded model"
        _check_equal(folded, logits.to(folded.dtype), most, what)  # 1
        w_q, b_q, w_k, b_k = (model.weight(part) for part in ("W_Q", "b_Q", "W_K", "b_K"))
        for layer in range(model.n_layers):  # 2
            _check_vectors(model, name, layer, values, (w_q[layer], b_q[layer]), "q", allowed)
            _check_vectors(model, name, layer, values, (w_k[layer], b_k[layer]), "k", allowed)
            _check_weights(model, name, layer, values, allowed)
        return _check_parts(model, name, values, allowed)  # 3


def _checked_hooks(model: Model) -> list[str]:
    """Return the names of the hooks whose values are checked."""
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
    values: Mapping[str, Tensor],
    weights: tuple[Tensor, Tensor],
    part: str,
    allowed: float,
) -> None:
    """Raise ModelError if a layer's queries or keys fail step 2; weights: with QK-norm's gain."""
    at, (w, b) = f"blocks.{layer}.", weights
    x = values.get(at + "ln1.hook_normalized", values[at + "hook_resid_pre"])
    computed = x[:, None] @ w + b[:, None]  # [prompt, head, position, r]
    gain = model.scoring[layer].gain(part)
    own = values[at + f"attn.hook_{part}"]
    own = (own if gain is None else own * gain).transpose(1, 2)
    size = own.abs().amax((0, 2, 3)).clamp_min(1e-3)
    _check_heads((computed - own).abs().amax((0, 2, 3)) / size, name, layer, allowed)


def _check_weights(
    model: Model, name: str, layer: int, values: Mapping[str, Tensor], allowed: float
) -> None:
    """Raise ModelError if the softmax of a layer's scores is not its attention weights (step 2)."""
    inputs = prepare_inputs(model, layer, values)
    raw = compute_scores(model, layer, inputs)  # [prompt, head, dest, src]
    position = torch.arange(raw.shape[-1], device=raw.device)
    distance = position[:, None] - position
    window = model.scoring[layer].window
    visible = (distance >= 0) & (distance < (window or len(position)))
    computed = model.scoring[layer].apply_cap(raw).masked_fill(~visible, -torch.inf).softmax(-1)
    size = raw.masked_fill(~visible, 0).abs().amax((0, 2, 3)).clamp_min(1)
    own = values[f"blocks.{layer}.attn.hook_pattern"]
    _check_heads((computed - own).abs().amax((0, 2, 3)) / size, name, layer, allowed)


def _check_heads(error: Float[Tensor, " head"], name: str, layer: int, allowed: float) -> None:
    """Raise ModelError for the head with the largest error if that exceeds `allowed`."""
    if not (error <= allowed).all():
        head = int(error.nan_to_num(torch.inf).argmax())
        raise ModelError(
            f"{name}: the scores of head {layer}.{head} are not those of its query and key "
            f"weights (relative error {error[head]:.1e}, at most {allowed:.0e}), so a circuit "
            "would be traced wrongly; this model cannot be decomposed"
        )


def _check_parts(
    model: Model, name: str, values: Mapping[str, Tensor], allowed: float
) -> frozenset[str]:
    """Return the components whose output is not always zero; raise ModelError if step 3 fails."""
    w_o, b_o = model.weight("W_O"), model.weight("b_O")
    total = values["hook_embed"]
    writing = {"head", "embed"}
    if "pos_embed" in model.components:
        total = total + values["hook_pos_embed"]
        writing.add("pos_embed")
    for layer in range(model.n_layers):
        at = f"blocks.{layer}."
        what = f"{name}: the parts that are read by layer {layer}"
        _check_equal(total, values[at + "hook_resid_pre"], allowed, what)
        scale = values.get(at + "ln1_post.hook_scale", total.new_ones(()))
        heads = torch.einsum("nphr,hrd->npd", values[at + "attn.hook_z"], w_o[layer])
        mlp = values[at + "hook_mlp_out"]
        total = total + (heads + b_o[layer]) / scale + mlp
        writing |= {part for part, value in (("bias", b_o[layer]), ("mlp", mlp)) if value.any()}
    last = values[f"blocks.{model.n_layers - 1}.hook_resid_post"]
    _check_equal(total, last, allowed, f"{name}: the parts after the last layer")
    return frozenset(writing)


def _check_equal(computed: Tensor, own: Tensor, allowed: float, what: str) -> None:
    """Raise ModelError if `computed` is not the model's own, relative to the latter's norm."""
    error = float((computed - own).norm() / own.norm().clamp_min(1e-9))
    if not error <= allowed:
        raise ModelError(
            f"{what} are not the model's own (relative error {error:.1e}, at most {allowed:.0e}), "
            "so a circuit would be traced wrongly; this model cannot be decomposed"
        )
