"""The queries and keys of heads as they enter the dot product.

1. A head's query and key are q = Q~^T x~ and k = K~^T x~, with x~ = [x; 1], x the normalised
   residual, Q~ = [W_Q; b_Q^T] and K~ = [W_K; b_K^T].
2. QK-norm divides each by its root mean square n and multiplies it by a gain, which is folded into
   Q~ and K~. In other models n is 1.
3. Rotary positions multiply each by R_p, built from the model's own cosines and sines; it is the
   identity on dimensions that are not rotated and in models without rotary positions.
4. The score of this query and key is s q . k; a soft cap comes after.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svt.compute.model import Model

_HOOKS = (
    "ln1.hook_scale",
    "attn.hook_q",
    "attn.hook_k",
    "attn.q_norm.hook_scale",
    "attn.k_norm.hook_scale",
    "attn.hook_cos",
    "attn.hook_sin",
)


@dataclass(frozen=True)
class Rotation:
    """R_p of step 3 for every position; it rotates each pair of dimensions (i, i + width / 2)."""

    cos: Float[Tensor, "position width"]  # width <= r
    sin: Float[Tensor, "position width"]

    def apply(self, vectors: Tensor, position: Tensor) -> Tensor:
        """Return R_p times the vectors [..., r] at their positions [...]."""
        return _rotate(vectors, self.cos[position], self.sin[position])

    def transpose(self, vectors: Tensor, position: Tensor) -> Tensor:
        """Return R_p^T times the vectors [..., r] at their positions [...]."""
        return _rotate(vectors, self.cos[position], -self.sin[position])


def _rotate(
    vectors: Float[Tensor, "*at r"],
    cos: Float[Tensor, "... width"],
    sin: Float[Tensor, "... width"],
) -> Float[Tensor, "*at r"]:
    """Return the vectors rotated by the angles with these cosines and sines."""
    width = cos.shape[-1]
    rotary = vectors[..., :width]
    first, second = rotary.chunk(2, dim=-1)
    rotated = rotary * cos + torch.cat([-second, first], dim=-1) * sin
    return torch.cat([rotated, vectors[..., width:]], dim=-1)


@dataclass(frozen=True)
class AttentionInputs:
    """The queries and keys of a layer at every token, indexed by prompt and position or by token.

    A scale is the norm's scale at the token times n: a direction in the normalised residual,
    divided by it, is a direction in the residual stream itself.
    """

    q: Float[Tensor, "*token head r"]  # after steps 2 and 3
    k: Float[Tensor, "*token head r"]  # of the head's key head
    q_scale: Float[Tensor, "*token head"]
    k_scale: Float[Tensor, "*token head"]
    norm_scale: Float[Tensor, "*token"]  # without n
    rotation: Rotation | None

    def side(self, side: int) -> tuple[Tensor, Tensor]:
        """Return the vectors and scales of a side: queries for dest (0), keys for src (1)."""
        return (self.q, self.q_scale) if side == 0 else (self.k, self.k_scale)

    def flatten(self) -> "AttentionInputs":
        """Return them by token; they must be by prompt and position."""
        return self._map(lambda part: part.flatten(0, 1))

    def at(self, tokens: Tensor) -> "AttentionInputs":
        """Return those of some tokens, an index or a mask; they must be by token."""
        return self._map(lambda part: part[tokens])

    def _map(self, change: Callable[[Tensor], Tensor]) -> "AttentionInputs":
        parts = (self.q, self.k, self.q_scale, self.k_scale, self.norm_scale)
        q, k, q_scale, k_scale, norm_scale = map(change, parts)
        return AttentionInputs(q, k, q_scale, k_scale, norm_scale, self.rotation)


def input_hooks(model: Model, layer: int) -> list[str]:
    """Return the names of the hooks for steps 1 to 3 that a layer of the model has."""
    return [name for hook in _HOOKS if model.has_hook(name := f"blocks.{layer}.{hook}")]


def prepare_inputs(model: Model, layer: int, values: Mapping[str, Tensor]) -> AttentionInputs:
    """Return the queries and keys of a layer by prompt and position (steps 2 and 3).

    values: [prompt, position, ...] of each of `input_hooks`, by its name.
    """
    by_hook = {hook: _widen(values.get(f"blocks.{layer}.{hook}"), model) for hook in _HOOKS}
    q, k = by_hook["attn.hook_q"], by_hook["attn.hook_k"]
    assert q is not None and k is not None
    scoring, n_heads = model.scoring[layer], model.n_heads
    norm_scale = by_hook["ln1.hook_scale"]
    norm_scale = q.new_ones(q.shape[:2]) if norm_scale is None else norm_scale[..., 0]
    q, q_scale = _normalise(q, by_hook["attn.q_norm.hook_scale"], scoring.q_gain)
    k, k_scale = _normalise(k, by_hook["attn.k_norm.hook_scale"], scoring.k_gain)
    rotation = make_rotation(by_hook["attn.hook_cos"], by_hook["attn.hook_sin"])
    if rotation is not None:
        position = torch.arange(q.shape[1], device=q.device)[:, None]
        q, k = rotation.apply(q, position), rotation.apply(k, position)
    group = n_heads // k.shape[2]
    return AttentionInputs(
        q,
        k.repeat_interleave(group, dim=2),
        q_scale * norm_scale[..., None],
        k_scale.repeat_interleave(group, dim=2) * norm_scale[..., None],
        norm_scale,
        rotation,
    )


def compute_scores(
    model: Model, layer: int, inputs: AttentionInputs
) -> Float[Tensor, "prompt head dest src"]:
    """Return the scores of all pairs before the soft cap (step 4)."""
    return model.scoring[layer].scale * (inputs.q.transpose(1, 2) @ inputs.k.permute(0, 2, 3, 1))


class HeadVectors:
    """The queries or keys of a block call, and steps 2 and 3 for single ones that are changed."""

    def __init__(self, model: Model, layer: int, part: str, values: Mapping[str, Tensor]) -> None:
        """part: "q" or "k". values: [run, place, ...] by hook, such as `attn.hook_q`."""
        raw, self._cos, self._sin = (
            _widen(values.get(f"attn.hook_{name}"), model) for name in (part, "cos", "sin")
        )
        assert raw is not None
        self.raw = raw  # [run, place, head, r]
        self._scoring, self._gain = model.scoring[layer], model.scoring[layer].gain(part)
        self._squares = raw.square().sum((-2, -1)) if self._scoring.norm_over_heads else None

    def prepare(
        self,
        vectors: Float[Tensor, "entry ... r"],
        row: Int[Tensor, " entry"],
        head: Int[Tensor, " entry"],
        place: Int[Tensor, " entry"] | slice,
    ) -> Float[Tensor, "entry ... r"]:
        """Return `vectors`, which replace those of some heads, after steps 2 and 3.

        They belong to the runs `row`, the heads `head` and the places `place`. With a slice as
        `place`, the second axis of `vectors` is all places.
        """
        if self._gain is not None:  # 2
            squares, size = vectors.square().sum(-1, keepdim=True), vectors.shape[-1]
            if self._squares is not None:
                others = self._squares[row, place] - self.raw[row, place, head].square().sum(-1)
                squares, size = squares + others[..., None], size * self.raw.shape[2]
            n = (squares / size + self._scoring.norm_eps).sqrt()
            gain = self._gain[head % len(self._gain)]
            vectors = vectors * (gain if vectors.dim() == 2 else gain[:, None]) / n
        if self._cos is None or self._sin is None:
            return vectors
        row = row % len(self._cos)  # cos and sin may have a single row for all runs
        return _rotate(vectors, self._cos[row, place], self._sin[row, place])  # 3


def _widen(value: Tensor | None, model: Model) -> Tensor | None:
    return None if value is None else value.to(model.work_dtype)


def _normalise(
    vectors: Float[Tensor, "prompt position head r"], n: Tensor | None, gain: Tensor | None
) -> tuple[Float[Tensor, "prompt position head r"], Float[Tensor, "prompt position head"]]:
    """Return the vectors after step 2, and n by head.

    n: [prompt, head, position, 1], or [prompt, position, 1] where all heads share it.
    """
    if n is None or gain is None:
        return vectors, vectors.new_ones(vectors.shape[:-1])
    by_head = n.transpose(1, 2) if n.dim() == 4 else n[..., None]  # [prompt, position, head, 1]
    normed = vectors * gain / by_head
    return normed, by_head[..., 0].expand(vectors.shape[:-1])


def make_rotation(cos: Tensor | None, sin: Tensor | None) -> Rotation | None:
    """Return the rotation of cos and sin [1, position, width]; None without rotary positions."""
    return None if cos is None or sin is None else Rotation(cos[0], sin[0])
