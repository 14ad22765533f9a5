"""How the heads of a layer score pairs of tokens, beside their weights."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Scoring:
    """How the heads of one layer score pairs of tokens."""

    scale: float  # what q . k is multiplied by
    cap: float | None  # of the soft cap: scores become cap * tanh(score / cap)
    window: int | None  # of a sliding window: src > dest - window
    q_gain: Float[Tensor, "head r"] | None  # of QK-norm
    k_gain: Float[Tensor, "key_head r"] | None
    norm_eps: float = 0.0  # what QK-norm adds to a mean square
    norm_over_heads: bool = False  # whether all heads of a token share n

    def gain(self, part: str) -> Tensor | None:
        """Return the gain of queries ("q") or keys ("k")."""
        return self.q_gain if part == "q" else self.k_gain

    def capped(self, scores: Tensor) -> Tensor:
        """Return the scores as the softmax sees them, of any shape."""
        return scores if self.cap is None else self.cap * torch.tanh(scores / self.cap)
