"""A folded model: its shape, its weights and its forward pass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from svt.compute.scoring import Scoring
from svt.errors import ModelError

_BIASES = ("b_Q", "b_K", "b_O", "b_U")


@dataclass(frozen=True)
class Model:
    """A folded model and its shape."""

    bridge: Any  # transformer_lens TransformerBridge
    n_layers: int
    n_heads: int
    n_key_heads: int
    d_model: int
    d_head: int
    n_ctx: int
    d_vocab: int
    device: torch.device
    dtype: torch.dtype
    scoring: tuple[Scoring, ...]  # of each layer
    centres: bool  # whether its norms are LayerNorms, which subtract the mean
    logit_cap: float | None  # soft cap of the final logits
    norm_eps: float | None  # epsilon of the norm before attention, if there is one
    components: tuple[str, ...]  # those that exist, in the order of COMPONENTS
    writing: frozenset[str] = frozenset()  # those whose output is not always zero

    @property
    def work_dtype(self) -> torch.dtype:
        """Return the dtype of folding and of products outside the forward pass."""
        return at_least_float32(self.dtype)

    @cached_property
    def _hooks(self) -> frozenset[str]:
        return frozenset(self.bridge.hook_dict)

    def has_hook(self, name: str) -> bool:
        """Return whether the forward pass fires a hook of this name."""
        return name in self._hooks

    def run(self, tokens: Tensor, watch: Mapping[str, Callable[[Tensor], None]]) -> None:
        """Run tokens [prompt, position] without logits; `watch` has a callback for each hook."""
        hooks = [(name, _as_hook(callback)) for name, callback in watch.items()]
        none = torch.zeros(0, dtype=torch.long, device=self.device)
        self.bridge.run_with_hooks(
            tokens.to(self.device), fwd_hooks=hooks, logits_to_keep=none, use_cache=False
        )

    def weight(self, name: str, gained: bool = True) -> Tensor:
        """Return a folded weight in the work dtype; a bias that the model lacks is zero.

        W_Q: [layer, head, d_model, r]; b_Q: [layer, head, r], both with QK-norm's gain unless
        `gained` is false; W_K, b_K (and W_V): the same with key heads; W_O: [layer, head, r,
        d_model] and b_O: [layer, d_model], with the gain of a norm after attention; W_U: [d_model,
        vocabulary], with the gain of the final norm; b_U: [vocabulary].
        """
        if name in _BIASES and getattr(self.bridge, name, None) is None:
            return self.weight("W" + name[1:]).new_zeros(self._bias_shape(name))
        weight: Tensor = getattr(self.bridge, name).detach().to(self.work_dtype)
        if name[-1] in "QK" and gained:
            gains = [getattr(layer, f"{name[-1].lower()}_gain") for layer in self.scoring]
            if gains[0] is not None:
                gain = torch.stack(gains)  # [layer, head, r]
                weight = weight * (gain if name[0] == "b" else gain[:, :, None])
        elif name[-1] == "O" and "ln1_post" in dict(self.bridge.blocks[0].named_children()):
            gain = torch.stack([norm_gain(block.ln1_post) for block in self.bridge.blocks])
            weight = weight * (gain if name[0] == "b" else gain[:, None, None])
        elif name == "W_U" and not (gain := norm_gain(self.bridge.ln_final)).eq(1).all():
            weight = weight * gain[:, None]
        return weight

    @cached_property
    def unembedding(self) -> tuple[Tensor, Tensor]:
        """Return W_U [d_model, vocabulary] and b_U [vocabulary]."""
        return self.weight("W_U"), self.weight("b_U")

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits [..., vocabulary] of final normalised residuals [..., d_model]."""
        w_u, b_u = self.unembedding
        return self.apply_cap(x @ w_u + b_u)

    def apply_cap(self, logits: Tensor) -> Tensor:
        """Return logits after the model's final soft cap, if it has one.

        Raises ModelError if they are not finite.
        """
        if not logits.isfinite().all():
            raise ModelError(
                "the logits of this model are not finite; look at its checkpoint for weights that "
                "are not finite, or take model.dtype=float32"
            )
        cap = self.logit_cap
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def _bias_shape(self, name: str) -> tuple[int, ...]:
        heads = {"b_Q": self.n_heads, "b_K": self.n_key_heads}
        if name in heads:
            return self.n_layers, heads[name], self.d_head
        return (self.n_layers, self.d_model) if name == "b_O" else (self.d_vocab,)


def _as_hook(callback: Callable[[Tensor], None]) -> Callable[[Tensor, Any], None]:
    """Return a hook that calls `callback` and changes nothing."""

    def hook(value: Tensor, hook: Any) -> None:
        callback(value)

    return hook


def norm_gain(norm: Any) -> Float[Tensor, "*d"]:
    """Return the weight that a norm multiplies by."""
    weight: Tensor = norm.weight.detach()
    return 1 + weight if norm.uses_weight_offset else weight


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
