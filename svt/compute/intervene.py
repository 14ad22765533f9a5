"""The effects of changed edges: on the pair that an edge feeds, and on the model's answer.

1. Edits are grouped into changed runs, and runs into batches that begin at the same layer
   (edits.py).
2. A batch runs once clean, then once for each mode of the same scope (changed_runs.py);
   projection.py computes the changes, runner.py runs the blocks.
3. A row is a pair that is changed in a run: its score and weight, the model's answer, and cosine
   and ratio of norms of the changed vector and of the residual stream, means over the pair's edits.
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
from svt.compute.edits import Batch, EditMode, Edits, draw_random_slices, split_into_batches
from svt.compute.runner import Runner
from svt.words import Base

__all__ = ["EditMode", "Edits", "draw_random_slices", "intervene"]

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
    """Yield the columns of each mode, in order; consecutive modes of a scope run together.

    One row a (run, pair) of which an edit has a slice, sorted by these: run, prompt (index),
    pair_id, n_slices; before and after the change logit_diff (NaN without answer or distractor),
    score, weight and answer_rank (masked without an answer); cosine and norm_ratio (after / before)
    of the changed vector (global: the output of the upstream layer's attention at the token; local:
    the downstream head's normalised input there), resid_cosine and resid_norm_ratio of the residual
    stream there. `edits` must not be empty; batch_size: changed runs a forward pass.
    """
    n_heads, lengths = runner.model.n_heads, runner.layout.lengths
    for scope, group in groupby(modes, key=lambda mode: mode.scope):
        of_scope = list(group)
        parts: list[list[Columns]] = [[] for _ in of_scope]
        for batch in split_into_batches(edits, scope, lengths, n_heads, batch_size):  # 1
            runs = ChangedRuns(runner, svd, batch, scope, homogeneous, local_base)
            for mode, part in zip(of_scope, parts, strict=True):  # 2
                slices = mode.slices[batch.index]
                chosen = torch.as_tensor(slices, device=svd.u.device)
                after = runs.run(Change(mode.strength, chosen))
                part.append(_columns(batch, runs, after, slices))
        yield from map(_concatenate, parts)


def _columns(
    batch: Batch, runs: ChangedRuns, after: Measurements, slices: NDArray[np.bool_]
) -> Columns:
    """Return the columns of one batch in one mode (step 3)."""
    before, n_pairs = runs.before, len(runs.first_of_pair)
    changed = slices.any(axis=1)  # [edit]
    n_edits = np.bincount(runs.pair[changed], minlength=n_pairs)
    is_changed = n_edits > 0  # [pair]
    n_slices = np.zeros(n_pairs, np.uint16)
    np.maximum.at(n_slices, runs.pair, slices.sum(axis=1).astype(np.uint16))

    def mean(values: Floats) -> NDArray[np.float32]:
        total = np.bincount(runs.pair[changed], values[changed], minlength=n_pairs)
        return (total[is_changed] / n_edits[is_changed]).astype(np.float32)

    first = runs.first_of_pair[is_changed]
    row = batch.row[first]
    cosine, ratio = _compare(before.vector, after.vector)
    resid_cosine, resid_ratio = _compare(before.resid, after.resid)
    return {
        "run": batch.run[row],
        "prompt": batch.prompt[row],
        "pair_id": batch.edits.pair_id[first],
        "n_slices": n_slices[is_changed],
        "logit_diff": before.logit_diff[row].astype(np.float32),
        "logit_diff_after": after.logit_diff[row].astype(np.float32),
        "score": _to_numpy(before.score)[is_changed],
        "score_after": _to_numpy(after.score)[is_changed],
        "weight": _to_numpy(before.weight)[is_changed],
        "weight_after": _to_numpy(after.weight)[is_changed],
        "cosine": mean(cosine),
        "norm_ratio": mean(ratio),
        "resid_cosine": mean(resid_cosine),
        "resid_norm_ratio": mean(resid_ratio),
        "answer_rank": before.answer_rank[row],
        "answer_rank_after": after.answer_rank[row],
    }


def _compare(before: list[Tensor], after: list[Tensor]) -> tuple[Floats, Floats]:
    """Return cosine and ratio of norms of each edit's vectors, [edit, d_model] in parts."""
    a, b = torch.cat(before).double(), torch.cat(after).double()
    norm_a, norm_b = (v.norm(dim=1).clamp_min(torch.finfo(v.dtype).tiny) for v in (a, b))
    cosine = (a * b).sum(1) / norm_a / norm_b
    return cosine.cpu().numpy(), (norm_b / norm_a).cpu().numpy()


def _to_numpy(parts: list[Tensor]) -> NDArray[np.float32]:
    return torch.cat(parts).float().cpu().numpy()


def _concatenate(parts: list[Columns]) -> Columns:
    """Return the rows of all batches, sorted by run and pair."""
    whole = {name: np.ma.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((whole["pair_id"], whole["run"]))
    return {
        name: values[order] if name.startswith("answer_rank") else np.asarray(values)[order]
        for name, values in whole.items()
    }
