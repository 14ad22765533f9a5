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
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from numpy.typing import NDArray
from torch import Tensor

from svt.compute.alike import TokenClasses, classify_tokens
from svt.compute.answers import AnswerLogits
from svt.compute.model import Model
from svt.compute.runner import Runner
from svt.config import Head
from svt.dataset.prompt import Prompt
from svt.words import Replacement


class Ablation:
    """A model, prompts that all have an answer and a distractor, and what stands in for their z.

    `full`: logit(answer) - logit(distractor) of the undisturbed run, [prompt].
    """

    def __init__(
        self, model: Model, prompts: Sequence[Prompt], kind: Replacement, seed: int, batch_size: int
    ) -> None:
        """`seed` draws whose z is taken when resampling."""
        by_length = sorted(range(len(prompts)), key=lambda i: (len(prompts[i].tokens), i))
        self._rows = [by_length[i : i + batch_size] for i in range(0, len(prompts), batch_size)]
        with torch.inference_mode():
            self._batches = [_Batch(model, [prompts[i] for i in part]) for part in self._rows]
            lengths = np.concatenate([batch.runner.layout.lengths for batch in self._batches])
            like = classify_tokens([prompts[i] for i in by_length], lengths)
            others = like.others(np.repeat(np.arange(len(prompts)), lengths), seed)
            sizes = [len(batch.stand_in[0]) for batch in self._batches]
            for layer in range(model.n_layers):  # so that z of all layers is there only once
                z = torch.cat([batch.stand_in[layer] for batch in self._batches])
                found = _stand_in(z.to(model.work_dtype), like, others, kind).to(z.dtype)  # 1
                for batch, mine in zip(self._batches, found.split(sizes), strict=True):
                    batch.stand_in[layer] = mine
        (self.full,) = self.logit_diffs([()])

    def logit_diffs(
        self, sets: Sequence[Collection[Head]], done: Callable[[int], None] = lambda _: None
    ) -> Float64[np.ndarray, "set prompt"]:
        """logit(answer) - logit(distractor) with the heads of each set ablated, [set, prompt].

        `done` is told of finished runs, so many at a time; a run is one set on one prompt.
        """
        diffs = np.empty((len(sets), sum(map(len, self._rows))))
        with torch.inference_mode():
            for rows, batch in zip(self._rows, self._batches, strict=True):
                start = batch.runner.residual(0, batch.window)
                for numbers, resid in _ablated(batch, 0, start, sets, range(len(sets))):
                    diffs[np.ix_(numbers, rows)] = batch.logit_diff(resid)
                    done(len(numbers) * len(rows))
        return diffs


class _Batch:
    """Prompts after their undisturbed run, padded; `stand_in` takes the place of their z.

    `stand_in`: of each layer [token, head, r], at first z itself.
    """

    def __init__(self, model: Model, prompts: Sequence[Prompt]) -> None:
        longest = max(len(prompt.tokens) for prompt in prompts)
        self.runner = Runner(model, prompts, middle=False, batch_tokens=longest * len(prompts))
        lengths = self.runner.layout.lengths
        self.window = self.runner.window(np.arange(len(prompts)), int(lengths.max()))
        self.stand_in = self.runner.z
        self._asked = AnswerLogits(model, prompts)

    def through(self, layer: int, resid: Tensor, heads: tuple[int, ...]) -> Tensor:
        """Return the residual behind a layer, of that before it, with the z of `heads` replaced."""
        hooks = {"attn.hook_z": partial(self._replace, layer, list(heads))} if heads else {}
        return self.runner.through(layer, resid, self.window, hooks)

    def _replace(
        self, layer: int, heads: list[int], z: Float[Tensor, "run place head r"]
    ) -> Float[Tensor, "run place head r"]:
        changed = z.clone()
        changed[:, :, heads] = self.stand_in[layer][:, heads][self.window.token]
        return changed

    def logit_diff(self, resid: Tensor) -> NDArray[np.float64]:
        """Return logit(answer) - logit(distractor), of the residual behind the last layer."""
        difference = self._asked.difference(self.runner.final(resid))
        return np.asarray(difference.cpu().numpy(), np.float64)


def _ablated(
    batch: _Batch,
    layer: int,
    resid: Tensor,
    sets: Sequence[Collection[Head]],
    numbers: Sequence[int],
) -> Iterator[tuple[Sequence[int], Tensor]]:
    """Step 2: from `layer` on, the residuals behind the last layer with the sets that have them."""
    if layer == len(batch.stand_in):
        yield numbers, resid
        return
    parting: dict[tuple[int, ...], list[int]] = {}
    for number in numbers:
        heads = tuple(sorted(head for at, head in sets[number] if at == layer))
        parting.setdefault(heads, []).append(number)
    for heads, same in parting.items():
        behind = batch.through(layer, resid, heads)
        yield from _ablated(batch, layer + 1, behind, sets, same)


def _stand_in(
    z: Float[Tensor, "token head r"],
    like: TokenClasses,
    others: Int[np.ndarray, " token"],
    kind: Replacement,
) -> Float[Tensor, "token head r"]:
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
