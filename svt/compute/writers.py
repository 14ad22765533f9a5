"""The writers into the residual stream, in the order in which contributions are stored."""

from dataclasses import dataclass
from math import prod
from threading import local

import numpy as np
from jaxtyping import Int, UInt8
from torch import Tensor

from svt.compute.columns import HEAD
from svt.compute.model import Model
from svt.compute.pairs import Integers
from svt.words import COMPONENTS


@dataclass(frozen=True)
class Writers:
    """The heads, MLPs, biases and embeddings that write; heads first, by layer."""

    component: UInt8[np.ndarray, " writer"]  # code
    layer: Int[np.ndarray, " writer"]  # -1: embeddings
    head: Int[np.ndarray, " writer"]  # -1: other than heads

    def __len__(self) -> int:
        return len(self.component)

    def below(self, layer: int) -> tuple[int, Integers]:
        """Return the number of heads below a layer, and the indices of the other writers below."""
        below, head = self.layer < layer, self.component == HEAD
        return int((below & head).sum()), np.flatnonzero(below & ~head)

    def spans_below(self, layer: int) -> list[slice]:
        """Return the index ranges of heads below a layer and of all other writers, none empty."""
        n_heads = int((self.component == HEAD).sum())
        spans = [slice(0, self.below(layer)[0]), slice(n_heads, len(self))]
        return [span for span in spans if span.start < span.stop]


def list_writers(model: Model, components: tuple[str, ...]) -> Writers:
    """Return the writers of these components that the model has, by component, layer and head."""
    rows: list[tuple[int, int, int]] = []
    for code, name in enumerate(COMPONENTS):
        if name not in components or name not in model.components:
            continue
        layers = [-1] if name in ("embed", "pos_embed") else list(range(model.n_layers))
        heads = list(range(model.n_heads)) if name == "head" else [-1]
        rows += [(code, layer, head) for layer in layers for head in heads]
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Writers(table[:, 0].astype(np.uint8), table[:, 1], table[:, 2])


class ScratchBuffer(local):
    """Memory of a thread, reused for temporary arrays, since to allocate them is slow."""

    def __init__(self, like: Tensor) -> None:
        """Take dtype and device from `like`."""
        self._memory = like.new_empty(0)

    def __call__(self, *shape: int) -> Tensor:
        """Return an uninitialised array of this shape, valid until the thread's next call."""
        size = prod(shape)
        if self._memory.numel() < size:
            self._memory = self._memory.new_empty(0)
            self._memory = self._memory.new_empty(size)
        return self._memory[:size].view(shape)
