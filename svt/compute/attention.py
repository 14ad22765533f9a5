"""What a head attends by: its queries and keys as they enter the dot product.

1. A head's query and key are q = Q~^T x~ and k = K~^T x~, with x~ = [x; 1], x the normalised
   residual, Q~ = [W_Q; b_Q^T] and K~ = [W_K; b_K^T].
2. QK-norm divides each by its root mean square n and multiplies it by a gain, which is folded into
   Q~ and K~. Elsewhere n is 1.
3. Rotary positions multiply each by R_p, built from the model's own cosines and sines; it is the
   identity on dimensions that are not rotated and in models without rotary positions.
4. The score is s q . k, of a query and a key so prepared; a soft cap comes after.

The names of TransformerLens hooks stand in this file and in forward.py alone.
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
    """R_p of step 3 for every position: each pair of dimensions (i, i + width / 2) is turned."""

    cos: Float[Tensor, "position width"]  # width <= r
    sin: Float[Tensor, "position width"]

    def apply(self, vectors: Tensor, position: Tensor) -> Tensor:
        """Return R_p times the vectors [..., r] at their positions [...]."""
        return _turned(vectors, self.cos[position], self.sin[position])

    def transpose(self, vectors: Tensor, position: Tensor) -> Tensor:
        """Return R_p^T times the vectors [..., r] at their positions [...]."""
        return _turned(vectors, self.cos[position], -self.sin[position])


def _turned(
    vectors: Float[Tensor, "*at r"],
    cos: Float[Tensor, "... width"],
    sin: Float[Tensor, "... width"],
) -> Float[Tensor, "*at r"]:
    """Return the vectors turned by the angles of cos and sin."""
    width = cos.shape[-1]
    rotary = vectors[..., :width]
    first, second = rotary.chunk(2, dim=-1)
    turned = rotary * cos + torch.cat([-second, first], dim=-1) * sin
    return torch.cat([turned, vectors[..., width:]], dim=-1)


@dataclass(frozen=True)
class AttentionInputs:
    """What the heads of one layer read at every token, by prompt and position or by token.

    A scale is the norm's scale at the token times n, so that a direction read along, divided by
    it, is applied to the residual stream itself.
    """

    q: Float[Tensor, "*token head r"]  # after steps 2 and 3
    k: Float[Tensor, "*token head r"]  # of the key head that the head uses
    q_scale: Float[Tensor, "*token head"]
    k_scale: Float[Tensor, "*token head"]
    norm_scale: Float[Tensor, "*token"]  # without n
    rotation: Rotation | None

    def side(self, side: int) -> tuple[Tensor, Tensor]:
        """Return the vectors and scales of a side: queries for dest (0), keys for src (1)."""
        return (self.q, self.q_scale) if side == 0 else (self.k, self.k_scale)

    def flatten(self) -> "AttentionInputs":
        """Return the reads by token, of those by prompt and position."""
        return self._each(lambda part: part.flatten(0, 1))

    def at(self, tokens: Tensor) -> "AttentionInputs":
        """Return the reads of some tokens, an index or mask of those by token."""
        return self._each(lambda part: part[tokens])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "AttentionInputs":
        parts = (self.q, self.k, self.q_scale, self.k_scale, self.norm_scale)
        q, k, q_scale, k_scale, norm_scale = map(change, parts)
        return AttentionInputs(q, k, q_scale, k_scale, norm_scale, self.rotation)


def input_hooks(model: Model, layer: int) -> list[str]:
    """Return the names of a layer's hooks that `reads` needs, as far as the model has them."""
    return [name for hook in _HOOKS if model.has_hook(name := f"blocks.{layer}.{hook}")]


