"""Slice coordinates and contributions of stored pairs.

1. dest_coord = G_Q q and src_coord = G_K k of the query and the key as they enter the dot product
   (attention.py), in the precision of the activations, once for every distinct (head, token).
2. With dump.score=contrast the weighted mean of the other sources is subtracted from src_coord
   (contrast.py).
3. contribution_k = dest_coord_k * src_coord_k, a float32 product of the float32 coordinates that
   are stored. Their float64 sum is omega_score: the score, or its lead, before the scale.
4. Signal sets come from these contributions, so that a query over the store computes the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int, UInt16
from numpy.typing import NDArray
from torch import Tensor

from svt.compute.contrast import average_other_sources
from svt.compute.decompose import HeadSVD
from svt.compute.forward import Activations
from svt.compute.model import Model
from svt.compute.pairs import Pairs
from svt.compute.scoring import Scoring
from svt.compute.signal import select_signals

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Basis:
    """The maps from the residual stream to slices of every head, in the activations' precision."""

    g: Float[Tensor, "side layer head slice r"]  # G_Q and G_K
    w: Float[Tensor, "side layer head r d_model"]  # W_Q and W_K of every head
    b: Float[Tensor, "side layer head r"]  # b_Q and b_K


def make_basis(svd: HeadSVD, model: Model) -> Basis:
    """Return the maps of a model and its decomposition in the work dtype."""
    group = model.n_heads // model.n_key_heads
    w_q, b_q, w_k, b_k = (model.weight(name) for name in ("W_Q", "b_Q", "W_K", "b_K"))
    return Basis(
        torch.stack([svd.g_q, svd.g_k]).to(model.work_dtype),
        torch.stack([w_q, w_k.repeat_interleave(group, dim=1)]).mT,
        torch.stack([b_q, b_k.repeat_interleave(group, dim=1)]),
    )


@dataclass(frozen=True)
class Slices:
    """The coordinates, contributions and signals of pairs."""

    dest_coord: Float[np.ndarray, "pair slice"]
    src_coord: Float[np.ndarray, "pair slice"]
    own_src_coord: Float[np.ndarray, "pair slice"]  # before step 2
    contribution: Float32[np.ndarray, "pair slice"]
    rank: UInt16[np.ndarray, "pair slice"]
    in_signal: Bool[np.ndarray, "pair slice"]
    omega_score: Float64[np.ndarray, " pair"]
    score: Float64[np.ndarray, " pair"]  # the model's own, or its lead


def compute_slices(
    basis: Basis,
    acts: Activations,
    pairs: Pairs,
    token: Int[np.ndarray, "pair side"],
    contrast: Sequence[Scoring] | None = None,
) -> Slices:
    """Return the slices of pairs; `token` is the index of dest and src among all tokens.

    contrast: the scoring of each layer, for step 2; without it src_coord is as of step 1.
    """
    dest_coord, own = (  # 1
        compute_coordinates(basis, side, acts, pairs.layer, pairs.head, token[:, side])
        for side in range(2)
    )
    src_coord, score = own, pairs.score.astype(np.float64)
    if contrast is not None:  # 2
        mean_coord, mean_score = average_other_sources(basis.g[1], acts, pairs, token, contrast)
        src_coord, score = own - mean_coord, score - mean_score
    contribution = dest_coord.astype(np.float32) * src_coord.astype(np.float32)  # 3
    omega_score = contribution.sum(axis=1, dtype=np.float64)
    rank, in_signal = select_signals(contribution)  # 4
    return Slices(dest_coord, src_coord, own, contribution, rank, in_signal, omega_score, score)


def compute_coordinates(
    basis: Basis,
    side: int,
    acts: Activations,
    layer: Int[np.ndarray, " entry"],
    head: Int[np.ndarray, " entry"],
    token: Int[np.ndarray, " entry"],
) -> Float[np.ndarray, "entry slice"]:
    """Return the coordinates of step 1 of each (layer, head, token); side 0 is dest, 1 is src."""
    n_tokens, (n_layers, n_heads, r) = len(acts.position), basis.b.shape[1:]
    key = (layer * n_heads + head) * n_tokens + token
    distinct, place = np.unique(key, return_inverse=True)
    of_head, of_token = np.divmod(distinct, n_tokens)
    bounds = np.searchsorted(of_head, np.arange(n_layers * n_heads + 1))
    tokens = torch.as_tensor(of_token, device=basis.g.device)
    computed = basis.g.new_empty(len(distinct), r)
    for value in np.unique(of_head):
        rows = slice(bounds[value], bounds[value + 1])
        at, h = divmod(int(value), n_heads)
        vectors, _ = acts.inputs[at].side(side)
        torch.mm(vectors[tokens[rows], h], basis.g[side, at, h].mT, out=computed[rows])
    coords: Floats = computed.cpu().numpy()[place]
    return coords
