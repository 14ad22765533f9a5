"""Interventions against the definitions written down slowly (tests/slow_intervene.py)."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from svt.compute.intervene import EditMode, Edits
from svt.compute.model import Model
from svt.dataset.prompt import Prompt
from tests.checkpoints import tiny_gpt2
from tests.compute.edited import ROW, SCOPES, effects, pair_slices, random_edits
from tests.compute.runs import loaded
from tests.families import CASES
from tests.marks import TYPICAL, first
from tests.prompts import prompts_of
from tests.slow import Row
from tests.slow_intervene import SlowIntervention
from tests.slow_models import SlowModel

RANKS = ("answer_rank", "answer_rank_after")
MEASURED = ("n_slices", "logit_diff", "score", "weight", "logit_diff_after", "score_after")
MEASURED += ("weight_after", "cosine", "norm_ratio", "resid_cosine", "resid_norm_ratio")
BASES = ("live", "clean")
BY_TURNS = [(case, BASES[number % 2]) for number, case in enumerate(TYPICAL)]
OTHERS = [way for way in product(CASES, BASES) if way not in BY_TURNS]


@pytest.mark.parametrize(
    ("most", "homogeneous", "base"),
    first(2, [(6, True, "live"), (1, False, "clean"), *product((1, 6), (True, False), BASES)]),
)
def test_effects_are_what_the_definitions_say(
    tmp_path: Path, most: int, homogeneous: bool, base: str
) -> None:
    seed = 10 * most + homogeneous
    folder = tiny_gpt2(tmp_path, 4, n_heads=3, d_model=18, seed=seed, sharp=3.0, n_ctx=16)
    model, slow_model = loaded(folder, "float64"), SlowModel(folder)
    first, second, *others = prompts_of(seed, n_prompts=4, lengths=(2, 6))
    prompts = (replace(first, distractor=()), replace(second, answer=()), *others)
    edits = random_edits(model, prompts, seed, n_runs=20, most=most)
    slices = pair_slices(edits, model.d_head, seed)
    ways = list(zip(SCOPES, (-1.0, 1.7, -1.0), strict=True))
    variants = [EditMode(scope, strength, slices) for scope, strength in ways]
    found = effects(model, prompts, edits, variants, homogeneous=homogeneous, local_base=base)
    for (scope, strength), columns in zip(ways, found, strict=True):
        slow = SlowIntervention(slow_model, scope, strength, homogeneous, base)
        rows = _slow_rows(slow, prompts, edits, slices)
        assert len(rows) > 15
        for name in ("run", "prompt", "pair_id", *RANKS):
            assert columns[name].tolist() == [row[name] for row in rows], name
        for name in MEASURED:
            wanted = np.array([row[name] for row in rows], float)
            np.testing.assert_allclose(columns[name], wanted, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("case", "base"), first(len(BY_TURNS), [*BY_TURNS, *OTHERS]))
def test_every_family_s_effects_are_what_the_definitions_say(
    checkpoint: Callable[[str], Path], family: Callable[..., Model], case: str, base: str
) -> None:
    """Prompts of up to twelve tokens, longer than sliding windows, and edits that meet.

    transformers computes softmaxes and rotations in float32 also in a float64 model.
    """
    model, slow_model = family(case, "float64"), SlowModel(checkpoint(case))
    prompts = prompts_of(4, n_prompts=4, lengths=(4, 12))
    edits = random_edits(model, prompts, 4, n_runs=12, most=5)
    slices = pair_slices(edits, model.d_head, 4)
    variants = [EditMode(scope, -1.3, slices) for scope in SCOPES]
    for scope, columns in zip(
        SCOPES, effects(model, prompts, edits, variants, local_base=base), strict=True
    ):
        slow = SlowIntervention(slow_model, scope, -1.3, True, base)
        rows = _slow_rows(slow, prompts, edits, slices)
        moved = [abs(row["weight_after"] - row["weight"]) > 1e-3 for row in rows]
        assert sum(moved) > 5
        for name in MEASURED:
            wanted = np.array([row[name] for row in rows], float)
            np.testing.assert_allclose(columns[name], wanted, rtol=1e-4, atol=1e-4, err_msg=name)


def _slow_rows(
    slow: SlowIntervention, prompts: tuple[Prompt, ...], edits: Edits, slices: NDArray[np.bool_]
) -> list[Row]:
    """One row a run and pair, sorted by these."""
    rows = []
    for run in np.unique(edits.run):
        mine = np.flatnonzero(edits.run == run)
        prompt = int(edits.prompt[mine[0]])
        slow_edits = [
            {name: int(getattr(edits, name)[i]) for name in ROW}
            | {"slices": np.flatnonzero(slices[i]).tolist()}
            for i in mine
        ]
        for row in slow.effects(prompts[prompt], slow_edits):
            rows.append(row | {"run": int(run), "prompt": prompt})
    return rows
