"""Slice coordinates and contributions of stored pairs.

1. dest_coord = G_Q q and src_coord = G_K k of the query and the key as they enter the dot product
   (attention.py), in the precision of the activations, once for every (head, token) that takes
   part.
2. With dump.score=contrast src_coord is that of k less what the head would attend to instead
   (contrast.py).
3. contribution_k = dest_coord_k * src_coord_k, a float32 product of the float32 coordinates that
   are stored; their float64 sum is omega_score, the score, or its lead, before it is scaled.
4. Signal sets of these contributions, so that a query over the store finds the same.
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
    """The maps between what heads read and their slices, in the precision of the activations."""

    g: Float[Tensor, "side layer head slice r"]  # G_Q and G_K
    w: Float[Tensor, "side layer head r d_model"]  # W_Q and W_K of every head
    b: Float[Tensor, "side layer head r"]  # b_Q and b_K


def make_basis(svd: HeadSVD, model: Model) -> Basis:
    """Return a model's decomposition rounded to its work dtype, with what its heads read by."""
    group = model.n_heads // model.n_key_heads
    w_q, b_q, w_k, b_k = (model.weight(name) for name in ("W_Q", "b_Q", "W_K", "b_K"))
    return Basis(
        torch.stack([svd.g_q, svd.g_k]).to(model.work_dtype),
        torch.stack([w_q, w_k.repeat_interleave(group, dim=1)]).mT,
        torch.stack([b_q, b_k.repeat_interleave(group, dim=1)]),
    )


@dataclass(frozen=True)
class Slices:
    """The slices of pairs."""

    dest_coord: Float[np.ndarray, "pair slice"]
    src_coord: Float[np.ndarray, "pair slice"]
    own_src_coord: Float[np.ndarray, "pair slice"]  # of the src token alone, as step 1 has it
    contribution: Float32[np.ndarray, "pair slice"]
    rank: UInt16[np.ndarray, "pair slice"]
    in_signal: Bool[np.ndarray, "pair slice"]
    omega_score: Float64[np.ndarray, " pair"]
    score: Float64[np.ndarray, " pair"]  # what they sum to: the score, or its lead


def compute_slices(
    of: Basis,
    acts: Activations,
    pairs: Pairs,
    token: Int[np.ndarray, "pair side"],
    contrast: Sequence[Scoring] | None = None,
) -> Slices:
    """Return steps 1 to 4; `contrast`: how layers score, for step 2."""
    dest_coord, own = (  # 1
        compute_coordinates(of, side, acts, pairs.layer, pairs.head, token[:, side])
        for side in range(2)
    )
    src_coord, score = own, pairs.score.astype(np.float64)
    if contrast is not None:  # 2
        mean_coord, mean_score = average_other_sources(of.g[1], acts, pairs, token, contrast)
        src_coord, score = own - mean_coord, score - mean_score
    contribution = dest_coord.astype(np.float32) * src_coord.astype(np.float32)  # 3
    omega_score = contribution.sum(axis=1, dtype=np.float64)
    rank, in_signal = select_signals(contribution)  # 4
    return Slices(dest_coord, src_coord, own, contribution, rank, in_signal, omega_score, score)


def compute_coordinates(
    of: Basis,
    side: int,
    acts: Activations,
    layer: Int[np.ndarray, " entry"],
    head: Int[np.ndarray, " entry"],
    token: Int[np.ndarray, " entry"],
) -> Float[np.ndarray, "entry slice"]:
    """Return step 1 for each (layer, head, token); side 0 is dest, 1 is src."""
    n_tokens, (n_layers, n_heads, r) = len(acts.position), of.b.shape[1:]
    key = (layer * n_heads + head) * n_tokens + token
    distinct, place = np.unique(key, return_inverse=True)
    which, where = np.divmod(distinct, n_tokens)
    bounds = np.searchsorted(which, np.arange(n_layers * n_heads + 1))
    tokens = torch.as_tensor(where, device=of.g.device)
    found = of.g.new_empty(len(distinct), r)
    for i in np.unique(which):
        rows = slice(bounds[i], bounds[i + 1])
        at, h = divmod(int(i), n_heads)
        vectors, _ = acts.read[at].side(side)
        torch.mm(vectors[tokens[rows], h], of.g[side, at, h].mT, out=found[rows])
    coords: Floats = found.cpu().numpy()[place]
    return coords
