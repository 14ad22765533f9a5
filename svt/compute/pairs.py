"""The attention pairs that are stored.

1. Candidates are all pairs of real tokens with src <= dest, the first token included, within the
   sliding window of the layer.
2. A pair is stored when it is eligible (score >= 0, src > 0) and its weight reaches
   dump.min_weight. With dump.pairs=all, or dump.min_weight=0, it need not be eligible.
3. Other pairs are stored when their hash is below dump.sample. The hash is splitmix64 of pair_id
   and dump.seed, so that neither batches nor shards change the choice.
4. pair_id numbers (prompt, layer, head, dest, src) in lexicographic order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int
from numpy.typing import NDArray
from torch import Tensor

from svt.compute.forward import Layout
from svt.compute.model import Model
from svt.config import DumpConfig
from svt.dataset.prompt import Prompt
from svt.errors import DataError

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Stored pairs, one entry each, sorted by pair_id."""

    pair_id: Int[np.ndarray, " pair"]
    row: Int[np.ndarray, " pair"]  # index of the prompt in its batch
    layer: Int[np.ndarray, " pair"]
    head: Int[np.ndarray, " pair"]
    dest: Int[np.ndarray, " pair"]
    src: Int[np.ndarray, " pair"]
    weight: Float32[np.ndarray, " pair"]
    score: Float32[np.ndarray, " pair"]
    eligible: Bool[np.ndarray, " pair"]
    sampled: Bool[np.ndarray, " pair"]

    def __len__(self) -> int:
        return len(self.pair_id)


T = TypeVar("T")


def select(table: T, index: NDArray[np.generic] | slice) -> T:
    """Return a dataclass of arrays with each array indexed by `index`."""
    columns = (getattr(table, field.name)[index] for field in fields(table))  # type: ignore[arg-type]
    return type(table)(*columns)


def select_prompt_pairs(pairs: Pairs, mask: Bool[np.ndarray, " prompt"]) -> Pairs:
    """Return the pairs of the prompts where `mask` is true, with `row` counted among these."""
    new_row = np.cumsum(mask) - 1
    selected = select(pairs, mask[pairs.row])
    return replace(selected, row=new_row[selected.row])


def group_by(key: Int[np.ndarray, " entry"]) -> Iterator[tuple[int, Integers]]:
    """Yield every distinct key with the indices of its entries."""
    order = np.argsort(key, kind="stable")
    distinct, first = np.unique(key[order], return_index=True)
    for value, (start, stop) in zip(distinct, pairwise([*first, len(key)]), strict=True):
        yield int(value), order[start:stop]


def check_pair_ids(model: Model, prompts: Sequence[Prompt]) -> None:
    """Raise DataError if the pairs of a prompt cannot be numbered in 64 bits (step 4)."""
    last = max(prompt.prompt_id for prompt in prompts)
    if (last + 1) * model.n_layers * model.n_heads * model.n_ctx**2 >= 2**63:
        raise DataError(
            f"prompt_id {last}: with {model.n_layers} layers, {model.n_heads} heads and a context "
            f"of {model.n_ctx} tokens its pairs cannot be numbered in 64 bits; number the prompts "
            "from 0, or dump fewer at a time"
        )


class PairCollector:
    """The pairs to store of a batch, collected by calls from the layers of a forward pass."""

    def __init__(self, model: Model, batch: Layout, dump: DumpConfig) -> None:
        self._model, self._dump = model, dump
        self._prompt_ids, self._width = batch.prompt_ids, batch.tokens.shape[1]
        position = np.arange(batch.tokens.shape[1])
        real = position < batch.lengths[:, None, None]  # [prompt, 1, dest]
        distance = position[:, None] - position  # [dest, src]
        windows = {scoring.window or len(position) for scoring in model.scoring}
        self._candidates = {
            window: real[..., None] & (distance >= 0) & (distance < window) for window in windows
        }  # 1
        self._on_device = {
            window: torch.as_tensor(candidates, device=model.device)
            for window, candidates in self._candidates.items()
        }
        self._layers: list[Pairs] = []

    def __call__(
        self,
        layer: int,
        weights: Float[Tensor, "prompt head dest src"],
        scores: Float[Tensor, "prompt head dest src"],
    ) -> None:
        """Collect the pairs of one layer (steps 2 and 3)."""
        window = self._model.scoring[layer].window or self._width
        strong = self._on_device[window] & (weights.double() >= self._dump.min_weight)  # 2
        if self._dump.pairs == "eligible" and self._dump.min_weight > 0:
            strong[..., 0] = False
            strong &= scores.float() >= 0
        index = strong.nonzero().T
        n_strong = index.shape[1]
        if self._dump.sample > 0:  # 3
            drawn = torch.as_tensor(self._draw(layer), device=index.device)
            index = torch.cat([index, drawn[:, ~strong[tuple(drawn)]]], dim=1)
        weight, score = (_to_numpy(part[tuple(index)].float()) for part in (weights, scores))
        row, head, dest, src = columns = _to_numpy(index)
        self._layers.append(
            Pairs(
                pair_id=self._number(layer, columns),
                row=row,
                layer=np.full(len(row), layer, np.int64),
                head=head,
                dest=dest,
                src=src,
                weight=weight,
                score=score,
                eligible=(score >= 0) & (src > 0),
                sampled=np.arange(len(row)) >= n_strong,
            )
        )

    def _draw(self, layer: int) -> Int[np.ndarray, "4 pair"]:
        """Return row, head, dest and src of a layer's candidates whose hash is low enough."""
        drawn = []
        window = self._model.scoring[layer].window or self._width
        row, _, dest, src = self._candidates[window].nonzero()
        for head in range(self._model.n_heads):
            index = np.stack([row, np.full_like(row, head), dest, src])
            low = uniform_hash(self._number(layer, index), self._dump.seed) < self._dump.sample
            drawn.append(index[:, low])
        return np.concatenate(drawn, axis=1)

    def pairs(self) -> Pairs:
        """Return all collected pairs, sorted by pair_id."""
        columns = [
            np.concatenate([getattr(pairs, field.name) for pairs in self._layers])
            for field in fields(Pairs)
        ]
        return select(Pairs(*columns), np.argsort(columns[0]))

    def _number(self, layer: int, index: Int[np.ndarray, "4 pair"]) -> Int[np.ndarray, " pair"]:
        """Return pair_id of row, head, dest and src in a layer (step 4)."""
        row, head, dest, src = index
        model = self._model
        ids = (self._prompt_ids[row] * model.n_layers + layer) * model.n_heads + head
        pair_id: Integers = (ids * model.n_ctx + dest) * model.n_ctx + src
        return pair_id


def uniform_hash(pair_id: Int[np.ndarray, "*at"], seed: int) -> Float64[np.ndarray, "*at"]:
    """Return a number in [0, 1) for every pair that depends on pair_id and seed alone."""
    start = _splitmix64(np.array([seed], np.uint64))
    return _splitmix64(pair_id.astype(np.uint64) ^ start) / 2.0**64


def _splitmix64(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _to_numpy(value: Tensor) -> NDArray[Any]:
    return value.cpu().numpy()
