"""Logit differences with whole heads ablated: their z is replaced at every token.

1. A clean run of all prompts gives the logit differences to compare with, and the replacement of z
   at each token:
   mean      the mean of z over the other tokens of its class (token_classes.py)
   resample  z of one of them, of another prompt
   zero      0
   No replacement depends on the prompt's own z. The part of a head's output that comes from its
   value bias is folded into the layer's output bias; it is not in z and stays.
2. Sets of heads with the same heads in the lower layers share the runs of these layers, up to the
   first layer in which they differ.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from numpy.typing import NDArray
from torch import Tensor

from svt.compute.answers import AnswerLogits
from svt.compute.model import Model
from svt.compute.runner import Runner
from svt.compute.token_classes import TokenClasses, classify_tokens
from svt.config import Head
from svt.dataset.prompt import Prompt
from svt.words import Replacement


class Ablation:
    """A model, prompts that all have an answer and a distractor, and the replacements of their z.

    full: logit(answer) - logit(distractor) of the clean run, [prompt].
    """

    def __init__(
        self, model: Model, prompts: Sequence[Prompt], kind: Replacement, seed: int, batch_size: int
    ) -> None:
        """Run the prompts and compute the replacements; `seed` draws those of `resample`."""
        by_length = sorted(range(len(prompts)), key=lambda i: (len(prompts[i].tokens), i))
        self._rows = [by_length[i : i + batch_size] for i in range(0, len(prompts), batch_size)]
        with torch.inference_mode():
            self._batches = [_Batch(model, [prompts[i] for i in part]) for part in self._rows]
            lengths = np.concatenate([batch.runner.layout.lengths for batch in self._batches])
            classes = classify_tokens([prompts[i] for i in by_length], lengths)
            others = classes.draw_others(np.repeat(np.arange(len(prompts)), lengths), seed)
            sizes = [len(batch.z[0]) for batch in self._batches]
            for layer in range(model.n_layers):  # one by one, to hold z of all layers only once
                z = torch.cat([batch.z[layer] for batch in self._batches])
                replaced = _replace_z(z.to(model.work_dtype), classes, others, kind).to(z.dtype)
                for batch, part in zip(self._batches, replaced.split(sizes), strict=True):
                    batch.z[layer] = part
        (self.full,) = self.logit_diffs([()])

    def logit_diffs(
        self, sets: Sequence[Collection[Head]], done: Callable[[int], None] = lambda _: None
    ) -> Float64[np.ndarray, "set prompt"]:
        """Return logit(answer) - logit(distractor) with the heads of each set ablated.

        done: called with numbers of finished runs; a run is one set on one prompt.
        """
        diffs = np.empty((len(sets), sum(map(len, self._rows))))
        with torch.inference_mode():
            for rows, batch in zip(self._rows, self._batches, strict=True):
                start = batch.runner.residual(0, batch.window)
                for numbers, resid in _run_sets(batch, 0, start, sets, range(len(sets))):
                    diffs[np.ix_(numbers, rows)] = batch.logit_diff(resid)
                    done(len(numbers) * len(rows))
        return diffs


class _Batch:
    """Prompts after their clean run, padded.

    z: of each layer, [token, head, r]; first the clean z, then its replacement.
    """

    def __init__(self, model: Model, prompts: Sequence[Prompt]) -> None:
        longest = max(len(prompt.tokens) for prompt in prompts)
        self.runner = Runner(model, prompts, middle=False, batch_tokens=longest * len(prompts))
        lengths = self.runner.layout.lengths
        self.window = self.runner.window(np.arange(len(prompts)), int(lengths.max()))
        self.z = self.runner.z
        self._logits = AnswerLogits(model, prompts)

    def run_layer(self, layer: int, resid: Tensor, heads: tuple[int, ...]) -> Tensor:
        """Return the residual after a layer with the z of `heads` replaced."""
        hooks = {"attn.hook_z": partial(self._replace, layer, list(heads))} if heads else {}
        return self.runner.run_layer(layer, resid, self.window, hooks)

    def _replace(
        self, layer: int, heads: list[int], z: Float[Tensor, "run place head r"]
    ) -> Float[Tensor, "run place head r"]:
        changed = z.clone()
        changed[:, :, heads] = self.z[layer][:, heads][self.window.token]
        return changed

    def logit_diff(self, resid: Tensor) -> NDArray[np.float64]:
        """Return logit(answer) - logit(distractor) of the residual after the last layer."""
        difference = self._logits.difference(self.runner.normalise_end(resid))
        return np.asarray(difference.cpu().numpy(), np.float64)


def _run_sets(
    batch: _Batch,
    layer: int,
    resid: Tensor,
    sets: Sequence[Collection[Head]],
    numbers: Sequence[int],
) -> Iterator[tuple[Sequence[int], Tensor]]:
    """Yield sets, by their numbers, with their residual after the last layer (step 2).

    resid: before `layer`, the same for all of `numbers`.
    """
    if layer == len(batch.z):
        yield numbers, resid
        return
    by_heads: dict[tuple[int, ...], list[int]] = {}
    for number in numbers:
        heads = tuple(sorted(head for at, head in sets[number] if at == layer))
        by_heads.setdefault(heads, []).append(number)
    for heads, same in by_heads.items():
        after = batch.run_layer(layer, resid, heads)
        yield from _run_sets(batch, layer + 1, after, sets, same)


def _replace_z(
    z: Float[Tensor, "token head r"],
    classes: TokenClasses,
    others: Int[np.ndarray, " token"],
    kind: Replacement,
) -> Float[Tensor, "token head r"]:
    """Return the replacement of z in one layer (step 1); others: from TokenClasses.draw_others."""
    if kind == "zero":
        return torch.zeros_like(z)
    if kind == "resample":
        return z[torch.as_tensor(others, device=z.device)]
    sums = z.new_zeros(classes.n_classes, *z.shape[1:])
    for step in torch.as_tensor(classes.steps, device=z.device):
        sums.index_add_(0, step, z)
    sizes = np.bincount(classes.steps.ravel(), minlength=classes.n_classes)
    n_others = torch.as_tensor(sizes[classes.chosen] - 1, device=z.device)
    chosen = torch.as_tensor(classes.chosen, device=z.device)
    return (sums[chosen] - z) / n_others.clamp_min(1)[:, None, None]
