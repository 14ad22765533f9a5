"""What interventions change: edges at pairs, the slices that span each change, random controls.

1. An edit is one edge at one pair of its downstream head: what the upstream head writes at one
   token of the pair is changed, globally or as the downstream head reads it.
2. A changed run is one forward pass of one prompt with one edit or, for a set of edges, several.
3. It begins to change at the first of its tokens and the lowest of its layers: of the upstream
   heads when global, else of the downstream ones. Runs that begin at the same layer and compute
   about as many tokens make a batch; all of it compute as many as the one with the most.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import NDArray

from svt.compute.pairs import Integers, select, uniform_hash
from svt.words import Scope

BATCH_CELLS = 2**26  # attention scores of one layer that a batch may have
PADDING = 0.1  # tokens that a batch computes in vain, as a share of the others,
FREE_PADDING = 32  # beyond these, which cost less than a batch of their own


@dataclass(frozen=True)
class Edits:
    """One entry an edit, sorted by `run`."""

    run: Int[np.ndarray, " edit"]  # the changed run that the edit belongs to, from 0
    prompt: Int[np.ndarray, " edit"]  # index among the Runner's, the same for all edits of a run
    pair_id: Int[np.ndarray, " edit"]
    layer: Int[np.ndarray, " edit"]  # downstream head
    head: Int[np.ndarray, " edit"]
    dest: Int[np.ndarray, " edit"]  # positions of the pair
    src: Int[np.ndarray, " edit"]
    side: Int[np.ndarray, " edit"]  # 0: written into dest, 1: into src
    up_layer: Int[np.ndarray, " edit"]  # upstream head
    up_head: Int[np.ndarray, " edit"]

    def __len__(self) -> int:
        return len(self.run)

    @property
    def token(self) -> Int[np.ndarray, " edit"]:
        """The position that is changed."""
        return np.where(self.side == 0, self.dest, self.src)

    def enters(self, scope: Scope) -> Int[np.ndarray, " edit"]:
        """The layer that is changed."""
        return self.up_layer if scope == "global" else self.layer


@dataclass(frozen=True)
class EditMode:
    """One way to change all edits: h is what the upstream head writes, projected on the slices."""

    scope: Scope
    strength: float  # what is added is strength * h: negative ablates, positive boosts
    slices: Bool[np.ndarray, "edit slice"]  # an edit without any changes nothing


@dataclass(frozen=True)
class Batch:
    """Runs that begin at the same layer, and their edits sorted by the layer they change."""

    layer: int
    run: Int[np.ndarray, " run"]
    prompt: Int[np.ndarray, " run"]
    first: Int[np.ndarray, " run"]  # first changed position
    index: Int[np.ndarray, " edit"]  # place among all edits
    edits: Edits  # [edit], sorted by changed layer, downstream head and side
    enters: Int[np.ndarray, " edit"]  # the changed layer
    row: Int[np.ndarray, " edit"]  # which of the runs above

    def at(self, layer: int) -> slice:
        """The edits that change a layer."""
        return slice(*np.searchsorted(self.enters, (layer, layer + 1)).tolist())


def random_slices(
    in_signal: Bool[np.ndarray, "entry slice"], pair_id: Int[np.ndarray, " entry"], seed: int
) -> Bool[np.ndarray, "entry slice"]:
    """As many slices as the signal has, drawn outside of it; all of these where they are fewer.

    A draw hangs on seed, pair and slice alone.
    """
    n_slices = in_signal.shape[1]
    drawn = uniform_hash(pair_id[:, None] * n_slices + np.arange(n_slices), seed)
    rank = np.where(in_signal, np.inf, drawn).argsort(axis=1, kind="stable").argsort(axis=1)
    size = in_signal.sum(axis=1, keepdims=True)
    chosen: NDArray[np.bool_] = (rank < size) & ~in_signal
    return chosen


def batches(
    edits: Edits, scope: Scope, lengths: Int[np.ndarray, " prompt"], n_heads: int, batch_size: int
) -> Iterator[Batch]:
    """Return the batches of step 3."""
    if not len(edits):
        return
    run, begin, of_edit = np.unique(edits.run, return_index=True, return_inverse=True)
    enters = edits.enters(scope)
    prompt = edits.prompt[begin]
    layer, first = (np.minimum.reduceat(values, begin) for values in (enters, edits.token))
    length = lengths[prompt]
    by_shape = np.lexsort((run, length, length - first, layer))
    in_order = np.lexsort((edits.side, edits.head, edits.layer, enters))
    for rows in _cut(by_shape, layer, length - first, length, n_heads, batch_size):
        row = np.full(len(run), -1)
        row[rows] = np.arange(len(rows))
        index = in_order[row[of_edit[in_order]] >= 0]
        yield Batch(
            layer=int(layer[rows[0]]),
            run=run[rows],
            prompt=prompt[rows],
            first=first[rows],
            index=index,
            edits=select(edits, index),
            enters=enters[index],
            row=row[of_edit[index]],
        )


def _cut(
    order: Integers,
    layer: Integers,
    width: Integers,
    length: Integers,
    n_heads: int,
    batch_size: int,
) -> Iterator[Integers]:
    """`order` in pieces of one layer and bounded size; all arrays: [run]."""
    start = 0
    while start < len(order):
        same = order[start : start + batch_size]
        same = same[layer[same] == layer[same[0]]]
        longest = np.maximum.accumulate(length[same])  # the widest comes last
        computed, needed = np.arange(1, len(same) + 1) * width[same], np.cumsum(width[same])
        small = computed * n_heads * longest <= BATCH_CELLS
        small &= computed - needed <= PADDING * needed + FREE_PADDING
        piece = same[: max(1, int(small.cumprod().sum()))]
        yield piece
        start += len(piece)
