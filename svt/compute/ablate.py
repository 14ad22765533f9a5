"""What a model answers when whole heads are ablated: their z replaced at every token.

1. The undisturbed run of all prompts gives the logit differences to compare with, and what stands
   in for z at each token:
   mean      the mean of z over the other tokens that are alike (alike.py)
   resample  z of one of them, of another prompt
   zero      0
   so nothing that the prompt itself says is left. What biases alone make a head write is folded
   into the layer's output bias, so it is no part of z and stays.
2. Sets of heads that ablate the same in the lower layers share the run of these layers, and part
   at the first layer in which they differ.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svt.compute.alike import Alike, alike
from svt.compute.model import Model
from svt.compute.pairs import Integers
from svt.compute.resume import Resumable
from svt.config import Head
from svt.dataset.prompt import Prompt

Kind = Literal["mean", "zero", "resample"]


class Ablation:
    """A model, prompts that all have an answer and a distractor, and what stands in for their z.

    `full`: logit(answer) - logit(distractor) of the undisturbed run, [prompt].
    """

    def __init__(
        self, model: Model, prompts: Sequence[Prompt], kind: Kind, seed: int, batch_size: int
    ) -> None:
        """`seed` draws whose z is taken when resampling."""
        by_length = sorted(range(len(prompts)), key=lambda i: (len(prompts[i].tokens), i))
        self._rows = [by_length[i : i + batch_size] for i in range(0, len(prompts), batch_size)]
        with torch.inference_mode():
            self._batches = [Resumable(model, [prompts[i] for i in part]) for part in self._rows]
            lengths = np.concatenate([batch.lengths for batch in self._batches])
            like = alike([prompts[i] for i in by_length], lengths)
            others = like.others(np.repeat(np.arange(len(prompts)), lengths), seed)
            sizes = [int(batch.lengths.sum()) for batch in self._batches]
            for layer in range(model.n_layers):  # so that z of all layers is there only once
                kept = [batch.stand_in[:, :, layer] for batch in self._batches]
                z = torch.cat(
                    [part[batch.real] for part, batch in zip(kept, self._batches, strict=True)]
                )
                found = _stand_in(z.to(model.work_dtype), like, others, kind).to(z.dtype)  # 1
                for part, batch, mine in zip(kept, self._batches, found.split(sizes), strict=True):
                    part[batch.real] = mine
        (self.full,) = self.logit_diffs([()])

    def logit_diffs(
        self, sets: Sequence[Collection[Head]], done: Callable[[int], None] = lambda _: None
    ) -> NDArray[np.float64]:
        """logit(answer) - logit(distractor) with the heads of each set ablated, [set, prompt].

        `done` is told of finished runs, so many at a time; a run is one set on one prompt.
        """
        diffs = np.empty((len(sets), sum(map(len, self._rows))))
        with torch.inference_mode():
            for rows, batch in zip(self._rows, self._batches, strict=True):
                for numbers, resid in _ablated(batch, 0, batch.start, sets, range(len(sets))):
                    diffs[np.ix_(numbers, rows)] = batch.logit_diff(resid)
                    done(len(numbers) * len(rows))
        return diffs


def _ablated(
    batch: Resumable,
    layer: int,
    resid: Tensor,
    sets: Sequence[Collection[Head]],
    numbers: Sequence[int],
) -> Iterator[tuple[Sequence[int], Tensor]]:
    """Step 2: from `layer` on, the residuals behind the last layer with the sets that have them."""
    if layer == batch.n_layers:
        yield numbers, resid
        return
    parting: dict[tuple[int, ...], list[int]] = {}
    for number in numbers:
        heads = tuple(sorted(head for at, head in sets[number] if at == layer))
        parting.setdefault(heads, []).append(number)
    for heads, same in parting.items():
        behind = batch.again(layer, resid, heads)
        yield from _ablated(batch, layer + 1, behind, sets, same)


def _stand_in(z: Tensor, like: Alike, others: Integers, kind: Kind) -> Tensor:
    """Step 1 for one layer, z: [token, head, r], prompt by prompt; others: [token]."""
    if kind == "zero":
        return torch.zeros_like(z)
    if kind == "resample":
        return z[torch.as_tensor(others, device=z.device)]
    sums = z.new_zeros(like.n_classes, *z.shape[1:])
    for classes in torch.as_tensor(like.steps, device=z.device):
        sums.index_add_(0, classes, z)
    n_others = np.bincount(like.steps.ravel(), minlength=like.n_classes)[like.chosen] - 1
    divisor = torch.as_tensor(n_others, device=z.device).clamp_min(1)[:, None, None]
    return (sums[torch.as_tensor(like.chosen, device=z.device)] - z) / divisor
