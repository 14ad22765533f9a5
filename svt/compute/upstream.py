"""What every upstream component contributed to a stored pair, through its dest and its src token
(eq. 8).

1. A (pair, side) reads the residual stream along one direction, its probe: (1 / scale_t) times
   the sum over k of sign_k sqrt(sigma_k) w_k[:d], w = u for dest and v for src, sign_k = sign(u_k
   . x~_dest) for both. The sum runs over the signal set, and once more over every slice (the
   paper's baseline).
2. The sum over k of sign_k sqrt(sigma_k) w_k[d] / scale_t is the offset that the released code
   adds.
3. A component's contribution is its output at the token, read along the probe. One product a
   token serves all pairs that touch it.
4. Heads are ranked by the float32 contributions that are stored, descending, ties by (layer,
   head); totals and the sum of those ranked above are float64.
5. Closure: with every component dumped, their sum minus the probe's reading of the normalised
   residual.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svt.compute.columns import COMPONENTS, HEAD
from svt.compute.decompose import HeadSVD
from svt.compute.forward import Activations
from svt.compute.model import Model
from svt.compute.pairs import Integers, Pairs, take
from svt.compute.slices import Slices

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Writers:
    """What writes into the residual stream, in the order of `upstream`'s rows: heads first."""

    component: NDArray[np.uint8]  # [writer], code
    layer: Integers  # [writer], -1 for the embeddings
    head: Integers  # [writer], -1 for what is no head

    def __len__(self) -> int:
        return len(self.component)

    @property
    def n_heads(self) -> int:
        """How many of the writers, the first ones, are heads."""
        return int((self.component == HEAD).sum())


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


def outputs(w_o: Tensor, b_o: Tensor, acts: Activations, chosen: Writers, tokens: slice) -> Tensor:
    """What each writer adds to the residual stream at the tokens: [writer, token, d_model].

    w_o: [layer, head, r, d_model]; b_o: [layer, d_model].
    """
    parts = []
    n_tokens = tokens.stop - tokens.start
    for code, name in enumerate(COMPONENTS):
        if code not in chosen.component:
            continue
        if name == "head":
            z = torch.stack([layer[tokens] for layer in acts.z])  # [layer, token, head, r]
            part = torch.matmul(z.transpose(1, 2), w_o).flatten(0, 1)
        elif name == "bias":
            part = b_o[:, None].expand(-1, n_tokens, -1)
        elif name == "mlp":
            part = acts.writers[name][:, tokens]
        else:
            part = acts.writers[name][None, tokens]
        parts.append(part)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@dataclass(frozen=True)
class Readout:
    """How stored pairs read the residual stream; kind 0 is the signal, kind 1 every slice."""

    weights: Floats  # [pair, kind, slice], sign_k sqrt(sigma_k), 0 outside the kind
    last: Floats  # [pair, side, slice], w_k[d]
    scale: Floats  # [pair, side], of the pair's layer at dest and src

    def offsets(self) -> Floats:
        """Step 2: [pair, side, kind]."""
        summed: Floats = np.einsum("nkr,nsr->nsk", self.weights, self.last)
        return summed / self.scale[..., None]


def readout(svd: HeadSVD, pairs: Pairs, found: Slices, scale: Floats) -> Readout:
    """The readout of every pair; scale: [pair, side]."""
    root, u_last, v_last = (
        part.cpu().numpy()[pairs.layer, pairs.head]  # [pair, slice]
        for part in (svd.sigma.sqrt(), svd.u[:, :, -1], svd.v[:, :, -1])
    )
    every = np.sign(found.dest_coord) * root
    weights = np.stack([every * found.in_signal, every], axis=1)
    return Readout(weights, np.stack([u_last, v_last], axis=1), scale)


