"""The outputs of upstream heads projected on slices of downstream heads, at the edits of a batch.

1. o is the output of the upstream head in the residual stream at the token: z W_O, divided by the
   scale of a norm after attention if there is one, without b_O.
2. Slice k reads a token along p_k = W~ R^T G^T e_k, R the rotation of the token's position, with
   W~ = Q~ and G = G_Q for dest, W~ = K~ and G = G_K for src (decompose.py). All p_k lie in the span
   of the orthonormal columns of w, u for dest and v for src: p_k = w M e_k with M = w^T W~ R^T G^T.
   Without rotation p_k is a multiple of w_k.
3. h = (P o~)[:d] with P the orthogonal projector onto the p_k of the edit's slices S and o~ =
   [o; 1], or [o; 0] when not homogeneous: with N orthonormal columns that span those of M in S,
   P = w N N^T w^T. Where the model's norms centre, h is centred.
4. Changes of one place are summed. A place is global: a token in a layer; local: a token of a head,
   and for local_qk of one side.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svt.compute.attention import Rotation
from svt.compute.decompose import HeadSVD
from svt.compute.edits import Batch
from svt.compute.pairs import Integers
from svt.compute.runner import Runner
from svt.words import Scope

DEPENDENT = 1e-10  # share of the largest norm below which a direction's independent part is 0


@dataclass(frozen=True)
class Group:
    """The edits of one changed layer that share a downstream head and a side."""

    edits: slice
    head: int
    side: int
    basis: Float[Tensor, "d_model r"]  # w without its last row
    last: Float[Tensor, " r"]  # that row, or zeros when not homogeneous
    directions: Float[Tensor, "edit slice r"] | None  # columns of M, float64; None: of the identity

    def project(
        self, out: Float[Tensor, "edit d_model"], slices: Bool[Tensor, "edit slice"]
    ) -> Float[Tensor, "edit d_model"]:
        """Return h of step 3 without centring; `slices`: whether a slice is in S."""
        coords = out @ self.basis + self.last  # [edit, r]
        if self.directions is None:
            return (coords * slices) @ self.basis.mT
        span = orthonormalise(self.directions, slices).to(coords.dtype)  # [edit, direction, r]
        projected = (span @ coords[:, :, None]).mT @ span  # [edit, 1, r]
        return projected[:, 0] @ self.basis.mT


class Projection:
    """The changes h of the edits of one batch."""

    def __init__(
        self, runner: Runner, svd: HeadSVD, batch: Batch, scope: Scope, homogeneous: bool
    ) -> None:
        self._runner, self._batch = runner, batch
        self._w_o = runner.w_o
        self._upstream = list(_split_by_upstream_head(batch))
        self._place = torch.as_tensor(_number_places(batch, scope), device=runner.model.device)
        groups = list(_make_groups(runner, svd, batch, homogeneous))
        self.groups = {
            layer: [g for g in groups if batch.changed_layer[g.edits.start] == layer]
            for layer in range(runner.model.n_layers)
        }  # of each changed layer

    def clean_outputs(self) -> Float[Tensor, "edit d_model"]:
        """Return o in the clean runs."""
        runner, batch = self._runner, self._batch
        prompt = batch.prompt[batch.row]
        out = self._w_o.new_empty(len(batch.edits), runner.model.d_model)
        for layer, head, edits in self._upstream:
            z = runner.scaled_z(layer, head, prompt[edits], batch.edits.token[edits])
            out[edits] = z @ self._w_o[layer, head]
        return out

    def is_upstream(self, layer: int) -> bool:
        """Return whether an upstream head is in this layer."""
        return any(up_layer == layer for up_layer, _, _ in self._upstream)

    def update(self, out: Tensor, layer: int, z: Float[Tensor, "edit head r"]) -> None:
        """Write o of a layer's upstream heads to `out`; z: at the edits' tokens."""
        for up_layer, head, edits in self._upstream:
            if up_layer == layer:
                out[edits] = z[edits, head] @ self._w_o[layer, head]

    def compute_changes(
        self,
        layer: int,
        out: Float[Tensor, "edit d_model"],
        strength: float,
        slices: Bool[Tensor, "edit slice"],
    ) -> Float[Tensor, "edit_there d_model"]:
        """Return strength * h of a layer's edits, summed over places (steps 3 and 4).

        slices: whether a slice is in S.
        """
        groups = self.groups[layer]
        h = torch.cat([g.project(out[g.edits], slices[g.edits]) for g in groups])
        if self._runner.model.centres:
            h = h - h.mean(-1, keepdim=True)
        place = self._place[self._batch.at(layer)]
        total = h.new_zeros(len(self._place), h.shape[1])
        return total.index_add_(0, place, strength * h)[place]  # 4


def orthonormalise(
    directions: Float[Tensor, "entry direction r"], chosen: Bool[Tensor, "entry direction"]
) -> Float[Tensor, "entry most_chosen r"]:
    """Return an orthonormal basis of the span of the chosen directions, its other rows zero."""
    most = max(1, int(chosen.sum(1).max()))
    order = chosen.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    selected = chosen.gather(1, order)[..., None] * directions.gather(
        1, order[..., None].expand(-1, -1, directions.shape[2])
    )
    q, r = torch.linalg.qr(selected.mT)  # [entry, r, direction]
    size = r.diagonal(dim1=1, dim2=2).abs()
    independent = size > DEPENDENT * selected.norm(dim=2).amax(1, keepdim=True)
    return q.mT * independent[..., None]


def _split_by_upstream_head(batch: Batch) -> Iterator[tuple[int, int, Integers]]:
    """Yield layer and head of every upstream head, and the indices of its edits."""
    heads = np.stack([batch.edits.up_layer, batch.edits.up_head])
    distinct, of_edit = np.unique(heads, axis=1, return_inverse=True)
    for i, (layer, head) in enumerate(distinct.T.tolist()):
        yield layer, head, np.flatnonzero(of_edit == i)


def _make_groups(runner: Runner, svd: HeadSVD, batch: Batch, homogeneous: bool) -> Iterator[Group]:
    """Yield all groups; the edits of each are consecutive in the batch."""
    edits = batch.edits
    keys = np.stack([batch.changed_layer, edits.layer, edits.head, edits.side])
    distinct, first = np.unique(keys, axis=1, return_index=True)
    stops = [*first[1:].tolist(), len(edits)]
    for (_, layer, head, side), start, stop in zip(distinct.T.tolist(), first, stops, strict=True):
        span = slice(int(start), stop)
        w, directions = (svd.u, svd.v)[side][layer, head], None
        if (rotation := runner.rotation[layer]) is not None:
            g = (svd.g_q, svd.g_k)[side][layer, head]
            position = torch.as_tensor(edits.token[span], device=w.device)
            weight = runner.input_weight(layer, head, side)
            directions = _columns_of_m(w, weight, g, rotation, position)
        w = w.to(runner.w_o.dtype)
        yield Group(span, head, side, w[:-1], w[-1] * homogeneous, directions)


def _columns_of_m(
    w: Float[Tensor, "d_model_1 r"],
    weight: Float[Tensor, "d_model_1 r"],
    g: Float[Tensor, "slice r"],
    rotation: Rotation,
    position: Int[Tensor, " entry"],
) -> Float[Tensor, "entry slice r"]:
    """Return the columns of M at positions, in float64; weight: W~."""
    angles = Rotation(rotation.cos.double(), rotation.sin.double())
    rotated = angles.transpose(g.expand(len(position), *g.shape), position[:, None])  # R^T G^T
    return rotated @ (weight.double().mT @ w)


def _number_places(batch: Batch, scope: Scope) -> Integers:
    """Return a number for every edit, the same for those of one place (step 4)."""
    edits = batch.edits
    keys = [batch.changed_layer, batch.row, edits.token]
    if scope != "global":
        keys.append(edits.head)
    if scope == "local_qk":
        keys.append(edits.side)
    _, place = np.unique(np.stack(keys), axis=1, return_inverse=True)
    return place
