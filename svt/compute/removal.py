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
from jaxtyping import Bool, Float, Int, UInt16
from numpy.typing import NDArray
from torch import Tensor

from svt.compute.forward import Activations
from svt.compute.model import Model
from svt.compute.pairs import Integers, Pairs
from svt.compute.slices import Basis
from svt.compute.writers import ScratchBuffer, Writers

STEPS = 65535  # of step 6
BANDS = 5  # of layers: their readers take all writers below the last one
PIECE_BYTES = 2**26  # of the partners that are worked on together
CLOSE = 0.05  # what is left of the square of a residual, if it is little (step 3)


class Removal:
    """A model and its writers, as the chunks of a dump read them; memory for the work."""

    def __init__(self, model: Model, of: Basis, writers: Writers) -> None:
        self.model, self.of, self.n_writers = model, of, len(writers)
        layers = range(model.n_layers)
        self.spans = [writers.spans_below(layer) for layer in layers]  # [layer]
        below = np.array(layers)[:, None] > writers.layer
        self.is_read = np.array([bool(spans) for spans in self.spans])  # [layer]
        self.below = torch.as_tensor(below, device=model.device)  # [layer, writer]
        windows = [scoring.window or model.n_ctx for scoring in model.scoring]
        self.window = torch.tensor(windows, device=model.device)  # [layer]
        self.shortest_window = min(windows)
        self.is_capped = any(scoring.cap is not None for scoring in model.scoring)
        self.qk_norm = model.scoring[0].q_gain is not None
        self.biased = bool(of.b.any())
        self.w = [model.weight(name, gained=False) for name in ("W_Q", "W_K")]
        self.b = [model.weight(name, gained=False) for name in ("b_Q", "b_K")]
        self.found, self.turned, self.by_head = (
            ScratchBuffer(of.w),
            ScratchBuffer(of.w),
            ScratchBuffer(of.w),
        )
        self.probes, self.scores = ScratchBuffer(of.w), ScratchBuffer(of.w)

    def through_images(self, n_partners: Int[np.ndarray, " reader"]) -> Bool[np.ndarray, " reader"]:
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
    """The readers of step 1, sorted by their tokens' places, side, layer and head."""

    place: Int[np.ndarray, " reader"]  # of the token in the order in which tokens are worked on
    token: Int[np.ndarray, " reader"]
    side: Int[np.ndarray, " reader"]
    layer: Int[np.ndarray, " reader"]
    head: Int[np.ndarray, " reader"]
    start: Int[np.ndarray, " reader"]  # first token of the prompt
    n_partners: Int[np.ndarray, " reader"]
    images: Bool[np.ndarray, " reader"]


class _Entries(NamedTuple):
    """The (pair, side)s by reader; [entry] each, but for the bounds."""

    bounds: Int[np.ndarray, " reader_1"]  # of a reader's entries
    pair: Integers
    dest: Integers  # token

    def of(self, readers: slice) -> slice:
        """Return where the entries of some readers are."""
        return slice(*self.bounds[[readers.start, readers.stop]].tolist())

    def counts(self, readers: slice) -> Integers:
        """Return how many entries each of some readers has."""
        return np.diff(self.bounds[readers.start : readers.stop + 1])


def _readers(
    removal: Removal,
    pairs: Pairs,
    token: Int[np.ndarray, "pair side"],
    tokens: Int[np.ndarray, " place"],
) -> tuple[_Readers, _Entries]:
    """Return who reads the tokens, and for which pairs, of those that anything is written for."""
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

    written: Float[Tensor, "writer token d_model"]  # o
    resid: Float[Tensor, "token layer d_model"]
    scale: Float[Tensor, "token layer"]
    inverse: Float[Tensor, "token layer writer"]  # 1 / scale'
    # resid - o where little is left; entries by token, layer
    little: Float[Tensor, "entry d_model"]
    layer: Int[np.ndarray, " entry"]
    writer: Int[np.ndarray, " entry"]
    bounds: Int[np.ndarray, " token_1"]  # of its entries

    def little_at(self, token: int, layer: int) -> tuple[Tensor, Integers]:
        """Return what is left where it is little, [entry, d_model], and of which writers."""
        first, last = self.bounds[[token, token + 1]].tolist()
        first, last = first + np.searchsorted(self.layer[first:last], (layer, layer + 1))
        return self.little[first:last], self.writer[first:last]