def probes(svd: HeadSVD, pairs: Pairs, read: Readout, dtype: torch.dtype) -> Tensor:
    """Step 1: [side, pair, kind, d_model]; the pairs must stand in order of (layer, head)."""
    n_heads, d_model = svd.sigma.shape[1], svd.u.shape[2] - 1
    device = svd.u.device
    weights = read.weights[None] / read.scale.T[..., None, None]  # [side, pair, kind, slice]
    coefficients = torch.as_tensor(weights, device=device).to(dtype)
    directions = torch.empty(2, len(pairs), 2, d_model, dtype=dtype, device=device)
    heads, first = np.unique(pairs.layer * n_heads + pairs.head, return_index=True)
    for head, start, stop in zip(heads, first, [*first[1:], len(pairs)], strict=True):
        for side, w in enumerate((svd.u, svd.v)):
            basis = w[divmod(int(head), n_heads)][:-1].to(dtype)  # [d_model, slice]
            directions[side, start:stop] = coefficients[side, start:stop] @ basis.mT
    return directions


def residual_readings(read: Readout, found: Slices) -> Floats:
    """The second term of step 5, [pair, side]: sum over S of sign_k sqrt(sigma_k) w_k[:d] . x."""
    sign = np.sign(found.dest_coord) * found.in_signal
    coords = np.stack([found.dest_coord, found.src_coord], axis=1)  # [pair, side, slice]
    readings: Floats = (sign[:, None] * coords - read.weights[:, :1] * read.last).sum(axis=-1)
    return readings


def contributions(
    svd: HeadSVD, pairs: Pairs, read: Readout, written: Tensor, token: Integers
) -> NDArray[np.float32]:
    """Step 3: [pair, side, kind, writer].

    written: [writer, token, d_model]; token: [pair, side].
    """
    by_head = np.lexsort((pairs.head, pairs.layer))
    directions = probes(svd, take(pairs, by_head), take(read, by_head), written.dtype)
    flat = directions.flatten(0, 1)  # [(side, pair), kind, d_model]
    tokens = token[by_head].T.ravel()  # [(side, pair)]
    by_token = np.argsort(tokens, kind="stable")
    present, first = np.unique(tokens[by_token], return_index=True)
    at = torch.as_tensor(by_token, device=flat.device)
    shape = (*directions.shape[:3], len(written))
    found = torch.empty(shape, dtype=flat.dtype, device=flat.device)  # [side, pair, kind, writer]
    found_flat = found.flatten(0, 1)
    for t, start, stop in zip(present, first, [*first[1:], len(tokens)], strict=True):
        rows = at[start:stop]
        found_flat[rows] = flat[rows] @ written[:, t].mT
    result = np.empty((shape[1], 2, 2, len(written)), np.float32)
    result[by_head] = found.transpose(0, 1).cpu().numpy()
    return result


@dataclass(frozen=True)
class Ranking:
    """The order of the heads upstream of each (pair, side); others come last, adding nothing."""

    rank: NDArray[np.uint16]  # [pair, side, head], from 1
    cum_before: Floats  # [pair, side, head]
    total: Floats  # [pair, side]


def rank_heads(
    upstream: Writers, contributed: NDArray[np.float32], visible: NDArray[np.bool_]
) -> Ranking:
    """Step 4. contributed: [pair, side, kind, writer]; visible: [pair, writer], what lies below."""
    contribution = contributed[:, :, 0, : upstream.n_heads]  # [pair, side, head]
    seen = np.broadcast_to(visible[:, None, : upstream.n_heads], contribution.shape)
    order = np.argsort(np.where(seen, -contribution, np.float32(np.inf)), axis=-1, kind="stable")
    ranked = np.take_along_axis(np.where(seen, contribution, np.float32(0)), order, axis=-1)
    first = np.zeros((*order.shape[:2], 1))
    running = np.concatenate([first, np.cumsum(ranked, axis=-1, dtype=np.float64)], axis=-1)
    rank, before = np.empty(order.shape, np.uint16), np.empty(order.shape)
    places = np.broadcast_to(np.arange(1, order.shape[-1] + 1, dtype=np.uint16), order.shape)
    np.put_along_axis(rank, order, places, axis=-1)
    np.put_along_axis(before, order, running[..., :-1], axis=-1)
    return Ranking(rank, before, total=running[..., -1])