def prepare_inputs(model: Model, layer: int, seen: Mapping[str, Tensor]) -> AttentionInputs:
    """Return what the heads of a layer read, from the values that `read_hooks` saw.

    Each value is [prompt, position, ...]; of one that is missing the model has none.
    """
    values = {hook: seen.get(f"blocks.{layer}.{hook}") for hook in _HOOKS}
    q, k = (_wide(values[f"attn.hook_{part}"], model) for part in "qk")
    assert q is not None and k is not None
    scoring, n_heads = model.scoring[layer], model.n_heads
    norm_scale = _wide(values["ln1.hook_scale"], model)
    norm_scale = q.new_ones(q.shape[:2]) if norm_scale is None else norm_scale[..., 0]
    q, q_scale = _normed(q, _wide(values["attn.q_norm.hook_scale"], model), scoring.q_gain)
    k, k_scale = _normed(k, _wide(values["attn.k_norm.hook_scale"], model), scoring.k_gain)
    rotation = _rotation(*(_wide(values[f"attn.hook_{part}"], model) for part in ("cos", "sin")))
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
    model: Model, layer: int, read: AttentionInputs
) -> Float[Tensor, "prompt head dest src"]:
    """Return step 4 before the soft cap, of all pairs."""
    return model.scoring[layer].scale * (read.q.transpose(1, 2) @ read.k.permute(0, 2, 3, 1))


class HeadVectors:
    """The queries or keys of a block call, before steps 2 and 3, to be changed head by head."""

    def __init__(self, model: Model, layer: int, part: str, seen: Mapping[str, Tensor]) -> None:
        """`part`: "q" or "k"; `seen`: values of `attn.hook_q` and so on, [run, place, ...]."""
        raw, self._cos, self._sin = (
            _wide(seen.get(f"attn.hook_{name}"), model) for name in (part, "cos", "sin")
        )
        assert raw is not None
        self.raw = raw  # [run, place, head, r]
        self._scoring, self._gain = model.scoring[layer], model.scoring[layer].gain(part)
        self._squares = raw.square().sum((-2, -1)) if self._scoring.norm_over_heads else None

    def prepared(
        self,
        own: Float[Tensor, "entry ... r"],
        row: Int[Tensor, " entry"],
        head: Int[Tensor, " entry"],
        place: Int[Tensor, " entry"] | slice,
    ) -> Float[Tensor, "entry ... r"]:
        """Return steps 2 and 3 for what stands in the place of some heads' vectors.

        `own` is of the runs `row` and the heads `head`, at the places `place`; a slice is of
        all places, which `own` then has as its second axis.
        """
        if self._gain is not None:  # 2
            squares, size = own.square().sum(-1, keepdim=True), own.shape[-1]
            if self._squares is not None:
                others = self._squares[row, place] - self.raw[row, place, head].square().sum(-1)
                squares, size = squares + others[..., None], size * self.raw.shape[2]
            n = (squares / size + self._scoring.norm_eps).sqrt()
            gain = self._gain[head % len(self._gain)]
            own = own * (gain if own.dim() == 2 else gain[:, None]) / n
        if self._cos is None or self._sin is None:
            return own
        row = row % len(self._cos)  # one row of angles may serve all runs
        return _turned(own, self._cos[row, place], self._sin[row, place])  # 3


def _wide(value: Tensor | None, model: Model) -> Tensor | None:
    return None if value is None else value.to(model.work_dtype)


def _normed(
    vectors: Float[Tensor, "prompt position head r"], n: Tensor | None, gain: Tensor | None
) -> tuple[Float[Tensor, "prompt position head r"], Float[Tensor, "prompt position head"]]:
    """Return step 2 and n.

    n comes as [prompt, head, position, 1], or [prompt, position, 1] where all heads share it.
    """
    if n is None or gain is None:
        return vectors, vectors.new_ones(vectors.shape[:-1])
    by_head = n.transpose(1, 2) if n.dim() == 4 else n[..., None]  # [prompt, position, head, 1]
    normed = vectors * gain / by_head
    return normed, by_head[..., 0].expand(vectors.shape[:-1])


def _rotation(cos: Tensor | None, sin: Tensor | None) -> Rotation | None:
    """Return the rotation of cos and sin [1, position, width]; None without rotary positions."""
    return None if cos is None or sin is None else Rotation(cos[0], sin[0])
