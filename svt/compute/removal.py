"""The exact attention weight of a pair without the output of one writer at one of its tokens.

The writer's output o_t at token t = dest or src is subtracted from the input of the pair's head on
that side alone: of its query for dest, of its key of that one token for src.

1. A reader is a head at a token on a side. Its vector is multiplied with partners: a query with the
   keys of its whole row, a key with the queries of its pairs. Partners enter as s R_t^T k or
   s R_t^T q, so that the reader's own vector needs no rotation.
2. The norm is recomputed: x_t becomes (resid_t - o_t) / scale', scale'^2 the mean square of
   resid_t - o_t plus the norm's epsilon. Without a norm before attention scale' is 1.
3. Without QK-norm the new score is (N - D) / scale' + b . partner with N = scale (score - b .
   partner) and D = partner . W^T o_t, the only part that depends on the writer. D is computed by
   the cheaper of two ways: with a probe W partner for each partner, or with the writer's image
   W^T o_t, r numbers, for all partners. Where resid_t - o_t is small, N - D would be rounding error
   and is computed from the difference instead.
4. QK-norm divides by a root mean square that changes as well, so there images give the whole new
   vector. Where all heads of a token share it, the other heads keep their vectors.
5. Scores are capped and masked. A new query changes the whole row, which gets a new softmax. A new
   key changes one score, so the weight's logit, score - logsumexp(other scores), changes by the
   difference of the scores.
6. Weights are stored as multiples of 1 / 65535.
"""

from collections.abc import Iterator
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
from svt.compute.readers import Readers, list_readers
from svt.compute.slices import Basis
from svt.compute.writers import ScratchBuffer, Writers

STEPS = 65535  # of step 6
BANDS = 5  # of layers; a band's readers are multiplied with all writers below its last layer
PIECE_BYTES = 2**26  # of the partners that are processed at once, at most
SMALL = 0.05  # |resid - o|^2 / |resid|^2 below which the difference is small (step 3)


class Removal:
    """A model's weights, its writers and scratch buffers, one set for each thread."""

    def __init__(self, model: Model, basis: Basis, writers: Writers, n_bytes: float) -> None:
        """n_bytes: memory of a thread, a quarter of it for partners."""
        self.piece_bytes = min(PIECE_BYTES, n_bytes / 4)
        self.model, self.basis, self.n_writers = model, basis, len(writers)
        layers = range(model.n_layers)
        self.spans = [writers.spans_below(layer) for layer in layers]  # [layer]
        below = np.array(layers)[:, None] > writers.layer
        self.has_writers = np.array([bool(spans) for spans in self.spans])  # [layer]
        self.below = torch.as_tensor(below, device=model.device)  # [layer, writer]
        windows = [scoring.window or model.n_ctx for scoring in model.scoring]
        self.window = torch.tensor(windows, device=model.device)  # [layer]
        self.shortest_window = min(windows)
        self.is_capped = any(scoring.cap is not None for scoring in model.scoring)
        self.qk_norm = model.scoring[0].q_gain is not None
        self.biased = bool(basis.b.any())
        self.w = [model.weight(name, gained=False) for name in ("W_Q", "W_K")]
        self.b = [model.weight(name, gained=False) for name in ("b_Q", "b_K")]
        self.results, self.rotated, self.by_head, self.probes, self.scores = (
            ScratchBuffer(basis.w) for _ in range(5)
        )

    def choose_images(self, readers: Readers) -> Bool[np.ndarray, " reader"]:
        """Return whether images, not probes, are used: where they are necessary, or cheaper."""
        r, d = self.basis.w.shape[-2:]
        probes = readers.n_partners * (r + self.n_writers) * d
        images = self.n_writers * r * (d + readers.n_partners)
        return (probes > images) & (readers.side == 0) | self.qk_norm

    def split_readers(self, n_partners: Integers) -> Iterator[slice]:
        """Yield consecutive readers whose partners fit into `piece_bytes`, or single ones."""
        r, d = self.basis.w.shape[-2:]
        partner_bytes = (8 * r + 2 * d + self.n_writers) * self.basis.w.element_size()
        pieces = np.cumsum(n_partners) * partner_bytes // self.piece_bytes
        first = np.flatnonzero(np.diff(pieces, prepend=-1))
        for start, stop in pairwise([*first.tolist(), len(n_partners)]):
            yield slice(start, stop)


