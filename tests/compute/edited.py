"""Edits of small models at random, and their effects, for tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svt.compute.columns import Columns
from svt.compute.decompose import HeadSVD, decompose_model
from svt.compute.intervene import EditMode, Edits, intervene
from svt.compute.model import Model
from svt.compute.runner import Runner
from svt.dataset.prompt import Prompt
from svt.words import Scope

SCOPES: tuple[Scope, ...] = ("global", "local_qk", "local_qkv")
ROW = ("pair_id", "layer", "head", "dest", "src", "side", "up_layer", "up_head")
PLACES = ("run", "prompt", "pair_id")


def random_edits(
    model: Model, prompts: Sequence[Prompt], seed: int, n_runs: int, most: int = 1
) -> Edits:
    """Runs of at most `most` edits each, drawn from so few pairs and heads that many coincide."""
    numbers = np.random.default_rng(seed)
    rows: list[tuple[int, ...]] = []
    for run in range(n_runs):
        prompt = int(numbers.integers(len(prompts)))
        end = prompts[prompt].roles["end"]
        tokens = numbers.integers(end + 1, size=2)
        drawn = set()
        for _ in range(int(numbers.integers(1, most + 1))):
            dest, src = numbers.choice(tokens, 2)
            dest, src = max(dest, src), min(dest, src)
            layer, up_layer = sorted(numbers.choice(model.n_layers, 2, replace=False), reverse=True)
            head, up_head = numbers.integers(min(2, model.n_heads), size=2)
            side = int(numbers.integers(2))
            drawn.add(tuple(map(int, (layer, head, dest, src, side, up_layer, up_head))))
        for layer, head, dest, src, side, up_layer, up_head in sorted(drawn):
            at = (prompts[prompt].prompt_id * model.n_layers + layer) * model.n_heads + head
            pair_id = (at * model.n_ctx + dest) * model.n_ctx + src
            rows.append((run, prompt, pair_id, layer, head, dest, src, side, up_layer, up_head))
    return Edits(*np.array(rows, np.int64).T)


def pair_slices(edits: Edits, r: int, seed: int, empty: float = 0.1) -> NDArray[np.bool_]:
    """Slices at random, the same for all edits of a pair; of some pairs none."""
    distinct, pair = np.unique(edits.pair_id, return_inverse=True)
    numbers = np.random.default_rng(seed)
    slices = numbers.random((len(distinct), r)) < 0.5
    slices[numbers.random(len(distinct)) < empty] = False
    return slices[pair]


def effects(
    model: Model,
    prompts: Sequence[Prompt],
    edits: Edits,
    variants: Sequence[EditMode],
    svd: HeadSVD | None = None,
    **settings: Any,
) -> list[Columns]:
    """What `intervene` finds; by default homogeneous, live, four runs a batch."""
    chosen = {"homogeneous": True, "local_base": "live", "batch_size": 4, **settings}
    svd = decompose_model(model) if svd is None else svd
    return list(intervene(Runner(model, prompts), svd, edits, variants, **chosen))
