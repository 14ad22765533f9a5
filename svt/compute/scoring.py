"""How the heads of a layer turn queries and keys into attention scores."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Scoring:
    """The settings of one layer's attention scores."""

    scale: float  # factor of q . k
    cap: float | None  # soft cap: a score becomes cap * tanh(score / cap)
    window: int | None  # sliding window: src > dest - window
    q_gain: Float[Tensor, "head r"] | None  # of QK-norm
    k_gain: Float[Tensor, "key_head r"] | None
    norm_eps: float = 0.0  # epsilon of QK-norm
    norm_over_heads: bool = False  # whether QK-norm takes one mean square over all heads

    def gain(self, part: str) -> Tensor | None:
        """Return the gain of queries ("q") or keys ("k")."""
        return self.q_gain if part == "q" else self.k_gain

    def apply_cap(self, scores: Tensor) -> Tensor:
        """Return the scores, of any shape, after the soft cap."""
        return scores if self.cap is None else self.cap * torch.tanh(scores / self.cap)
