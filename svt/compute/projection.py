"""What upstream heads write along the slices of downstream heads, at the edits of a batch.

1. o is what the upstream head writes at the token: its z there through W_O, without b_O.
2. h = (W_S W_S^T o~)[:d], centred. W is U of the downstream head for dest, V for src; S are the
   edit's slices; o~ = [o; 1], or [o; 0] when not homogeneous.
3. The changes of one spot add up: global, of a layer's token; local, of a head's token, and for
   local_qk of one side.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from svt.compute.decompose import HeadSVD
from svt.compute.edits import Batch
from svt.compute.pairs import Integers
from svt.compute.replay import Replay
from svt.config import Scope


@dataclass(frozen=True)
class Group:
    """The edits of one changed layer that share a downstream head and a side."""

    edits: slice
    head: int
    side: int
    basis: Tensor  # [d_model, r], W without its last row
    last: Tensor  # [r], that row, or zeros when not homogeneous


class Projection:
    """What the edits of one batch change."""

    def __init__(
        self, replay: Replay, svd: HeadSVD, batch: Batch, scope: Scope, homogeneous: bool
    ) -> None:
        self._replay, self._batch = replay, batch
        self._writers = list(_writers(batch))
        self._spot = torch.as_tensor(_spots(batch, scope), device=replay.model.device)
        groups = list(_groups(svd, batch, homogeneous, replay.model.work_dtype))
        self.groups = {
            layer: [g for g in groups if batch.enters[g.edits.start] == layer]
            for layer in range(replay.model.n_layers)
        }  # of each changed layer

    def undisturbed(self) -> Tensor:
        """What the upstream heads wrote in the undisturbed runs: [edit, d_model]."""
        replay, batch = self._replay, self._batch
        prompt = batch.prompt[batch.row]
        out = replay.w_o.new_empty(len(batch.edits), replay.model.d_model)
        for layer, head, mine in self._writers:
            z = replay.mixed(layer, head, prompt[mine], batch.edits.token[mine])
            out[mine] = z @ replay.w_o[layer, head]
        return out

    def update(self, out: Tensor, layer: int, z: Tensor) -> None:
        """Puts into `out` what a layer's heads write; z: [edit, head, r], at the edits' tokens."""
        for up_layer, head, mine in self._writers:
            if up_layer == layer:
                out[mine] = z[mine, head] @ self._replay.w_o[layer, head]

    def changes(self, layer: int, out: Tensor, strength: float, slices: Tensor) -> Tensor:
        """strength * h of the edits of a layer, summed over their spots: [edit there, d_model].

        out: [edit, d_model]; slices: [edit, slice], 1 for the slices of S.
        """
        parts = [
            ((out[g.edits] @ g.basis + g.last) * slices[g.edits]) @ g.basis.mT  # 2
            for g in self.groups[layer]
        ]
        h = torch.cat(parts)
        h = strength * (h - h.mean(-1, keepdim=True))
        spot = self._spot[self._batch.at(layer)]
        return h.new_zeros(len(self._spot), h.shape[1]).index_add_(0, spot, h)[spot]  # 3


def _writers(batch: Batch) -> Iterator[tuple[int, int, Integers]]:
    """Every upstream head, and its edits."""
    heads = np.stack([batch.edits.up_layer, batch.edits.up_head])
    distinct, of_edit = np.unique(heads, axis=1, return_inverse=True)
    for i, (layer, head) in enumerate(distinct.T.tolist()):
        yield layer, head, np.flatnonzero(of_edit == i)


def _groups(svd: HeadSVD, batch: Batch, homogeneous: bool, dtype: torch.dtype) -> Iterator[Group]:
    """All groups; their edits stand together in a batch."""
    edits = batch.edits
    keys = np.stack([batch.enters, edits.layer, edits.head, edits.side])
    distinct, first = np.unique(keys, axis=1, return_index=True)
    stops = [*first[1:].tolist(), len(edits)]
    for (_, layer, head, side), start, stop in zip(distinct.T.tolist(), first, stops, strict=True):
        w = (svd.u, svd.v)[side][layer, head].to(dtype)
        yield Group(slice(start, stop), head, side, w[:-1], w[-1] * homogeneous)


def _spots(batch: Batch, scope: Scope) -> Integers:
    """A number for every edit, the same for those that add up."""
    edits = batch.edits
    keys = [batch.enters, batch.row, batch.place]
    if scope != "global":
        keys.append(edits.head)
    if scope == "local_qk":
        keys.append(edits.side)
    _, spot = np.unique(np.stack(keys), axis=1, return_inverse=True)
    return spot
