"""The contribution of every upstream component to a stored pair, at its dest and src token (eq. 8).

1. Slice k reads the residual at dest along p_k = Q~ R_i^T G_Q^T e_k and at src along p_k = K~ R_j^T
   G_K^T e_k; without rotation these are sqrt(sigma_k) u_k and sqrt(sigma_k) v_k. A (pair, side)
   reads it along one direction, its probe: (1 / scale_t) times the sum over k of sign_k p_k[:d],
   sign_k = sign(dest_coord_k) for both sides. The sum runs over the signal set and, with
   dump.all_slices, once more over every slice (the paper's baseline).
2. The sum over k of sign_k p_k[d] / scale_t is the offset that the released code adds; models
   without query and key biases have none.
3. A component's contribution is the product of its output at the token and the probe, computed
   token by token for all pairs that have the token as dest or src.
4. Closure: with every component dumped, their sum minus the product of the residual stream and the
   probe.
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
from svt.compute.removal import Removal, WeightsWithout
from svt.compute.slices import Basis, Slices
from svt.compute.writers import ScratchBuffer, Writers
from svt.words import COMPONENTS

Doubles = NDArray[np.float64]


class Outputs:
    """The output weights of the writers, and memory for their outputs, probes and contributions."""

    def __init__(self, model: Model, writers: Writers, n_bytes: float) -> None:
        """n_bytes: memory for the outputs of `self.n_tokens` tokens."""
        self.writers = writers
        self._w_o, self._b_o = model.weight("W_O"), model.weight("b_O")  # [layer, head, r, d_model]
        numbers = len(writers) * model.d_model
        self.n_tokens = max(1, int(n_bytes) // (numbers * self._w_o.element_size()))
        self._written = ScratchBuffer(self._w_o)
        self.probes, self.contributions = ScratchBuffer(self._w_o), ScratchBuffer(self._w_o)

    def at(
        self, acts: Activations, token: Int[np.ndarray, " token"], layer: Int[np.ndarray, " token"]
    ) -> Float[Tensor, "writer token d_model"]:
        """Return the outputs of all writers at up to `n_tokens` tokens.

        They are valid until the thread's next call. Those of heads at or above a token's `layer`,
        which must descend, are uninitialised.
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
                    z_at = z[index[:n]].transpose(0, 1)  # [head, token, r]
                    torch.bmm(z_at, w_o, out=part[at * len(w_o) : (at + 1) * len(w_o), :n])
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
    """The probes of stored pairs before W_Q and W_K, of the signal and, optionally, all slices."""

    weights: Float[Tensor, "pair side kind r"]  # of the columns of W_Q or W_K, over scale
    offsets: Float64[np.ndarray, "pair side kind"]  # step 2
    scale: Float64[np.ndarray, "pair side"]  # of the pair's head at dest and src
    readings: Float64[np.ndarray, "pair side"]  # residual stream times probe (step 4), kind 0


def compute_readout(
    basis: Basis,
    acts: Activations,
    pairs: Pairs,
    slices: Slices,
    token: Int[np.ndarray, "pair side"],
    all_slices: bool,
) -> Readout:
    """Return the readout of every pair (steps 1 and 2), of both kinds with `all_slices`."""
    device, n_heads = basis.g.device, basis.g.shape[2]
    every = np.sign(slices.dest_coord)
    signal = every * slices.in_signal
    signs = np.stack([signal, every] if all_slices else [signal], axis=1)  # [pair, kind, slice]
    signs_there = torch.as_tensor(signs, device=device).to(basis.g.dtype)
    weights = basis.g.new_empty(len(pairs), 2, *signs_there.shape[1:])
    for head, of_head in group_by(pairs.layer * n_heads + pairs.head):
        rows = torch.as_tensor(of_head, device=device)
        for side in range(2):
            weights[rows, side] = signs_there[rows] @ basis.g[side][divmod(head, n_heads)]
    tokens = torch.as_tensor(token, device=device)
    for layer, of_layer in group_by(pairs.layer):
        rotation = acts.inputs[layer].rotation
        if rotation is not None:
            rows = torch.as_tensor(of_layer, device=device)
            position = acts.position[tokens[rows]][:, :, None]  # [pair, side, 1]
            weights[rows] = rotation.transpose(weights[rows], position)
    at = [torch.as_tensor(index, device=device)[:, None] for index in (pairs.layer, pairs.head)]
    sides = torch.arange(2, device=device)
    scales = torch.stack(
        [torch.stack([inputs.side(side)[1] for inputs in acts.inputs]) for side in range(2)]
    )  # [side, layer, token, head]
    scale = scales[sides, at[0], tokens, at[1]]  # [pair, side]
    norm_scale = torch.stack([inputs.norm_scale for inputs in acts.inputs])[at[0], tokens]
    weights /= scale[..., None, None]
    offsets = np.zeros(weights.shape[:3])
    if basis.b.any():
        bias = basis.b[sides, at[0], at[1]].double()  # [pair, side, r]
        offsets = _to_doubles((weights.double() @ bias[..., None])[..., 0])
    coords = np.stack([slices.dest_coord, slices.own_src_coord], axis=1)  # [pair, side, slice]
    with_bias = (signs[:, :1] * coords).sum(axis=-1)  # of [x; 1], divided by n
    readings = with_bias - offsets[..., 0] * _to_doubles(norm_scale)
    return Readout(weights, offsets, _to_doubles(scale), readings)