class _Streams(NamedTuple):
    """The residual streams of a block of tokens, with and without each writer (step 2)."""

    written: Float[Tensor, "writer token d_model"]  # o
    resid: Float[Tensor, "token layer d_model"]
    scale: Float[Tensor, "token layer"]
    inverse: Float[Tensor, "token layer writer"]  # 1 / scale'
    # resid - o where it is small; entries by token, layer
    small: Float[Tensor, "entry d_model"]
    layer: Int[np.ndarray, " entry"]
    writer: Int[np.ndarray, " entry"]
    bounds: Int[np.ndarray, " token_1"]  # of a token's entries

    def small_at(self, token: int, layer: int) -> tuple[Tensor, Integers]:
        """Return the small differences [entry, d_model] at a token and layer, and their writers."""
        first, last = self.bounds[[token, token + 1]].tolist()
        first, last = first + np.searchsorted(self.layer[first:last], (layer, layer + 1))
        return self.small[first:last], self.writer[first:last]


class _Partners(NamedTuple):
    """The partners of consecutive readers.

    `place` orders them by method of step 3, side, layer, head and reader.
    """

    start: int  # the first reader
    bounds: Int[np.ndarray, " reader_1"]  # of a reader's partners
    place: Int[np.ndarray, " reader"]  # of its first partner
    rotated: Float[Tensor, "place r"]  # step 1
    score: Float[Tensor, " partner"]  # before a cap
    offset: Float[Tensor, " partner"]  # b . partner
    probes: Float[Tensor, "partner_that_has_one d_model"]
    n_probes: Int[np.ndarray, " partner_1"]  # of all partners before it

    def of(self, readers: slice) -> slice:
        """Return the span of the partners of these readers."""
        ends = self.bounds[[readers.start - self.start, readers.stop - self.start]]
        return slice(*ends.tolist())

    def probes_of(self, readers: slice) -> Float[Tensor, "partner d_model"]:
        """Return the probes of these readers."""
        partners = self.of(readers)
        return self.probes[self.n_probes[partners.start] : self.n_probes[partners.stop]]

    def rotated_of(self, reader: int) -> Float[Tensor, "partner r"]:
        """Return the partners of a reader."""
        first, partners = self.place[reader - self.start], self.of(slice(reader, reader + 1))
        return self.rotated[first : first + partners.stop - partners.start]


class _Group(NamedTuple):
    """The readers of one token and side, and their scores."""

    readers: slice
    token: int  # in its block
    side: int
    streams: _Streams
    partners: _Partners
    scores: Float[Tensor, "partner writer"]  # N - D of step 3, or new scores with QK-norm

    def rows(self, readers: slice) -> slice:
        """Return the rows of these readers in `scores`."""
        span, first = self.partners.of(readers), self.partners.of(self.readers).start
        return slice(span.start - first, span.stop - first)


