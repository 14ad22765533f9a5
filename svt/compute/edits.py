"""What interventions change: edges at pairs, the slices that span each change, random controls.

1. An edit is one edge at one pair of its downstream head: the output of the upstream head at one
   token of the pair is changed, globally or in the input of the downstream head alone.
2. A changed run is one forward pass of one prompt with one edit, or with those of a set of edges.
3. A run begins at its first changed token and its lowest changed layer, that of the upstream heads
   when global, else of the downstream ones. Runs that begin at the same layer and compute about as
   many tokens form a batch, in which all runs compute the largest number of tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import NDArray

from svt.compute.pairs import Integers, select, uniform_hash
from svt.words import Scope

BATCH_CELLS = 2**26  # maximum of a batch's attention scores in one layer
PADDING = 0.1  # maximum share of padding in a batch, besides
FREE_PADDING = 32  # tokens, which cost less than another batch


@dataclass(frozen=True)
class Edits:
    """The edits of all runs, sorted by `run`."""

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
        """Return the position that is changed."""
        return np.where(self.side == 0, self.dest, self.src)

    def changed_layer(self, scope: Scope) -> Int[np.ndarray, " edit"]:
        """Return the layer that is changed: upstream for the scope global, else downstream."""
        return self.up_layer if scope == "global" else self.layer


@dataclass(frozen=True)
class EditMode:
    """One way to change all edits: strength * h is added (projection.py)."""

    scope: Scope
    strength: float  # negative ablates, positive boosts
    slices: Bool[np.ndarray, "edit slice"]  # an edit without slices changes nothing


@dataclass(frozen=True)
class Batch:
    """Runs that begin at the same layer, and their edits sorted by the layer they change."""

    layer: int
    run: Int[np.ndarray, " run"]
    prompt: Int[np.ndarray, " run"]
    first: Int[np.ndarray, " run"]  # first changed position
    index: Int[np.ndarray, " edit"]  # place among all edits
    edits: Edits  # [edit], sorted by changed layer, downstream head and side
    changed_layer: Int[np.ndarray, " edit"]
    row: Int[np.ndarray, " edit"]  # which of the runs above

    def at(self, layer: int) -> slice:
        """Return the span of the edits that change a layer."""
        return slice(*np.searchsorted(self.changed_layer, (layer, layer + 1)).tolist())


def draw_random_slices(
    in_signal: Bool[np.ndarray, "entry slice"], pair_id: Int[np.ndarray, " entry"], seed: int
) -> Bool[np.ndarray, "entry slice"]:
    """Return as many random slices outside the signal as it has, or all if there are fewer.

    A draw depends on seed, pair and slice alone.
    """
    n_slices = in_signal.shape[1]
    drawn = uniform_hash(pair_id[:, None] * n_slices + np.arange(n_slices), seed)
    rank = np.where(in_signal, np.inf, drawn).argsort(axis=1, kind="stable").argsort(axis=1)
    size = in_signal.sum(axis=1, keepdims=True)
    chosen: NDArray[np.bool_] = (rank < size) & ~in_signal
    return chosen


def split_into_batches(
    edits: Edits, scope: Scope, lengths: Int[np.ndarray, " prompt"], n_heads: int, batch_size: int
) -> Iterator[Batch]:
    """Yield the batches of step 3, of at most `batch_size` runs."""
    if not len(edits):
        return
    run, begin, of_edit = np.unique(edits.run, return_index=True, return_inverse=True)
    changed = edits.changed_layer(scope)
    prompt = edits.prompt[begin]
    layer, first = (np.minimum.reduceat(values, begin) for values in (changed, edits.token))
    length = lengths[prompt]
    by_shape = np.lexsort((run, length, length - first, layer))
    in_order = np.lexsort((edits.side, edits.head, edits.layer, changed))
    for rows in _split(by_shape, layer, length - first, length, n_heads, batch_size):
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
            changed_layer=changed[index],
            row=row[of_edit[index]],
        )


def _split(
    order: Integers,
    layer: Integers,
    width: Integers,
    length: Integers,
    n_heads: int,
    batch_size: int,
) -> Iterator[Integers]:
    """Yield `order` in pieces of one layer and bounded size; all arrays are [run]."""
    start = 0
    while start < len(order):
        same = order[start : start + batch_size]
        same = same[layer[same] == layer[same[0]]]
        longest = np.maximum.accumulate(length[same])  # `width` ascends already
        computed, needed = np.arange(1, len(same) + 1) * width[same], np.cumsum(width[same])
        small = computed * n_heads * longest <= BATCH_CELLS
        small &= computed - needed <= PADDING * needed + FREE_PADDING
        piece = same[: max(1, int(small.cumprod().sum()))]
        yield piece
        start += len(piece)
