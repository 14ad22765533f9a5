"""What changing an edge does: to the pair it feeds, and to what the model says.

1. Edits become changed runs, runs become batches that enter the model where they begin to change
   (edits.py).
2. A batch runs once undisturbed, then once a mode of the same scope (changed_runs.py); what is
   added is worked out in projection.py, the blocks are run by runner.py.
3. A row is a pair that is changed in a run: its score and weight, the model's answer, and how far
   the changed vector and the residual stream turned, as a mean over the pair's edits.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svt.compute.changed_runs import Change, ChangedRuns, Measurements
from svt.compute.columns import Columns
from svt.compute.decompose import HeadSVD
from svt.compute.edits import Batch, EditMode, Edits, batches, random_slices
from svt.compute.runner import Runner
from svt.words import Base

__all__ = ["EditMode", "Edits", "intervene", "random_slices"]

Floats = NDArray[np.float64]


def intervene(
    runner: Runner,
    svd: HeadSVD,
    edits: Edits,
    modes: Sequence[EditMode],
    *,
    homogeneous: bool,
    local_base: Base,
    batch_size: int,
) -> Iterator[Columns]:
    """The columns of each mode, in their order; consecutive ones of a scope are run together.

    One row a (run, pair) of which an edit has a slice, sorted by these: run, prompt (index),
    pair_id, n_slices, and before and after the change logit_diff (NaN when not asked), score,
    weight and answer_rank (masked without an answer); cosine and norm_ratio (after / before) of
    what is changed (global: what the upstream layer's attention writes at the token; local: the
    normalised input that the downstream head reads there), resid_cosine and resid_norm_ratio of
    the residual stream there. There must be an edit; batch_size: changed runs a forward pass.
    """
    n_heads, lengths = runner.model.n_heads, runner.layout.lengths
    for scope, group in groupby(modes, key=lambda mode: mode.scope):
        together = list(group)
        parts: list[list[Columns]] = [[] for _ in together]
        for batch in batches(edits, scope, lengths, n_heads, batch_size):  # 1
            runs = ChangedRuns(runner, svd, batch, scope, homogeneous, local_base)
            for mode, part in zip(together, parts, strict=True):  # 2
                slices = mode.slices[batch.index]
                spans = torch.as_tensor(slices, device=svd.u.device)
                after = runs.run(Change(mode.strength, spans))
                part.append(_columns(batch, runs, after, slices))
        yield from map(_sorted, parts)


def _columns(
    batch: Batch, runs: ChangedRuns, after: Measurements, slices: NDArray[np.bool_]
) -> Columns:
    """Step 3, for one batch."""
    before, n_pairs = runs.before, len(runs.first_of_pair)
    changed = slices.any(axis=1)  # [edit]
    n_edits = np.bincount(runs.pair[changed], minlength=n_pairs)
    kept = n_edits > 0  # [pair]
    n_slices = np.zeros(n_pairs, np.uint16)
    np.maximum.at(n_slices, runs.pair, slices.sum(axis=1).astype(np.uint16))

    def mean(values: Floats) -> NDArray[np.float32]:
        total = np.bincount(runs.pair[changed], values[changed], minlength=n_pairs)
        return (total[kept] / n_edits[kept]).astype(np.float32)

    first = runs.first_of_pair[kept]
    row = batch.row[first]
    cosine, ratio = _turned(before.vector, after.vector)
    resid_cosine, resid_ratio = _turned(before.resid, after.resid)
    return {
        "run": batch.run[row],
        "prompt": batch.prompt[row],
        "pair_id": batch.edits.pair_id[first],
        "n_slices": n_slices[kept],
        "logit_diff": before.logit_diff[row].astype(np.float32),
        "logit_diff_after": after.logit_diff[row].astype(np.float32),
        "score": _numpy(before.score)[kept],
        "score_after": _numpy(after.score)[kept],
        "weight": _numpy(before.weight)[kept],
        "weight_after": _numpy(after.weight)[kept],
        "cosine": mean(cosine),
        "norm_ratio": mean(ratio),
        "resid_cosine": mean(resid_cosine),
        "resid_norm_ratio": mean(resid_ratio),
        "answer_rank": before.answer_rank[row],
        "answer_rank_after": after.answer_rank[row],
    }


def _turned(before: list[Tensor], after: list[Tensor]) -> tuple[Floats, Floats]:
    """Cosine and ratio of norms of each edit's vector; vectors: [edit, d_model] in parts."""
    a, b = torch.cat(before).double(), torch.cat(after).double()
    norm_a, norm_b = (v.norm(dim=1).clamp_min(torch.finfo(v.dtype).tiny) for v in (a, b))
    cosine = (a * b).sum(1) / norm_a / norm_b
    return cosine.cpu().numpy(), (norm_b / norm_a).cpu().numpy()


def _numpy(parts: list[Tensor]) -> NDArray[np.float32]:
    return torch.cat(parts).float().cpu().numpy()


def _sorted(parts: list[Columns]) -> Columns:
    """Batches as one, by run and pair."""
    whole = {name: np.ma.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((whole["pair_id"], whole["run"]))
    return {
        name: values[order] if name.startswith("answer_rank") else np.asarray(values)[order]
        for name, values in whole.items()
    }
