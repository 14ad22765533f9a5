"""What every upstream component contributed to a stored pair, through its dest and its src token
(eq. 8).

1. A (pair, side) reads the residual stream along one direction, its probe: (1 / scale_t) times
   the sum over k of sign_k sqrt(sigma_k) w_k[:d], w = u for dest and v for src, sign_k = sign(u_k
   . x~_dest) for both. The sum runs over the signal set and, with dump.all_slices, once more over
   every slice (the paper's baseline).
2. The sum over k of sign_k sqrt(sigma_k) w_k[d] / scale_t is the offset that the released code
   adds.
3. A component's contribution is its output at the token, read along the probe. One product a
   token serves all pairs that touch it.
4. Closure: with every component dumped, their sum minus the probe's reading of the normalised
   residual.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svt.compute.columns import COMPONENTS, HEAD
from svt.compute.decompose import HeadSVD
from svt.compute.forward import Activations
from svt.compute.model import Model
from svt.compute.pairs import Integers, Pairs
from svt.compute.slices import Basis, Slices

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Writers:
    """What writes into the residual stream: the heads first, by layer."""

    component: NDArray[np.uint8]  # [writer], code
    layer: Integers  # [writer], -1 for the embeddings
    head: Integers  # [writer], -1 for what is no head

    def __len__(self) -> int:
        return len(self.component)

    def below(self, layer: int) -> tuple[int, Integers]:
        """Those that write below a layer: how many heads, the first ones; and which others."""
        below, head = self.layer < layer, self.component == HEAD
        return int((below & head).sum()), np.flatnonzero(below & ~head)

    def spans_below(self, layer: int) -> list[slice]:
        """Heads that write below a layer, and all that is no head; without those that are empty."""
        n_heads = int((self.component == HEAD).sum())
        spans = [slice(0, self.below(layer)[0]), slice(n_heads, len(self))]
        return [span for span in spans if span.start < span.stop]


def writers(model: Model, components: tuple[str, ...]) -> Writers:
    """The chosen components of a model, by component, layer and head."""
    rows: list[tuple[int, int, int]] = []
    for code, name in enumerate(COMPONENTS):
        if name not in components:
            continue
        layers = [-1] if name in ("embed", "pos_embed") else list(range(model.n_layers))
        heads = list(range(model.n_heads)) if name == "head" else [-1]
        rows += [(code, layer, head) for layer in layers for head in heads]
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Writers(table[:, 0].astype(np.uint8), table[:, 1], table[:, 2])


class Room:
    """Memory for one array after the other; fresh memory costs as much as a product done in it."""

    def __init__(self, like: Tensor) -> None:
        self._memory = like.new_empty(0)

    def __call__(self, *shape: int) -> Tensor:
        """An array of that shape, of arbitrary content, good until the next is asked for."""
        size = prod(shape)
        if self._memory.numel() < size:
            self._memory = self._memory.new_empty(0)
            self._memory = self._memory.new_empty(size)
        return self._memory[:size].view(shape)


class Outputs:
    """What every writer adds to the residual stream, token by token; memory for its reading."""

    def __init__(self, model: Model, chosen: Writers, n_bytes: float) -> None:
        """`n_bytes` are what the outputs of `self.n_tokens` tokens may take."""
        self.writers = chosen
        self._w_o, self._b_o = model.weight("W_O"), model.weight("b_O")  # [layer, head, r, d_model]
        a_token = len(chosen) * model.d_model
        self.n_tokens = max(1, int(n_bytes) // (a_token * self._w_o.element_size()))
        self._written = Room(self._w_o)
        self.directions, self.found = Room(self._w_o), Room(self._w_o)

    def at(self, acts: Activations, token: Integers, layer: Integers) -> Tensor:
        """[writer, token, d_model], good until the next call; heads from a token's `layer` on are
        left out, their place holds anything.

        `token` are indices, at most `n_tokens` of them; `layer` must fall.
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

    weights: Doubles  # [pair, kind, slice], sign_k sqrt(sigma_k), 0 outside the kind
    last: Doubles  # [pair, side, slice], w_k[d]
    scale: Doubles  # [pair, side], of the pair's layer at dest and src

    def offsets(self) -> Doubles:
        """Step 2: [pair, side, kind]."""
        summed: Doubles = np.einsum("nkr,nsr->nsk", self.weights, self.last)
        return summed / self.scale[..., None]


