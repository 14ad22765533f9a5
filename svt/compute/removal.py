"""The attention weight of a pair without what one writer wrote at one of its tokens, exactly.

Left out is o_t, what the writer added to the residual stream at token t = dest or src, of what the
pair's head reads there on that side alone: its query for dest, its key of that one token for src.

1. A reader is a head at a token on a side. Its vector is dotted with partners: a query with the
   keys of its whole row, a key with the queries of its pairs. Partners enter as s R_t^T k or
   s R_t^T q, so that the reader's own vector needs no rotation.
2. The norm is computed again: x_t becomes (resid_t - o_t) / scale', scale'^2 the mean square of
   resid_t - o_t plus the norm's epsilon. Without a norm before attention scale' is 1.
3. Without QK-norm the new score is (N - D) / scale' + b . partner with N = scale (score - b .
   partner), so D, the reading of o_t, is all that is computed for each writer. Two ways, by the
   number of partners: along a probe W partner for each of them, or through the writer's image
   W^T o_t, r numbers, for all of them. A writer that leaves little of resid_t is subtracted before
   anything is read, since N - D would be rounding.
4. QK-norm divides by a length that changes as well, so images make the whole new vector there.
   Where all heads of a token share that length, the other heads keep their vectors.
5. Scores are capped, and masked. A new query changes the whole row, which gets a new softmax. A new
   key changes one score, so that the weight's logit, score - logsumexp(other scores), moves by as
   much as the score does.
6. Weights are stored as multiples of 1 / 65535.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svt.compute.forward import Activations
from svt.compute.model import Model
from svt.compute.pairs import Integers, Pairs
from svt.compute.slices import Basis
from svt.compute.upstream import Room, Writers

STEPS = 65535  # of step 6
BANDS = 5  # of layers: their readers take all writers below the last one
PIECE_BYTES = 2**26  # of the partners that are worked on together
CLOSE = 0.05  # what is left of the square of a residual, if it is little (step 3)


class Removal:
    """A model and its writers, as the chunks of a dump read them; memory for the work."""

    def __init__(self, model: Model, of: Basis, writers: Writers) -> None:
        self.model, self.of, self.n_writers = model, of, len(writers)
        layers = np.arange(model.n_layers)
        self.spans = [writers.spans_below(layer) for layer in layers]  # [layer]
        below = layers[:, None] > writers.layer
        self.is_read = below.any(axis=1)  # [layer], whether anything is written below it
        self.below = torch.as_tensor(below, device=model.device)  # [layer, writer]
        windows = [scoring.window or model.n_ctx for scoring in model.scoring]
        self.window = torch.tensor(windows, device=model.device)  # [layer]
        self.qk_norm = model.scoring[0].q_gain is not None
        self.biased = bool(of.b.any())
        self.w = [model.weight(name, gained=False) for name in ("W_Q", "W_K")]
        self.b = [model.weight(name, gained=False) for name in ("b_Q", "b_K")]
        self.found, self.turned, self.by_head = Room(of.w), Room(of.w), Room(of.w)
        self.probes, self.scores = Room(of.w), Room(of.w)

    def through_images(self, n_partners: Integers) -> NDArray[np.bool_]:
        """Return which way of step 3 is cheaper, or possible, for so many partners."""
        r, d = self.of.w.shape[-2:]
        probes = n_partners * (r + self.n_writers) * d
        images = self.n_writers * r * (d + n_partners)
        return (probes > images) | self.qk_norm

    def of_chunk(
        self, acts: Activations, pairs: Pairs, token: Integers, tokens: Integers
    ) -> "WeightsWithout":
        """Return what finds the weights of a chunk; see WeightsWithout."""
        return WeightsWithout(self, acts, pairs, token, tokens)

    def pieces(self, n_partners: Integers) -> Iterator[slice]:
        """Return consecutive readers whose partners fit into PIECE_BYTES, or single ones."""
        r, d = self.of.w.shape[-2:]
        a_partner = (8 * r + 2 * d + self.n_writers) * self.of.w.element_size()
        pieces = np.cumsum(n_partners) * a_partner // PIECE_BYTES
        first = np.flatnonzero(np.diff(pieces, prepend=-1))
        for start, stop in pairwise([*first.tolist(), len(n_partners)]):
            yield slice(start, stop)


@dataclass(frozen=True)
class _Readers:
    """Step 1: [reader] each, sorted by their tokens' places, side, layer and head."""

    place: Integers  # of the token in the order in which tokens are worked on
    token: Integers
    side: Integers
    layer: Integers
    head: Integers
    start: Integers  # first token of the prompt
    n_partners: Integers
    images: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.place)


