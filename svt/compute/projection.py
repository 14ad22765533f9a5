"""What upstream heads write along the slices of downstream heads, at the edits of a batch.

1. o is what the upstream head adds to the residual stream at the token: its z there through W_O,
   over the scale of a norm behind attention where there is one, without b_O.
2. Slice k reads a token along p_k = W~ R^T G^T e_k, R the rotation of the token's position, with
   W~ = Q~ and G = G_Q for dest, W~ = K~ and G = G_K for src (decompose.py). All p_k lie in the span
   of the orthonormal columns of w, u for dest and v for src: p_k = w M e_k with M = w^T W~ R^T G^T.
   Without rotation p_k is a multiple of w_k.
3. h = (P o~)[:d] with P the orthogonal projector onto the p_k of the edit's slices S and o~ =
   [o; 1], or [o; 0] when not homogeneous: with N orthonormal columns that span those of M in S,
   P = w N N^T w^T. Where the model's norms centre, h is centred.
4. The changes of one spot add up: global, of a layer's token; local, of a head's token, and for
   local_qk of one side.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from svt.compute.attention import Rotation
from svt.compute.decompose import HeadSVD
from svt.compute.edits import Batch
from svt.compute.pairs import Integers
from svt.compute.runner import Runner
from svt.words import Scope

DEPENDENT = 1e-10  # a direction whose own part is a smaller share of the largest adds none


@dataclass(frozen=True)
class Group:
    """The edits of one changed layer that share a downstream head and a side."""

    edits: slice
    head: int
    side: int
    basis: Float[Tensor, "d_model r"]  # w without its last row
    last: Float[Tensor, " r"]  # that row, or zeros when not homogeneous
    # the columns of M, float64; None for w_k alone
    directions: Float[Tensor, "edit slice r"] | None

    def projected(
        self, out: Float[Tensor, "edit d_model"], slices: Bool[Tensor, "edit slice"]
    ) -> Float[Tensor, "edit d_model"]:
        """Return step 3 without centring; `slices`: whether a slice is in S."""
        read = out @ self.basis + self.last  # [edit, r]
        if self.directions is None:
            return (read * slices) @ self.basis.mT
        span = orthonormal(self.directions, slices).to(read.dtype)  # [edit, direction, r]
        along = (span @ read[:, :, None]).mT @ span  # [edit, 1, r]
        return along[:, 0] @ self.basis.mT


class Projection:
    """What the edits of one batch change."""

    def __init__(
        self, runner: Runner, svd: HeadSVD, batch: Batch, scope: Scope, homogeneous: bool
    ) -> None:
        self._runner, self._batch = runner, batch
        self._w_o = runner.w_o
        self._writers = list(_writers(batch))
        self._spot = torch.as_tensor(_spots(batch, scope), device=runner.model.device)
        groups = list(_groups(runner, svd, batch, homogeneous))
        self.groups = {
            layer: [g for g in groups if batch.enters[g.edits.start] == layer]
            for layer in range(runner.model.n_layers)
        }  # of each changed layer

    def undisturbed(self) -> Float[Tensor, "edit d_model"]:
        """Return what the upstream heads wrote in the undisturbed runs."""
        runner, batch = self._runner, self._batch
        prompt = batch.prompt[batch.row]
        out = self._w_o.new_empty(len(batch.edits), runner.model.d_model)
        for layer, head, mine in self._writers:
            z = runner.mixed(layer, head, prompt[mine], batch.edits.token[mine])
            out[mine] = z @ self._w_o[layer, head]
        return out

    def writes(self, layer: int) -> bool:
        """Return whether an upstream head is of this layer."""
        return any(up_layer == layer for up_layer, _, _ in self._writers)

    def update(self, out: Tensor, layer: int, z: Float[Tensor, "edit head r"]) -> None:
        """Put into `out` what a layer's heads write; z: [edit, head, r], at the edits' tokens."""
        for up_layer, head, mine in self._writers:
            if up_layer == layer:
                out[mine] = z[mine, head] @ self._w_o[layer, head]

    def changes(
        self,
        layer: int,
        out: Float[Tensor, "edit d_model"],
        strength: float,
        slices: Bool[Tensor, "edit slice"],
    ) -> Float[Tensor, "edit_there d_model"]:
        """Return strength * h of a layer's edits, summed over their spots.

        `slices`: whether a slice is in S.
        """
        groups = self.groups[layer]
        h = torch.cat([g.projected(out[g.edits], slices[g.edits]) for g in groups])
        if self._runner.model.centres:
            h = h - h.mean(-1, keepdim=True)
        spot = self._spot[self._batch.at(layer)]
        total = h.new_zeros(len(self._spot), h.shape[1])
        return total.index_add_(0, spot, strength * h)[spot]  # 4


def orthonormal(
    directions: Float[Tensor, "entry direction r"], chosen: Bool[Tensor, "entry direction"]
) -> Float[Tensor, "entry most_chosen r"]:
    """Return an orthonormal basis of the span of the chosen directions, its other rows zero."""
    most = max(1, int(chosen.sum(1).max()))
    order = chosen.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    mine = chosen.gather(1, order)[..., None] * directions.gather(
        1, order[..., None].expand(-1, -1, directions.shape[2])
    )
    q, r = torch.linalg.qr(mine.mT)  # [entry, r, direction]
    size = r.diagonal(dim1=1, dim2=2).abs()
    real = size > DEPENDENT * mine.norm(dim=2).amax(1, keepdim=True)
    return q.mT * real[..., None]


def _writers(batch: Batch) -> Iterator[tuple[int, int, Integers]]:
    """Every upstream head, and its edits."""
    heads = np.stack([batch.edits.up_layer, batch.edits.up_head])
    distinct, of_edit = np.unique(heads, axis=1, return_inverse=True)
    for i, (layer, head) in enumerate(distinct.T.tolist()):
        yield layer, head, np.flatnonzero(of_edit == i)


def _groups(runner: Runner, svd: HeadSVD, batch: Batch, homogeneous: bool) -> Iterator[Group]:
    """All groups; their edits stand together in a batch."""
    edits = batch.edits
    keys = np.stack([batch.enters, edits.layer, edits.head, edits.side])
    distinct, first = np.unique(keys, axis=1, return_index=True)
    stops = [*first[1:].tolist(), len(edits)]
    for (_, layer, head, side), start, stop in zip(distinct.T.tolist(), first, stops, strict=True):
        mine = slice(int(start), stop)
        w, directions = (svd.u, svd.v)[side][layer, head], None
        if (rotation := runner.rotation[layer]) is not None:
            g = (svd.g_q, svd.g_k)[side][layer, head]
            position = torch.as_tensor(edits.token[mine], device=w.device)
            directions = _directions(w, runner.reads(layer, head, side), g, rotation, position)
        w = w.to(runner.w_o.dtype)
        yield Group(mine, head, side, w[:-1], w[-1] * homogeneous, directions)


def _directions(
    w: Float[Tensor, "d_model_1 r"],
    w_b: Tensor,
    g: Float[Tensor, "slice r"],
    rotation: Rotation,
    position: Tensor,
) -> Float[Tensor, "entry slice r"]:
    """Return the columns of M at positions [entry]: [entry, slice, r], float64.

    w: [d_model + 1, r]; w_b: W~, the same; g: [slice, r].
    """
    angles = Rotation(rotation.cos.double(), rotation.sin.double())
    turned = angles.transpose(g.expand(len(position), *g.shape), position[:, None])  # R^T G^T
    return turned @ (w_b.double().mT @ w)


def _spots(batch: Batch, scope: Scope) -> Integers:
    """A number for every edit, the same for those that add up."""
    edits = batch.edits
    keys = [batch.enters, batch.row, edits.token]
    if scope != "global":
        keys.append(edits.head)
    if scope == "local_qk":
        keys.append(edits.side)
    _, spot = np.unique(np.stack(keys), axis=1, return_inverse=True)
    return spot