class _Partners(NamedTuple):
    """Those of consecutive readers; `[place]`: by way of step 3, side, layer, head and reader."""

    start: int  # the first reader
    bounds: Int[np.ndarray, " reader_1"]
    place: Int[np.ndarray, " reader"]  # of its first partner
    turned: Float[Tensor, "place r"]  # step 1
    score: Float[Tensor, " partner"]  # before a cap
    offset: Float[Tensor, " partner"]  # b . partner
    probes: Float[Tensor, "partner_that_has_one d_model"]
    n_probes: Int[np.ndarray, " partner_1"]  # how many are before it

    def of(self, readers: slice) -> slice:
        """Return where the partners of some readers are."""
        ends = self.bounds[[readers.start - self.start, readers.stop - self.start]]
        return slice(*ends.tolist())

    def probes_of(self, readers: slice) -> Float[Tensor, "partner d_model"]:
        """Return the probes of some readers."""
        partners = self.of(readers)
        return self.probes[self.n_probes[partners.start] : self.n_probes[partners.stop]]

    def turned_of(self, reader: int) -> Float[Tensor, "partner r"]:
        """Return the partners of a reader."""
        first, partners = self.place[reader - self.start], self.of(slice(reader, reader + 1))
        return self.turned[first : first + partners.stop - partners.start]


class _Run(NamedTuple):
    """Readers of one token and side."""

    readers: slice
    token: int  # in its block
    side: int
    streams: _Streams
    partners: _Partners
    scores: Float[Tensor, "partner writer"]  # N - D of step 3, or new scores with QK-norm

    def rows(self, readers: slice) -> slice:
        """Return where the partners of some readers are in `scores`."""
        some, first = self.partners.of(readers), self.partners.of(self.readers).start
        return slice(some.start - first, some.stop - first)


