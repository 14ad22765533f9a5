"""What every upstream component contributed to a stored pair, through its dest and its src token
(eq. 8).

1. Slice k reads the residual at dest along p_k = Q~ R_i^T G_Q^T e_k and at src along p_k = K~ R_j^T
   G_K^T e_k; without rotation these are sqrt(sigma_k) u_k and sqrt(sigma_k) v_k. A (pair, side)
   reads it along one direction, its probe: (1 / scale_t) times the sum over k of sign_k p_k[:d],
   sign_k = sign(dest_coord_k) for both sides. The sum runs over the signal set and, with
   dump.all_slices, once more over every slice (the paper's baseline).
2. The sum over k of sign_k p_k[d] / scale_t is the offset that the released code adds; models
   without query and key biases have none.
3. A component's contribution is its output at the token, read along the probe. One product a
   token serves all pairs that touch it.
4. Closure: with every component dumped, their sum minus the probe's reading of the normalised
   residual.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int, UInt16
from numpy.typing import NDArray
from torch import Tensor

from svt.compute.forward import Activations
from svt.compute.model import Model
from svt.compute.pairs import Integers, Pairs, group_by
from svt.compute.removal import Removal
from svt.compute.slices import Basis, Slices
from svt.compute.writers import ScratchBuffer, Writers
from svt.words import COMPONENTS

Doubles = NDArray[np.float64]


class Outputs:
    """What every writer adds to the residual stream, token by token; memory for its reading."""

    def __init__(self, model: Model, chosen: Writers, n_bytes: float) -> None:
        """`n_bytes` are what the outputs of `self.n_tokens` tokens may take."""
        self.writers = chosen
        self._w_o, self._b_o = model.weight("W_O"), model.weight("b_O")  # [layer, head, r, d_model]
        a_token = len(chosen) * model.d_model
        self.n_tokens = max(1, int(n_bytes) // (a_token * self._w_o.element_size()))
        self._written = ScratchBuffer(self._w_o)
        self.directions, self.found = ScratchBuffer(self._w_o), ScratchBuffer(self._w_o)

    def at(
        self, acts: Activations, token: Int[np.ndarray, " token"], layer: Int[np.ndarray, " token"]
    ) -> Float[Tensor, "writer token d_model"]:
        """Return what is written at tokens; valid until the next call.

        Heads from a token's `layer` on are left out, their place holds anything. `token` are
        indices, at most `n_tokens` of them; `layer` must fall.
        """
        written = self._written(len(self.writers), len(token), self._w_o.shape[-1])
        index = torch.as_tensor(token, device=self._w_o.device)
        for code, name in enumerate(COMPONENTS):
            rows = np.flatnonzero(self.writers.component == code)
            if not len(rows):
                continue
            part = written[rows[0] : rows[-1] + 1]
            if name == "head":
                for at, (z, w_o) in enumerate(zip(acts.z, self._w_o, strict=True)):
                    n = int((layer > at).sum())
                    mixed = z[index[:n]].transpose(0, 1)  # [head, token, r]
                    torch.bmm(mixed, w_o, out=part[at * len(w_o) : (at + 1) * len(w_o), :n])
            elif name == "bias":
                part.copy_(self._b_o[:, None].expand(-1, len(token), -1))
                if acts.post_scale is not None:
                    scales = torch.stack([scale[index] for scale in acts.post_scale])
                    part.div_(scales[..., None])
            elif name == "mlp":
                part.copy_(acts.writers[name][:, index])
            else:
                part[0] = acts.writers[name][index]
        return written


@dataclass(frozen=True)
class Readout:
    """How stored pairs read the residual stream; kind 0 is the signal, kind 1, if it is there,
    every slice.
    """

    weights: Float[Tensor, "pair side kind r"]  # along the columns of W_Q or W_K, times 1 / scale
    offsets: Float64[np.ndarray, "pair side kind"]  # step 2
    scale: Float64[np.ndarray, "pair side"]  # of the pair's head at dest and src
    readings: Float64[np.ndarray, "pair side"]  # of step 4, along the signal


def readout(
    of: Basis,
    acts: Activations,
    pairs: Pairs,
    found: Slices,
    token: Int[np.ndarray, "pair side"],
    all_slices: bool,
) -> Readout:
    """Return the readout of every pair, of both kinds with `all_slices`."""
    device, n_heads = of.g.device, of.g.shape[2]
    every = np.sign(found.dest_coord)
    signal = every * found.in_signal
    signs = np.stack([signal, every] if all_slices else [signal], axis=1)  # [pair, kind, slice]
    along = torch.as_tensor(signs, device=device).to(of.g.dtype)
    weights = of.g.new_empty(len(pairs), 2, *along.shape[1:])
    for head, of_head in group_by(pairs.layer * n_heads + pairs.head):
        rows = torch.as_tensor(of_head, device=device)
        for side in range(2):
            weights[rows, side] = along[rows] @ of.g[side][divmod(head, n_heads)]
    tokens = torch.as_tensor(token, device=device)
    for layer, of_layer in group_by(pairs.layer):
        rotation = acts.read[layer].rotation
        if rotation is not None:
            rows = torch.as_tensor(of_layer, device=device)
            position = acts.position[tokens[rows]][:, :, None]  # [pair, side, 1]
            weights[rows] = rotation.transpose(weights[rows], position)
    at = [torch.as_tensor(index, device=device)[:, None] for index in (pairs.layer, pairs.head)]
    sides = torch.arange(2, device=device)
    scales = torch.stack(
        [torch.stack([read.side(side)[1] for read in acts.read]) for side in range(2)]
    )  # [side, layer, token, head]
    scale = scales[sides, at[0], tokens, at[1]]  # [pair, side]
    norm_scale = torch.stack([read.norm_scale for read in acts.read])[at[0], tokens]
    weights /= scale[..., None, None]
    offsets = np.zeros(weights.shape[:3])
    if of.b.any():
        bias = of.b[sides, at[0], at[1]].double()  # [pair, side, r]
        offsets = _numpy((weights.double() @ bias[..., None])[..., 0])
    coords = np.stack([found.dest_coord, found.own_src_coord], axis=1)  # [pair, side, slice]
    along_signal = (signs[:, :1] * coords).sum(axis=-1)  # of [x; 1], divided by n
    readings = along_signal - offsets[..., 0] * _numpy(norm_scale)
    return Readout(weights, offsets, _numpy(scale), readings)


def _numpy(values: Tensor) -> Doubles:
    array: Doubles = values.double().cpu().numpy()
    return array


def probes(
    of: Basis,
    pairs: Pairs,
    read: Readout,
    place: Int[np.ndarray, "pair side"],
    buffer: ScratchBuffer,
) -> Float[Tensor, "entry kind d_model"]:
    """Return the probes of step 1; `place` has the entry of each (pair, side)."""
    n_heads, d_model = of.w.shape[2], of.w.shape[-1]
    n_kinds = read.weights.shape[2]
    directions = buffer(2 * len(pairs), n_kinds * d_model)
    for head, of_head in group_by(pairs.layer * n_heads + pairs.head):
        rows = torch.as_tensor(of_head, device=of.w.device)
        for side in range(2):
            along = read.weights[rows, side].flatten(0, 1) @ of.w[side][divmod(head, n_heads)]
            entries = torch.as_tensor(place[of_head, side], device=of.w.device)
            directions.index_copy_(0, entries, along.view(len(rows), -1))
    return directions.view(-1, n_kinds, d_model)


@dataclass(frozen=True)
class LayerContributions:
    """What the pairs of one layer got from the writers below it."""

    pairs: Integers  # indices
    others: Integers  # indices of the writers that are no heads
    from_heads: Float32[np.ndarray, "pair side kind head"]
    from_others: Float32[np.ndarray, "pair side kind other"]
    without_heads: UInt16[np.ndarray, "pair side head"] | None  # as stored (removal.py)
    without_others: UInt16[np.ndarray, "pair side other"] | None


@dataclass(frozen=True)
class _ByToken:
    """The (pair, side)s as entries, those of one token together."""

    place: Int[np.ndarray, "pair side"]  # the entry
    token: Int[np.ndarray, " token"]  # those that pairs touch, the one with the highest pair first
    layer: Int[np.ndarray, " token"]  # of its highest pair
    entries: list[slice]  # [token]


def _by_token(pairs: Pairs, token: Int[np.ndarray, "pair side"]) -> _ByToken:
    """Return the (pair, side)s by token."""
    order = np.argsort(token.ravel(), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    present, first = np.unique(token.ravel()[order], return_index=True)
    layer = np.maximum.reduceat(np.repeat(pairs.layer, 2)[order], first)
    bounds = [slice(*between) for between in pairwise([*first, len(order)])]
    falling = np.argsort(-layer, kind="stable")
    entries = [bounds[i] for i in falling]
    return _ByToken(place.reshape(-1, 2), present[falling], layer[falling], entries)


def contributions(
    of: Basis,
    acts: Activations,
    pairs: Pairs,
    read: Readout,
    outputs: Outputs,
    token: Int[np.ndarray, "pair side"],
    removal: Removal | None = None,
) -> Iterator[LayerContributions]:
    """Return step 3 and, with `removal`, the weights without each writer, by layer.

    To be taken whole before it is called again.
    """
    asking = _by_token(pairs, token)
    without = removal.of_chunk(acts, pairs, token, asking.token) if removal else None
    directions = probes(of, pairs, read, asking.place, outputs.directions)
    found = outputs.found(*directions.shape[:2], len(outputs.writers))  # [entry, kind, writer]
    spans = [outputs.writers.spans_below(layer) for layer in range(of.w.shape[1])]
    for start in range(0, len(asking.token), outputs.n_tokens):
        block = slice(start, start + outputs.n_tokens)
        written = outputs.at(acts, asking.token[block], asking.layer[block])
        of_block = zip(asking.layer[block], asking.entries[block], strict=True)
        for i, (layer, entries) in enumerate(of_block):
            probed, got = directions[entries].flatten(0, 1), found[entries].flatten(0, 1)
            for some in spans[layer]:
                torch.mm(probed, written[some, i].mT, out=got[:, some])
        if without:
            without.read(block, written)
    for layer, of_layer in group_by(pairs.layer):
        n_heads, others = outputs.writers.below(layer)
        asked = torch.as_tensor(asking.place[of_layer], device=found.device)
        from_heads = found[..., :n_heads][asked].float().cpu().numpy()
        from_others = found[..., others][asked].float().cpu().numpy()
        yield LayerContributions(
            of_layer,
            others,
            from_heads,
            from_others,
            without.stored(of_layer, slice(n_heads)) if without else None,
            without.stored(of_layer, others) if without else None,
        )