class _Entries(NamedTuple):
    """The (pair, side)s by reader; [entry] each, but for the bounds."""

    bounds: Integers  # [reader + 1], of a reader's entries
    pair: Integers
    dest: Integers  # token


def _readers(
    removal: Removal, pairs: Pairs, token: Integers, tokens: Integers
) -> tuple[_Readers, _Entries]:
    """Return who reads the tokens, and for which pairs; those that nothing is written for stay out.

    token: [pair, side]; tokens: [place].
    """
    n_layers, n_heads = removal.of.w.shape[1:3]
    place = np.zeros(tokens.max(initial=0) + 1, np.int64)
    place[tokens] = np.arange(len(tokens))
    chosen = np.flatnonzero(removal.is_read[pairs.layer])
    key = (place[token[chosen]] * 2 + np.arange(2)) * n_layers + pairs.layer[chosen, None]
    key = (key * n_heads + pairs.head[chosen, None]).ravel()
    by_key = np.argsort(key, kind="stable")
    distinct, first = np.unique(key[by_key], return_index=True)
    bounds = np.append(first, len(key))
    pair = chosen[by_key // 2]
    rest, head = np.divmod(distinct, n_heads)
    rest, layer = np.divmod(rest, n_layers)
    at, side = np.divmod(rest, 2)
    dest, of_reader = token[pair, 0], tokens[at]
    start = (token[:, 0] - pairs.dest)[pair[first]]
    n_partners = np.where(side == 0, of_reader - start + 1, np.diff(bounds))
    images = removal.through_images(n_partners)
    images &= (side == 0) | removal.qk_norm
    return (
        _Readers(at, of_reader, side, layer, head, start, n_partners, images),
        _Entries(bounds, pair, dest),
    )


class _Streams(NamedTuple):
    """Step 2, of a block of tokens."""

    resid: Tensor  # [token, layer, d_model]
    scale: Tensor  # [token, layer]
    inverse: Tensor  # [token, layer, writer], 1 / scale'
    little: Tensor  # [entry, d_model], resid - o where little is left; entries by token, layer
    layer: Integers  # [entry]
    writer: Integers  # [entry]
    bounds: Integers  # [token + 1], of its entries

    def at(self, token: int, layer: int) -> tuple[Tensor, Integers]:
        """Return what is left where it is little, [entry, d_model], and of which writers."""
        first, last = self.bounds[[token, token + 1]].tolist()
        first, last = first + np.searchsorted(self.layer[first:last], (layer, layer + 1))
        return self.little[first:last], self.writer[first:last]


class _Partners(NamedTuple):
    """Those of some readers. `[place]` is by way of step 3, side, layer and head, then reader."""

    bounds: Integers  # [reader + 1]
    place: Integers  # [reader], of its first partner in `turned`
    turned: Tensor  # [place, r], step 1
    score: Tensor  # [partner], before a cap
    offset: Tensor  # [partner], b . partner
    probes: Tensor  # [partner read along a probe, d_model]
    n_probes: Integers  # [partner + 1], how many before it are


class WeightsWithout:
    """The weights of the pairs of a chunk, found token by token; good until the next chunk."""

    def __init__(
        self, removal: Removal, acts: Activations, pairs: Pairs, token: Integers, tokens: Integers
    ) -> None:
        """token: [pair, side]; tokens: [place], the order in which `read` takes them."""
        self._of, self._acts, self._tokens = removal, acts, tokens
        self._readers, self._entries = _readers(removal, pairs, token, tokens)
        # [pair, side, writer]: the weight for dest, what is added to the logit for src (step 5)
        self._found = removal.found(len(pairs), 2, removal.n_writers)
        self._logit = self._found.new_zeros(len(pairs))
        self._pair, self._src = self._tensor(self._entries.pair), self._tensor(pairs.src)

    def read(self, block: slice, written: Tensor) -> None:
        """Work on the tokens of a block of places; written: [writer, token, d_model]."""
        readers = self._readers
        first, last = np.searchsorted(readers.place, (block.start, block.stop))
        if first == last:
            return
        streams = self._streams(self._tensor(self._tokens[block]), written)
        for piece in self._of.pieces(readers.n_partners[first:last]):
            start, stop = first + piece.start, first + piece.stop
            partners = self._partners(start, stop)
            runs = readers.place[start:stop] * 2 + readers.side[start:stop]
            bounds = start + np.flatnonzero(np.diff(runs, prepend=-1))
            for begin, end in pairwise([*bounds.tolist(), stop]):
                self._read_token(slice(begin, end), start, block.start, partners, streams, written)

    def stored(self, pairs: Integers, writers: Integers | slice) -> NDArray[np.uint16]:
        """Return what was found, as it is stored: [pair, side, writer]."""
        rows = self._tensor(pairs)
        weights = self._found[rows][..., writers]
        weights[:, 1].add_(self._logit[rows, None]).sigmoid_()  # 5
        return weights.mul_(STEPS).round_().to(torch.int32).cpu().numpy().astype(np.uint16)  # 6

    def _streams(self, tokens: Tensor, written: Tensor) -> _Streams:
        """Return step 2."""
        eps, d = self._of.model.norm_eps, written.shape[2]
        resid = torch.stack([layer[tokens] for layer in self._acts.resid], dim=1)
        whole = resid.square().sum(-1)
        left = torch.bmm(resid, written.permute(1, 2, 0)).mul_(-2)
        left += whole[..., None] + torch.linalg.vector_norm(written, dim=2).square().mT[:, None]
        close = (left < CLOSE * whole[..., None]) & self._of.below
        token, layer, writer = close.nonzero(as_tuple=True)
        little = resid[token, layer] - written[writer, token]
        left[token, layer, writer] = little.square().sum(-1)
        if eps is None:
            scale, inverse = torch.ones_like(whole), torch.ones_like(left)
        else:
            scale, inverse = (whole / d + eps).sqrt(), left.div_(d).add_(eps).rsqrt_()
        bounds = np.searchsorted(token.cpu().numpy(), np.arange(len(tokens) + 1))
        entries = (index.cpu().numpy() for index in (layer, writer))
        return _Streams(resid, scale, inverse, little, *entries, bounds)

    def _partners(self, start: int, stop: int) -> _Partners:
        """Return steps 1 and the probes of step 3, of the readers from start to stop."""
        of, acts, readers = self._of, self._acts, self._readers
        n_layers, n_heads, r, d = of.of.w.shape[1:]
        n = readers.n_partners[start:stop]
        bounds = np.append(0, np.cumsum(n))
        reader = np.repeat(np.arange(start, stop), n)
        place = np.arange(bounds[-1]) - np.repeat(bounds[:-1], n)  # among the reader's partners
        is_query = readers.side[reader] == 0
        entry = self._entries.bounds[reader] + np.where(is_query, 0, place)
        other = np.where(is_query, readers.start[reader] + place, self._entries.dest[entry])
        way = readers.images * 2 + readers.side
        key = ((way * n_layers + readers.layer) * n_heads + readers.head)[reader]
        order = np.argsort(key, kind="stable")
        own, other, head = (
            self._tensor(values[order]) for values in (readers.token[reader], other, readers.head[reader])
        )
        turned = of.turned(len(order), r)
        score, offset = (turned.new_zeros(len(order)) for _ in range(2))
        for value, places in _spans(key[order] // n_heads):
            side, layer = divmod(value % (2 * n_layers), n_layers)
            read = acts.read[layer]
            mine, theirs = read.side(side)[0], read.side(1 - side)[0]
            at = own[places], head[places]
            vectors = theirs[other[places], at[1]] * of.model.scoring[layer].scale
            torch.sum(mine[at] * vectors, -1, out=score[places])
            if read.rotation is not None:
                vectors = read.rotation.transpose(vectors, acts.position[at[0]])
            turned[places] = vectors
            if of.biased:
                offset[places] = (vectors * of.of.b[side, layer][at[1]]).sum(-1)
        images = readers.images[reader]
        n_probes = np.append(0, np.cumsum(~images))
        by_head, probes = of.by_head(n_probes[-1], d), of.probes(n_probes[-1], d)
        for value, places in _spans(key[order[: n_probes[-1]]]):
            rest, at_head = divmod(value, n_heads)
            w = of.of.w[(*divmod(rest, n_layers), at_head)]
            torch.mm(turned[places], w, out=by_head[places])
        into = self._tensor(n_probes[order[: n_probes[-1]]])
        probes.index_copy_(0, into, by_head)
        order_there = self._tensor(order)
        inverse = np.empty_like(order)
        inverse[order] = np.arange(len(order))
        return _Partners(
            bounds,
            inverse[bounds[:-1]],
            turned,
            torch.empty_like(score).index_copy_(0, order_there, score),
            torch.empty_like(offset).index_copy_(0, order_there, offset),
            probes,
            n_probes,
        )

    def _read_token(
        self,
        some: slice,
        start: int,
        first_place: int,
        partners: _Partners,
        streams: _Streams,
        written: Tensor,
    ) -> None:
        """Steps 3 to 5 for readers of one token and side; `start`: the first reader of partners."""
        of, readers = self._of, self._readers
        at, side = int(readers.place[some.start]) - first_place, int(readers.side[some.start])
        first, last = partners.bounds[[some.start - start, some.stop - start]].tolist()
        scores = of.scores(last - first, of.n_writers)
        along_images = bool(readers.images[some.start])
        if along_images:
            for reader in range(some.start, some.stop):
                self._along_image(reader, reader - start, first, at, partners, streams, written, scores)
        else:
            self._along_probes(some, start, first, at, partners, written, scores)
        layers = readers.layer[some]
        if side == 1:
            layers = np.repeat(layers, readers.n_partners[some])
        layer = self._tensor(layers)
        rows = scores.view(len(layers), -1, of.n_writers)  # src: a row each partner
        score, offset = (part[first:last].view(len(layers), -1) for part in partners[3:5])
        if not along_images:
            scaled = streams.scale[at][layer, None] * (score - offset)
            torch.sub(scaled[..., None], rows, out=rows)
            self._along_little(some, start, first, at, partners, streams, scores)
        if not of.qk_norm:
            rows *= streams.inverse[at][layer, None]
            if of.biased:
                rows += offset[..., None]
        entries = slice(*self._entries.bounds[[some.start, some.stop]].tolist())
        capped = of.model.scoring[0].capped
        rows, score = capped(rows), capped(score)  # 5
        pair = self._pair[entries]
        if side == 1:
            self._found[pair, 1] = rows[:, 0] - score
            return
        n = rows.shape[1]
        distance = torch.arange(n - 1, -1, -1, device=score.device)
        hidden = distance >= of.window[layer, None]  # [row, src]
        if n > int(of.window.min()):
            rows.masked_fill_(hidden[..., None], -torch.inf)
        rows.sub_(rows.amax(1, keepdim=True)).exp_()
        count = np.diff(self._entries.bounds[some.start : some.stop + 1])
        row, src = self._tensor(np.repeat(np.arange(len(count)), count)), self._src[pair]
        self._found[pair, 0] = rows[row, src] / rows.sum(1)[row]
        others = score.masked_fill(hidden, -torch.inf)[row]
        mine = others.gather(1, src[:, None])
        self._logit[pair] = (mine - others.scatter(1, src[:, None], -torch.inf).logsumexp(1, True))[:, 0]

    def _along_probes(
        self,
        some: slice,
        start: int,
        first: int,
        at: int,
        partners: _Partners,
        written: Tensor,
        scores: Tensor,
    ) -> None:
        """Put D of step 3, of all readers of a token and side along their probes."""
        readers = self._readers
        n_bands = -(-self._of.model.n_layers // BANDS)
        for _, band in _spans(readers.layer[some] // n_bands):
            here = slice(some.start + band.start, some.start + band.stop)
            a, b = partners.bounds[[here.start - start, here.stop - start]].tolist()
            probes = partners.probes[partners.n_probes[a] : partners.n_probes[b]]
            for span in self._of.spans[readers.layer[here.stop - 1]]:
                torch.mm(probes, written[span, at].mT, out=scores[a - first : b - first, span])

    def _along_little(
        self,
        some: slice,
        start: int,
        first: int,
        at: int,
        partners: _Partners,
        streams: _Streams,
        scores: Tensor,
    ) -> None:
        """Put N - D of step 3 where it stands for little, along the probes."""
        for layer, here in _spans(self._readers.layer[some]):
            little, writers = streams.at(at, layer)
            if len(writers):
                bounds = partners.bounds[[some.start - start + here.start, some.start - start + here.stop]]
                a, b = bounds.tolist()
                probes = partners.probes[partners.n_probes[a] : partners.n_probes[b]]
                scores[a - first : b - first, self._tensor(writers)] = probes @ little.mT

    def _along_image(
        self,
        reader: int,
        index: int,
        first: int,
        at: int,
        partners: _Partners,
        streams: _Streams,
        written: Tensor,
        scores: Tensor,
    ) -> None:
        """Put N - D of step 3 of one reader or, with QK-norm, its new scores (step 4)."""
        of, readers = self._of, self._readers
        side, layer, head = (
            int(values[reader]) for values in (readers.side, readers.layer, readers.head)
        )
        a, b = partners.bounds[[index, index + 1]].tolist()
        turned = partners.turned[partners.place[index] : partners.place[index] + b - a]
        at_head = head * of.w[side].shape[1] // of.model.n_heads  # heads may share keys
        w, bias = of.w[side][layer, at_head], of.b[side][layer, at_head]
        whole = streams.resid[at, layer] @ w
        left = whole.new_empty(of.n_writers, len(whole))
        for span in of.spans[layer]:
            torch.sub(whole, written[span, at] @ w, out=left[span])
        little, writers = streams.at(at, layer)
        left[self._tensor(writers)] = little @ w
        if of.qk_norm:
            left = left.mul_(streams.inverse[at, layer, :, None]).add_(bias)
            left = self._normed(reader, left, whole / streams.scale[at, layer] + bias)
        torch.mm(turned, left.mT, out=scores[a - first : b - first])

    def _normed(self, reader: int, vectors: Tensor, own: Tensor) -> Tensor:
        """Return step 4 of vectors [writer, r] in the place of a reader's own [r]."""
        of, readers = self._of, self._readers
        side, layer, head = (
            int(values[reader]) for values in (readers.side, readers.layer, readers.head)
        )
        scoring, r = of.model.scoring[layer], len(own)
        gain = scoring.gain("qk"[side])
        assert gain is not None
        n_heads = of.w[side].shape[1]
        squares, size = vectors.square().sum(-1, keepdim=True), r
        if scoring.norm_over_heads:
            read = self._acts.read[layer]
            token = int(readers.token[reader])
            n = read.side(side)[1][token, head] / read.norm_scale[token]
            every = (n.square() - scoring.norm_eps) * (r * n_heads)
            squares, size = squares + (every - own.square().sum()), r * n_heads
        at_head = head * n_heads // of.model.n_heads
        return vectors.mul_(gain[at_head % len(gain)]).div_(
            (squares / size + scoring.norm_eps).sqrt()
        )

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        return torch.as_tensor(values, device=self._of.of.w.device)


def _spans(key: Integers) -> Iterator[tuple[int, slice]]:
    """Return every value with where it stands, of keys whose equal values stand together."""
    first = np.flatnonzero(np.diff(key, prepend=-1))
    for start, stop in pairwise([*first.tolist(), len(key)]):
        yield int(key[start]), slice(start, stop)
