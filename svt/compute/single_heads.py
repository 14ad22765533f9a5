"""The attention of single heads within a block call, for changes to the input of one head alone.

Heads share inputs, and some share keys, so the input of one head alone cannot be changed in the
residual stream or in the model's keys. The z of the changed heads is therefore computed here, from
the queries, keys and values of the call, and replaces the model's own:

1. Queries and keys are normalised and rotated (attention.py), a changed one with its own norm.
2. Scores are capped and masked, and the softmax weighs the values.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svt.compute.attention import HeadVectors
from svt.compute.model import Model
from svt.compute.runner import Window

PARTS = "QKV"
HOOKS = ("attn.hook_q", "attn.hook_k", "attn.hook_cos", "attn.hook_sin")


class HeadAttention(NamedTuple):
    """The attention of heads, one entry a head of a run."""

    scores: Float[Tensor, "entry place slot"]  # before a soft cap
    weights: Float[Tensor, "entry place slot"]
    z: Float[Tensor, "entry place r"]


class SingleHeads:
    """Heads of the runs of a window; `parts` may be changed before `attend` is called.

    parts: their queries, keys and values before step 1, [entry, place, r] each. head: [entry].
    """

    def __init__(
        self,
        model: Model,
        layer: int,
        window: Window,
        row: Int[Tensor, " entry"],
        head: Int[Tensor, " entry"],
        values: Mapping[str, Tensor],
        cached: tuple[Tensor, Tensor],
    ) -> None:
        """values: of `HOOKS` in the call. cached: all keys and values, [run, key head, slot, r]."""
        self.head, self._row = head, row
        self._key_head = key_head = head * model.n_key_heads // model.n_heads
        self._scoring, self._window = model.scoring[layer], window
        self._q, self._k = (HeadVectors(model, layer, part, values) for part in "qk")
        self._keys, self._values = (whole[row, key_head].to(model.work_dtype) for whole in cached)
        self.parts = (
            self._q.raw[row, :, head],
            self._k.raw[row, :, key_head],
            self._values[:, -window.width :],
        )

    def attend(self) -> HeadAttention:
        """Return the attention of the heads with their parts as they are now (steps 1 and 2)."""
        queries, keys, _ = self.parts
        every, own = slice(None), slice(-self._window.width, None)
        q = self._q.prepare(queries, self._row, self.head, every)
        self._keys[:, own] = self._k.prepare(keys, self._row, self._key_head, every)
        scores = self._scoring.scale * (q @ self._keys.mT)
        visible = self._window.visible(self._scoring.window)[self._row]
        weights = self._scoring.apply_cap(scores).masked_fill(~visible, -torch.inf).softmax(-1)
        return HeadAttention(scores, weights, weights @ self._values)


def head_weights(model: Model, layer: int, part: str) -> Float[Tensor, "head d_model r"]:
    """Return W_Q, W_K or W_V of a layer without QK-norm's gain, of every head or key head."""
    weight: Tensor = getattr(model.bridge.blocks[layer].attn, f"W_{part}")
    return weight.detach().to(model.work_dtype)