class WeightsWithout:
    """The weights of the pairs of a chunk, computed token by token; good until the next chunk."""

    def __init__(
        self,
        removal: Removal,
        acts: Activations,
        pairs: Pairs,
        token: Int[np.ndarray, "pair side"],
        tokens: Int[np.ndarray, " place"],
    ) -> None:
        """`tokens` stand in the order in which `read` takes them."""
        self._of, self._acts, self._tokens = removal, acts, tokens
        self._readers, self._entries = _readers(removal, pairs, token, tokens)
        # [pair, side, writer]: the weight for dest, what is added to the logit for src (step 5)
        self._found = removal.found(len(pairs), 2, removal.n_writers)
        self._logit = self._found.new_zeros(len(pairs))
        self._pair, self._src = self._tensor(self._entries.pair), self._tensor(pairs.src)

    def read(self, block: slice, written: Float[Tensor, "writer token d_model"]) -> None:
        """Work on the tokens of a block of places."""
        readers, of = self._readers, self._of
        begin, end = np.searchsorted(readers.place, (block.start, block.stop)).tolist()
        if begin == end:
            return
        streams = self._streams(self._tensor(self._tokens[block]), written)
        for piece in of.pieces(readers.n_partners[begin:end]):
            start, stop = begin + piece.start, begin + piece.stop
            partners = self._partners(start, stop)
            of_token = readers.place[start:stop] * 2 + readers.side[start:stop]
            for value, here in _spans(of_token):
                some = slice(start + here.start, start + here.stop)
                place, side = divmod(value, 2)
                n = partners.of(some)
                scores = of.scores(n.stop - n.start, of.n_writers)
                self._run(_Run(some, place - block.start, side, streams, partners, scores))

    def stored(
        self, pairs: Integers, writers: Integers | slice
    ) -> UInt16[np.ndarray, "pair side writer"]:
        """Return the weights as they are stored."""
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
        at_token, at_layer, at_writer = (
            index.cpu().numpy().astype(np.int64) for index in (token, layer, writer)
        )
        bounds = np.searchsorted(at_token, np.arange(len(tokens) + 1))
        return _Streams(written, resid, scale, inverse, little, at_layer, at_writer, bounds)

    def _partners(self, start: int, stop: int) -> _Partners:
        """Return step 1 and the probes of step 3 for the readers from start to stop."""
        readers, n_heads = self._readers, self._of.model.n_heads
        n = readers.n_partners[start:stop]
        bounds = np.append(0, np.cumsum(n))
        reader = np.repeat(np.arange(start, stop), n)
        nth = np.arange(bounds[-1]) - np.repeat(bounds[:-1], n)  # of the reader's partners
        is_query = readers.side[reader] == 0
        entry = self._entries.bounds[reader] + np.where(is_query, 0, nth)
        other = np.where(is_query, readers.start[reader] + nth, self._entries.dest[entry])
        way = (readers.images * 2 + readers.side) * self._of.model.n_layers + readers.layer
        key = (way * n_heads + readers.head)[reader]
        order = np.argsort(key, kind="stable")
        key, reader = key[order], reader[order]
        turned, score, offset = self._turned(key // n_heads, reader, other[order])
        n_probes = np.append(0, np.cumsum(~readers.images[np.repeat(np.arange(start, stop), n)]))
        probes = self._probes(key[: n_probes[-1]], turned, n_probes[order[: n_probes[-1]]])
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        where = self._tensor(place)
        return _Partners(
            start, bounds, place[bounds[:-1]], turned, score[where], offset[where], probes, n_probes
        )

    def _turned(
        self, key: Int[np.ndarray, " place"], reader: Integers, other: Integers
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return step 1 [place, r], scores and offsets [place].

        key: [place], side and layer of the reader; other: the partner's token.
        """
        of, acts = self._of, self._acts
        own, head = (self._tensor(x[reader]) for x in (self._readers.token, self._readers.head))
        theirs = self._tensor(other)
        turned = of.turned(len(key), of.model.d_head)
        score, offset = turned.new_empty(len(key)), turned.new_zeros(len(key))
        for value, at in _spans(key):
            side, layer = divmod(value % (2 * of.model.n_layers), of.model.n_layers)
            read = acts.read[layer]
            vectors = read.side(1 - side)[0][theirs[at], head[at]] * of.model.scoring[layer].scale
            torch.sum(read.side(side)[0][own[at], head[at]] * vectors, -1, out=score[at])
            if read.rotation is not None:
                vectors = read.rotation.transpose(vectors, acts.position[own[at]])
            turned[at] = vectors
            if of.biased:
                offset[at] = (vectors * of.of.b[side, layer][head[at]]).sum(-1)
        return turned, score, offset

    def _probes(self, key: Integers, turned: Tensor, into: Integers) -> Tensor:
        """Return W partner [into, d_model] of the first partners in `turned`; key: their heads."""
        w = self._of.of.w  # [side, layer, head, r, d_model]
        by_head = self._of.by_head(len(key), w.shape[-1])
        for value, at in _spans(key):
            torch.mm(turned[at], w.flatten(0, 2)[value], out=by_head[at])
        probes = self._of.probes(*by_head.shape)
        return probes.index_copy_(0, self._tensor(into), by_head)

    def _run(self, run: _Run) -> None:
        """Steps 3 to 5."""
        readers, of, streams = self._readers, self._of, run.streams
        layers = readers.layer[run.readers]
        if run.side == 1:  # a row each partner
            layers = np.repeat(layers, readers.n_partners[run.readers])
        layer, some = self._tensor(layers), run.partners.of(run.readers)
        score, offset = (
            part[some].view(len(layers), -1) for part in (run.partners.score, run.partners.offset)
        )
        rows = run.scores.view(len(layers), -1, of.n_writers)
        if readers.images[run.readers.start]:
            for reader in range(run.readers.start, run.readers.stop):
                self._along_image(reader, run)
        else:
            self._along_probes(run)
            scaled = streams.scale[run.token][layer, None] * (score - offset)
            torch.sub(scaled[..., None], rows, out=rows)
            self._along_probes_of_little(run)
        if not of.qk_norm:
            rows *= streams.inverse[run.token][layer, None]
            if of.biased:
                rows += offset[..., None]
        if of.is_capped:
            score = score.clone()
            for value, at in _spans(layers):
                capped = of.model.scoring[value].capped
                rows[at], score[at] = capped(rows[at]), capped(score[at])
        if run.side == 0:
            self._attend(run.readers, rows, score, layer)
        else:
            self._found[self._pair[self._entries.of(run.readers)], 1] = rows[:, 0] - score

    def _along_probes(self, run: _Run) -> None:
        """Put D of step 3 into the scores."""
        layer = self._readers.layer
        for _, band in _spans(layer[run.readers] // -(-self._of.model.n_layers // BANDS)):
            some = slice(run.readers.start + band.start, run.readers.start + band.stop)
            probes, scores = run.partners.probes_of(some), run.scores[run.rows(some)]
            for span in self._of.spans[layer[some.stop - 1]]:
                torch.mm(probes, run.streams.written[span, run.token].mT, out=scores[:, span])

    def _along_probes_of_little(self, run: _Run) -> None:
        """Put N - D of step 3 into the scores of writers that leave little."""
        if run.streams.bounds[run.token] == run.streams.bounds[run.token + 1]:
            return
        for layer, here in _spans(self._readers.layer[run.readers]):
            some = slice(run.readers.start + here.start, run.readers.start + here.stop)
            little, writers = run.streams.little_at(run.token, layer)
            run.scores[run.rows(some), self._tensor(writers)] = (
                run.partners.probes_of(some) @ little.mT
            )

    def _along_image(self, reader: int, run: _Run) -> None:
        """Put N - D of step 3 or, with QK-norm, new scores (step 4) into a reader's scores."""
        of, streams = self._of, run.streams
        layer, head = int(self._readers.layer[reader]), int(self._readers.head[reader])
        at_head = head * of.w[run.side].shape[1] // of.model.n_heads  # heads may share keys
        w, b = of.w[run.side][layer, at_head], of.b[run.side][layer, at_head]
        whole = streams.resid[run.token, layer] @ w
        left = whole.new_empty(of.n_writers, len(whole))
        for span in of.spans[layer]:
            torch.sub(whole, streams.written[span, run.token] @ w, out=left[span])
        little, writers = streams.little_at(run.token, layer)
        left[self._tensor(writers)] = little @ w
        if of.qk_norm:
            left.mul_(streams.inverse[run.token, layer, :, None]).add_(b)
            own = whole / streams.scale[run.token, layer] + b
            left = self._normed(reader, run.side, at_head, left, own)
        scores = run.scores[run.rows(slice(reader, reader + 1))]
        torch.mm(run.partners.turned_of(reader), left.mT, out=scores)

    def _normed(self, reader: int, side: int, at_head: int, vectors: Tensor, own: Tensor) -> Tensor:
        """Return step 4 of vectors [writer, r] in the place of a reader's own [r].

        at_head: the head or key head that they are of.
        """
        layer, token = int(self._readers.layer[reader]), int(self._readers.token[reader])
        scoring, read = self._of.model.scoring[layer], self._acts.read[layer]
        gain = scoring.gain("qk"[side])
        assert gain is not None
        squares, size = vectors.square().sum(-1, keepdim=True), len(own)
        if scoring.norm_over_heads:
            size *= self._of.w[side].shape[1]
            n = read.side(side)[1][token, self._readers.head[reader]] / read.norm_scale[token]
            squares += (n.square() - scoring.norm_eps) * size - own.square().sum()
        n_new = (squares / size + scoring.norm_eps).sqrt()
        return vectors.mul_(gain[at_head % len(gain)]).div_(n_new)

    def _attend(
        self,
        readers: slice,
        rows: Float[Tensor, "reader src writer"],
        score: Float[Tensor, "reader src"],
        layer: Int[Tensor, " reader"],
    ) -> None:
        """Put the weights of step 5 for queries, and the logits of their pairs.

        `rows` are capped.
        """
        n = rows.shape[1]
        distance = torch.arange(n - 1, -1, -1, device=rows.device)
        hidden = distance >= self._of.window[layer, None]  # [reader, src]
        if n > self._of.shortest_window:
            rows = rows.masked_fill(hidden[..., None], -torch.inf)
            score = score.masked_fill(hidden, -torch.inf)
        rows.sub_(rows.amax(1, keepdim=True)).exp_()
        pair, n_pairs = self._pair[self._entries.of(readers)], self._entries.counts(readers)
        reader, src = self._tensor(np.repeat(np.arange(len(n_pairs)), n_pairs)), self._src[pair]
        self._found[pair, 0] = rows[reader, src] / rows.sum(1)[reader]
        score, src = score[reader], src[:, None]
        others = score.scatter(1, src, -torch.inf).logsumexp(1)
        self._logit[pair] = score.gather(1, src)[:, 0] - others

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        return torch.as_tensor(values, device=self._of.of.w.device)


def _spans(key: Integers) -> Iterator[tuple[int, slice]]:
    """Return every value with where it stands, of keys whose equal values stand together."""
    first = np.flatnonzero(np.diff(key, prepend=-1))
    for start, stop in pairwise([*first.tolist(), len(key)]):
        yield int(key[start]), slice(start, stop)
