"""Slice coordinates and contributions of stored pairs.

1. dest_coord_k = sqrt(sigma_k) u_k . x~_dest and src_coord_k = sqrt(sigma_k) v_k . x~_src, in the
   precision of the activations, once for every (head, token) that takes part.
2. contribution_k = dest_coord_k * src_coord_k, a float32 product of the float32 coordinates that
   are stored; their float64 sum is omega_score, the score before its 1 / sqrt(r).
3. Signal sets of these contributions, so that a query over the store finds the same.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svt.compute.decompose import HeadSVD
from svt.compute.forward import Activations
from svt.compute.pairs import Integers, Pairs
from svt.compute.signal import signal_sets

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Basis:
    """The slices' directions as they are multiplied with activations, in those' precision."""

    w: Tensor  # [side, layer, head, slice, d_model]: u and v without their last coordinate
    last: Tensor  # [side, layer, head, slice]: that coordinate
    root: Tensor  # [layer, head, slice], sqrt(sigma)


def basis(svd: HeadSVD, dtype: torch.dtype) -> Basis:
    """Rounds a decomposition to `dtype`."""
    w = torch.stack([w[:, :, :-1].mT.to(dtype) for w in (svd.u, svd.v)])
    last = torch.stack([w[:, :, -1].to(dtype) for w in (svd.u, svd.v)])
    return Basis(w, last, svd.sigma.sqrt().to(dtype))


@dataclass(frozen=True)
class Slices:
    """[pair, slice] each."""

    dest_coord: Floats
    src_coord: Floats
    contribution: NDArray[np.float32]
    rank: NDArray[np.uint16]
    in_signal: NDArray[np.bool_]
    omega_score: NDArray[np.float64]  # [pair]


def slices(of: Basis, acts: Activations, pairs: Pairs, token: Integers) -> Slices:
    """Steps 1 to 3; token: [pair, side]."""
    dest_coord, src_coord = (  # 1
        coordinates(of, side, acts, pairs.layer, pairs.head, token[:, side]) for side in range(2)
    )
    contribution = dest_coord.astype(np.float32) * src_coord.astype(np.float32)  # 2
    score = contribution.sum(axis=1, dtype=np.float64)
    rank, in_signal = signal_sets(contribution)  # 3
    return Slices(dest_coord, src_coord, contribution, rank, in_signal, score)


def coordinates(
    of: Basis, side: int, acts: Activations, layer: Integers, head: Integers, token: Integers
) -> Floats:
    """sqrt(sigma_k) w_k . x~ of each (layer, head, token), [entry, slice]; w: u for dest, v for
    src.
    """
    n_tokens, (n_layers, n_heads, r) = len(acts.x[0]), of.root.shape
    key = (layer * n_heads + head) * n_tokens + token
    distinct, place = np.unique(key, return_inverse=True)
    which, where = np.divmod(distinct, n_tokens)
    bounds = np.searchsorted(which, np.arange(n_layers * n_heads + 1))
    tokens = torch.as_tensor(where, device=of.w.device)
    found = of.w.new_empty(len(distinct), r)
    for i in np.unique(which):
        rows = slice(bounds[i], bounds[i + 1])
        at, h = divmod(int(i), n_heads)
        x = acts.x[at][tokens[rows]]  # [token, d]
        read = torch.addmm(of.last[side, at, h], x, of.w[side, at, h].mT)
        torch.mul(read, of.root[at, h], out=found[rows])
    coords: Floats = found.cpu().numpy()[place]
    return coords
