"""The heads that read a token on a side, for the weights without a writer (removal.py, step 1).

A query's partners are the keys of its row, a key's are the queries of its pairs.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from svt.compute.pairs import Integers, Pairs


@dataclass(frozen=True)
class Readers:
    """Heads that read a token on a side, sorted by the token's place, side, layer and head."""

    place: Int[np.ndarray, " reader"]  # of the token in the order of processing
    token: Int[np.ndarray, " reader"]
    side: Int[np.ndarray, " reader"]
    layer: Int[np.ndarray, " reader"]
    head: Int[np.ndarray, " reader"]
    start: Int[np.ndarray, " reader"]  # first token of the prompt
    n_partners: Int[np.ndarray, " reader"]


class Entries(NamedTuple):
    """The (pair, side)s by reader."""

    bounds: Int[np.ndarray, " reader_1"]  # of a reader's entries
    pair: Int[np.ndarray, " entry"]
    dest: Int[np.ndarray, " entry"]  # token

    def of(self, readers: slice) -> slice:
        """Return the span of the entries of these readers."""
        return slice(*self.bounds[[readers.start, readers.stop]].tolist())

    def counts(self, readers: slice) -> Integers:
        """Return the number of entries of each of these readers."""
        return np.diff(self.bounds[readers.start : readers.stop + 1])


def list_readers(
    pairs: Pairs,
    token: Int[np.ndarray, "pair side"],
    tokens: Int[np.ndarray, " place"],
    has_writers: Bool[np.ndarray, " layer"],
    n_heads: int,
) -> tuple[Readers, Entries]:
    """Return the readers of the tokens and their entries, of the layers with writers below.

    tokens: distinct ones, in the order of processing.
    """
    n_layers = len(has_writers)
    place = np.zeros(tokens.max(initial=0) + 1, np.int64)
    place[tokens] = np.arange(len(tokens))
    chosen = np.flatnonzero(has_writers[pairs.layer])
    key = (place[token[chosen]] * 2 + np.arange(2)) * n_layers + pairs.layer[chosen, None]
    key = (key * n_heads + pairs.head[chosen, None]).ravel()
    by_key = np.argsort(key, kind="stable")
    distinct, first = np.unique(key[by_key], return_index=True)
    bounds = np.append(first, len(key))
    pair = chosen[by_key // 2]
    rest, head = np.divmod(distinct, n_heads)
    rest, layer = np.divmod(rest, n_layers)
    at, side = np.divmod(rest, 2)
    dest, reader_token = token[pair, 0], tokens[at]
    start = (token[:, 0] - pairs.dest)[pair[first]]
    n_partners = np.where(side == 0, reader_token - start + 1, np.diff(bounds))
    readers = Readers(at, reader_token, side, layer, head, start, n_partners)
    return readers, Entries(bounds, pair, dest)