def _to_doubles(values: Tensor) -> Doubles:
    array: Doubles = values.double().cpu().numpy()
    return array


def compute_probes(
    basis: Basis,
    pairs: Pairs,
    read: Readout,
    entry: Int[np.ndarray, "pair side"],
    buffer: ScratchBuffer,
) -> Float[Tensor, "entry kind d_model"]:
    """Return the probes of step 1; `entry` is the index of each (pair, side) in the result."""
    n_heads, d_model = basis.w.shape[2], basis.w.shape[-1]
    n_kinds = read.weights.shape[2]
    result = buffer(2 * len(pairs), n_kinds * d_model)
    for head, of_head in group_by(pairs.layer * n_heads + pairs.head):
        rows = torch.as_tensor(of_head, device=basis.w.device)
        for side in range(2):
            of_side = read.weights[rows, side].flatten(0, 1) @ basis.w[side][divmod(head, n_heads)]
            entries = torch.as_tensor(entry[of_head, side], device=basis.w.device)
            result.index_copy_(0, entries, of_side.view(len(rows), -1))
    return result.view(-1, n_kinds, d_model)


@dataclass(frozen=True)
class LayerContributions:
    """The contributions of the writers below a layer to the pairs of that layer."""

    pairs: Integers  # indices
    others: Integers  # indices of the writers other than heads
    from_heads: Float32[np.ndarray, "pair side kind head"]
    from_others: Float32[np.ndarray, "pair side kind other"]
    without_heads: UInt16[np.ndarray, "pair side head"] | None  # as stored (removal.py)
    without_others: UInt16[np.ndarray, "pair side other"] | None


@dataclass(frozen=True)
class _ByToken:
    """The (pair, side)s as entries in the order of their tokens."""

    entry: Int[np.ndarray, "pair side"]
    token: Int[np.ndarray, " token"]  # distinct ones, by descending `layer`
    layer: Int[np.ndarray, " token"]  # the highest of its pairs
    entries: list[slice]  # [token]


def _sort_by_token(pairs: Pairs, token: Int[np.ndarray, "pair side"]) -> _ByToken:
    """Return the (pair, side)s by token."""
    order = np.argsort(token.ravel(), kind="stable")
    entry = np.empty_like(order)
    entry[order] = np.arange(len(order))
    present, first = np.unique(token.ravel()[order], return_index=True)
    layer = np.maximum.reduceat(np.repeat(pairs.layer, 2)[order], first)
    bounds = [slice(*ends) for ends in pairwise([*first, len(order)])]
    descending = np.argsort(-layer, kind="stable")
    entries = [bounds[i] for i in descending]
    return _ByToken(entry.reshape(-1, 2), present[descending], layer[descending], entries)


def compute_contributions(
    basis: Basis,
    acts: Activations,
    pairs: Pairs,
    read: Readout,
    outputs: Outputs,
    token: Int[np.ndarray, "pair side"],
    removal: Removal | None = None,
) -> Iterator[LayerContributions]:
    """Yield by layer the contributions (step 3) and, with `removal`, the weights without a writer.

    The iterator must be consumed before the thread's next call: both use the same memory.
    """
    by_token = _sort_by_token(pairs, token)
    without = WeightsWithout(removal, acts, pairs, token, by_token.token) if removal else None
    directions = compute_probes(basis, pairs, read, by_token.entry, outputs.probes)
    result = outputs.contributions(*directions.shape[:2], len(outputs.writers))
    spans = [outputs.writers.spans_below(layer) for layer in range(basis.w.shape[1])]
    for start in range(0, len(by_token.token), outputs.n_tokens):
        block = slice(start, start + outputs.n_tokens)
        written = outputs.at(acts, by_token.token[block], by_token.layer[block])
        of_block = zip(by_token.layer[block], by_token.entries[block], strict=True)
        for i, (layer, entries) in enumerate(of_block):
            of_token, out = directions[entries].flatten(0, 1), result[entries].flatten(0, 1)
            for span in spans[layer]:
                torch.mm(of_token, written[span, i].mT, out=out[:, span])
        if without:
            without.process(block, written)
    for layer, of_layer in group_by(pairs.layer):
        n_heads, others = outputs.writers.below(layer)
        rows = torch.as_tensor(by_token.entry[of_layer], device=result.device)
        from_heads = result[..., :n_heads][rows].float().cpu().numpy()
        from_others = result[..., others][rows].float().cpu().numpy()
        yield LayerContributions(
            of_layer,
            others,
            from_heads,
            from_others,
            without.encode(of_layer, slice(n_heads)) if without else None,
            without.encode(of_layer, others) if without else None,
        )