class WeightsWithout:
    """The weights of the pairs of a chunk, computed token by token; valid until the next chunk."""

    def __init__(
        self,
        removal: Removal,
        acts: Activations,
        pairs: Pairs,
        token: Int[np.ndarray, "pair side"],
        tokens: Int[np.ndarray, " place"],
    ) -> None:
        """`tokens` are those of the pairs in the order in which `process` takes them."""
        self._removal, self._acts, self._tokens = removal, acts, tokens
        self._readers, self._entries = list_readers(
            pairs, token, tokens, removal.has_writers, removal.model.n_heads
        )
        self._images = removal.choose_images(self._readers)  # or probes
        # [pair, side, writer]: the weight for dest, the change of the logit for src (step 5)
        self._results = removal.results(len(pairs), 2, removal.n_writers)
        self._logit = self._results.new_zeros(len(pairs))
        self._pair, self._src = self._tensor(self._entries.pair), self._tensor(pairs.src)

    def process(self, block: slice, written: Float[Tensor, "writer token d_model"]) -> None:
        """Compute steps 1 to 5 for a block of tokens; `written`: the writers' outputs there."""
        readers, removal = self._readers, self._removal
        begin, end = np.searchsorted(readers.place, (block.start, block.stop)).tolist()
        if begin == end:
            return
        streams = self._remove_writers(self._tensor(self._tokens[block]), written)
        for piece in removal.split_readers(readers.n_partners[begin:end]):
            start, stop = begin + piece.start, begin + piece.stop
            partners = self._gather_partners(start, stop)
            of_token = readers.place[start:stop] * 2 + readers.side[start:stop]
            for value, at in _spans(of_token):
                group = slice(start + at.start, start + at.stop)
                place, side = divmod(value, 2)
                n = partners.of(group)
                scores = removal.scores(n.stop - n.start, removal.n_writers)
                self._score(_Group(group, place - block.start, side, streams, partners, scores))

    def encode(
        self, pairs: Integers, writers: Integers | slice
    ) -> UInt16[np.ndarray, "pair side writer"]:
        """Return the weights of pairs without each of the writers, as they are stored (step 6)."""
        rows = self._tensor(pairs)
        weights = self._results[rows][..., writers]
        weights[:, 1].add_(self._logit[rows, None]).sigmoid_()  # 5
        return weights.mul_(STEPS).round_().to(torch.int32).cpu().numpy().astype(np.uint16)  # 6

    def _remove_writers(self, tokens: Tensor, written: Tensor) -> _Streams:
        """Return the residual streams of step 2 at tokens."""
        eps, d = self._removal.model.norm_eps, written.shape[2]
        resid = torch.stack([layer[tokens] for layer in self._acts.resid], dim=1)
        square = resid.square().sum(-1)
        rest = torch.bmm(resid, written.permute(1, 2, 0)).mul_(-2)  # becomes |resid - o|^2
        rest += square[..., None] + torch.linalg.vector_norm(written, dim=2).square().mT[:, None]
        is_small = (rest < SMALL * square[..., None]) & self._removal.below
        token, layer, writer = is_small.nonzero(as_tuple=True)
        small = resid[token, layer] - written[writer, token]
        rest[token, layer, writer] = small.square().sum(-1)
        if eps is None:
            scale, inverse = torch.ones_like(square), torch.ones_like(rest)
        else:
            scale, inverse = (square / d + eps).sqrt(), rest.div_(d).add_(eps).rsqrt_()
        at_token, at_layer, at_writer = (
            index.cpu().numpy().astype(np.int64) for index in (token, layer, writer)
        )
        bounds = np.searchsorted(at_token, np.arange(len(tokens) + 1))
        return _Streams(written, resid, scale, inverse, small, at_layer, at_writer, bounds)

    def _gather_partners(self, start: int, stop: int) -> _Partners:
        """Return the partners of step 1 and the probes of step 3 of readers from start to stop."""
        readers, n_heads = self._readers, self._removal.model.n_heads
        n = readers.n_partners[start:stop]
        bounds = np.append(0, np.cumsum(n))
        reader = np.repeat(np.arange(start, stop), n)
        nth = np.arange(bounds[-1]) - np.repeat(bounds[:-1], n)  # number among the reader's
        is_query = readers.side[reader] == 0
        entry = self._entries.bounds[reader] + np.where(is_query, 0, nth)
        other = np.where(is_query, readers.start[reader] + nth, self._entries.dest[entry])
        method = (self._images * 2 + readers.side) * self._removal.model.n_layers + readers.layer
        key = (method * n_heads + readers.head)[reader]
        order = np.argsort(key, kind="stable")
        key, reader = key[order], reader[order]
        rotated, score, offset = self._rotate_partners(key // n_heads, reader, other[order])
        n_probes = np.append(0, np.cumsum(np.repeat(~self._images[start:stop], n)))
        probes = self._compute_probes(key[: n_probes[-1]], rotated, n_probes[order[: n_probes[-1]]])
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        first, at = place[bounds[:-1]], self._tensor(place)
        return _Partners(start, bounds, first, rotated, score[at], offset[at], probes, n_probes)

    def _rotate_partners(
        self, key: Int[np.ndarray, " place"], reader: Integers, other: Integers
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the partners of step 1 [place, r], their scores and offsets [place].

        key: side and layer of the reader. other: the partner's token.
        """
        removal, acts = self._removal, self._acts
        own, head = (self._tensor(x[reader]) for x in (self._readers.token, self._readers.head))
        partner = self._tensor(other)
        rotated = removal.rotated(len(key), removal.model.d_head)
        score, offset = rotated.new_empty(len(key)), rotated.new_zeros(len(key))
        for value, at in _spans(key):
            side, layer = divmod(value % (2 * removal.model.n_layers), removal.model.n_layers)
            inputs, scale = acts.inputs[layer], removal.model.scoring[layer].scale
            vectors = inputs.side(1 - side)[0][partner[at], head[at]] * scale
            torch.sum(inputs.side(side)[0][own[at], head[at]] * vectors, -1, out=score[at])
            if inputs.rotation is not None:
                vectors = inputs.rotation.transpose(vectors, acts.position[own[at]])
            rotated[at] = vectors
            if removal.biased:
                offset[at] = (vectors * removal.basis.b[side, layer][head[at]]).sum(-1)
        return rotated, score, offset

    def _compute_probes(self, key: Integers, rotated: Tensor, row: Integers) -> Tensor:
        """Return the probes W partner [row, d_model] of the first partners in `rotated`.

        key: the side, layer and head of their readers.
        """
        w = self._removal.basis.w  # [side, layer, head, r, d_model]
        by_head = self._removal.by_head(len(key), w.shape[-1])
        for value, at in _spans(key):
            torch.mm(rotated[at], w.flatten(0, 2)[value], out=by_head[at])
        probes = self._removal.probes(*by_head.shape)
        return probes.index_copy_(0, self._tensor(row), by_head)

    def _score(self, group: _Group) -> None:
        """Compute steps 3 to 5 for a group of readers."""
        readers, removal, streams = self._readers, self._removal, group.streams
        layers = readers.layer[group.readers]
        if group.side == 1:  # a row each partner
            layers = np.repeat(layers, readers.n_partners[group.readers])
        layer, span = self._tensor(layers), group.partners.of(group.readers)
        score, offset = (
            part[span].view(len(layers), -1)
            for part in (group.partners.score, group.partners.offset)
        )
        rows = group.scores.view(len(layers), -1, removal.n_writers)
        if self._images[group.readers.start]:
            for reader in range(group.readers.start, group.readers.stop):
                self._score_with_images(reader, group)
        else:
            self._multiply_probes(group)
            scaled = streams.scale[group.token][layer, None] * (score - offset)
            torch.sub(scaled[..., None], rows, out=rows)
            self._score_small_differences(group)
        if not removal.qk_norm:
            rows *= streams.inverse[group.token][layer, None]
            if removal.biased:
                rows += offset[..., None]
        if removal.is_capped:
            score = score.clone()
            for value, at in _spans(layers):
                apply_cap = removal.model.scoring[value].apply_cap
                rows[at], score[at] = apply_cap(rows[at]), apply_cap(score[at])
        if group.side == 0:
            self._attend(group.readers, rows, score, layer)
        else:
            self._results[self._pair[self._entries.of(group.readers)], 1] = rows[:, 0] - score

    def _multiply_probes(self, group: _Group) -> None:
        """Write D of step 3 to the scores."""
        layer = self._readers.layer
        for _, at in _spans(layer[group.readers] // -(-self._removal.model.n_layers // BANDS)):
            band = slice(group.readers.start + at.start, group.readers.start + at.stop)
            probes, scores = group.partners.probes_of(band), group.scores[group.rows(band)]
            for span in self._removal.spans[layer[band.stop - 1]]:
                torch.mm(probes, group.streams.written[span, group.token].mT, out=scores[:, span])

    def _score_small_differences(self, group: _Group) -> None:
        """Write N - D of step 3 to the scores where resid - o is small."""
        if group.streams.bounds[group.token] == group.streams.bounds[group.token + 1]:
            return
        for layer, at in _spans(self._readers.layer[group.readers]):
            of_layer = slice(group.readers.start + at.start, group.readers.start + at.stop)
            small, writers = group.streams.small_at(group.token, layer)
            group.scores[group.rows(of_layer), self._tensor(writers)] = (
                group.partners.probes_of(of_layer) @ small.mT
            )

    def _score_with_images(self, reader: int, group: _Group) -> None:
        """Write N - D of step 3 or, with QK-norm, new scores (step 4) to a reader's scores."""
        removal, streams = self._removal, group.streams
        layer, head = int(self._readers.layer[reader]), int(self._readers.head[reader])
        own_head = head * removal.w[group.side].shape[1] // removal.model.n_heads  # or key head
        w, b = removal.w[group.side][layer, own_head], removal.b[group.side][layer, own_head]
        image = streams.resid[group.token, layer] @ w
        vectors = image.new_empty(removal.n_writers, len(image))
        for span in removal.spans[layer]:
            torch.sub(image, streams.written[span, group.token] @ w, out=vectors[span])
        small, writers = streams.small_at(group.token, layer)
        vectors[self._tensor(writers)] = small @ w
        if removal.qk_norm:
            vectors.mul_(streams.inverse[group.token, layer, :, None]).add_(b)
            own = image / streams.scale[group.token, layer] + b
            vectors = self._normalise(reader, group.side, own_head, vectors, own)
        scores = group.scores[group.rows(slice(reader, reader + 1))]
        torch.mm(group.partners.rotated_of(reader), vectors.mT, out=scores)

    def _normalise(
        self, reader: int, side: int, own_head: int, vectors: Tensor, own: Tensor
    ) -> Tensor:
        """Return the vectors [writer, r] that replace a reader's own [r] after QK-norm (step 4).

        own_head: their head or key head.
        """
        layer, token = int(self._readers.layer[reader]), int(self._readers.token[reader])
        scoring, inputs = self._removal.model.scoring[layer], self._acts.inputs[layer]
        gain = scoring.gain("qk"[side])
        assert gain is not None
        squares, size = vectors.square().sum(-1, keepdim=True), len(own)
        if scoring.norm_over_heads:
            size *= self._removal.w[side].shape[1]
            n = inputs.side(side)[1][token, self._readers.head[reader]] / inputs.norm_scale[token]
            squares += (n.square() - scoring.norm_eps) * size - own.square().sum()
        n_new = (squares / size + scoring.norm_eps).sqrt()
        return vectors.mul_(gain[own_head % len(gain)]).div_(n_new)

    def _attend(
        self,
        readers: slice,
        rows: Float[Tensor, "reader src writer"],
        score: Float[Tensor, "reader src"],
        layer: Int[Tensor, " reader"],
    ) -> None:
        """Write the weights of step 5 for queries, and the logits of their pairs.

        rows: new scores, capped. score: the unchanged ones, capped.
        """
        n = rows.shape[1]
        distance = torch.arange(n - 1, -1, -1, device=rows.device)
        hidden = distance >= self._removal.window[layer, None]  # [reader, src]
        if n > self._removal.shortest_window:
            rows = rows.masked_fill(hidden[..., None], -torch.inf)
            score = score.masked_fill(hidden, -torch.inf)
        rows.sub_(rows.amax(1, keepdim=True)).exp_()
        pair, n_pairs = self._pair[self._entries.of(readers)], self._entries.counts(readers)
        reader, src = self._tensor(np.repeat(np.arange(len(n_pairs)), n_pairs)), self._src[pair]
        self._results[pair, 0] = rows[reader, src] / rows.sum(1)[reader]
        score, src = score[reader], src[:, None]
        others = score.scatter(1, src, -torch.inf).logsumexp(1)
        self._logit[pair] = score.gather(1, src)[:, 0] - others

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        return torch.as_tensor(values, device=self._removal.basis.w.device)


def _spans(key: Integers) -> Iterator[tuple[int, slice]]:
    """Yield every value of `key`, whose equal values are consecutive, with its span."""
    first = np.flatnonzero(np.diff(key, prepend=-1))
    for start, stop in pairwise([*first.tolist(), len(key)]):
        yield int(key[start]), slice(start, stop)