def readout(svd: HeadSVD, pairs: Pairs, found: Slices, scale: Doubles, all_slices: bool) -> Readout:
    """The readout of every pair, of both kinds with `all_slices`; scale: [pair, side]."""
    root, u_last, v_last = (
        part.cpu().numpy()[pairs.layer, pairs.head]  # [pair, slice]
        for part in (svd.sigma.sqrt(), svd.u[:, :, -1], svd.v[:, :, -1])
    )
    every = np.sign(found.dest_coord) * root
    signal = every * found.in_signal
    weights = np.stack([signal, every] if all_slices else [signal], axis=1)
    return Readout(weights, np.stack([u_last, v_last], axis=1), scale)


def probes(of: Basis, pairs: Pairs, read: Readout, place: Integers, room: Room) -> Tensor:
    """Step 1: [entry, kind, d_model], where place[pair, side] tells the entry of a (pair, side)."""
    n_heads, d_model, n_kinds = of.w.shape[2], of.w.shape[-1], read.weights.shape[1]
    weights = read.weights[:, None] / read.scale[..., None, None]  # [pair, side, kind, slice]
    coefficients = torch.as_tensor(weights, device=of.w.device).to(of.w.dtype)
    directions = room(2 * len(pairs), n_kinds * d_model)
    for head, of_head in _groups(pairs.layer * n_heads + pairs.head):
        rows = torch.as_tensor(of_head, device=of.w.device)
        for side in range(2):
            asked = coefficients[rows, side].flatten(0, 1) @ of.w[side][divmod(head, n_heads)]
            entries = torch.as_tensor(place[of_head, side], device=of.w.device)
            directions.index_copy_(0, entries, asked.view(len(rows), -1))
    return directions.view(-1, n_kinds, d_model)


def _groups(key: Integers) -> Iterator[tuple[int, Integers]]:
    """Every distinct key with the indices where it stands."""
    order = np.argsort(key, kind="stable")
    distinct, first = np.unique(key[order], return_index=True)
    for value, (start, stop) in zip(distinct, pairwise([*first, len(key)]), strict=True):
        yield int(value), order[start:stop]


def residual_readings(read: Readout, found: Slices) -> Doubles:
    """The second term of step 4, [pair, side]: sum over S of sign_k sqrt(sigma_k) w_k[:d] . x."""
    sign = np.sign(found.dest_coord) * found.in_signal
    coords = np.stack([found.dest_coord, found.src_coord], axis=1)  # [pair, side, slice]
    readings: Doubles = (sign[:, None] * coords - read.weights[:, :1] * read.last).sum(axis=-1)
    return readings


@dataclass(frozen=True)
class Received:
    """What the pairs of one layer got from the writers below it."""

    pairs: Integers  # indices
    others: Integers  # indices of the writers that are no heads
    from_heads: NDArray[np.float32]  # [pair, side, kind, head]
    from_others: NDArray[np.float32]  # [pair, side, kind, other]


@dataclass(frozen=True)
class _ByToken:
    """The (pair, side)s as entries, those of one token together."""

    place: Integers  # [pair, side], the entry
    token: Integers  # [token], those that pairs touch, the one with the highest pair first
    layer: Integers  # [token], of its highest pair
    entries: list[slice]  # [token]


def _by_token(pairs: Pairs, token: Integers) -> _ByToken:
    """token: [pair, side]."""
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
    of: Basis, acts: Activations, pairs: Pairs, read: Readout, outputs: Outputs, token: Integers
) -> Iterator[Received]:
    """Step 3, by layer; token: [pair, side]. To be taken whole before it is called again."""
    asking = _by_token(pairs, token)
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
    for layer, of_layer in _groups(pairs.layer):
        n_heads, others = outputs.writers.below(layer)
        asked = torch.as_tensor(asking.place[of_layer], device=found.device)
        from_heads = found[..., :n_heads][asked].float().cpu().numpy()
        from_others = found[..., others][asked].float().cpu().numpy()
        yield Received(of_layer, others, from_heads, from_others)
