"""Edits of transformers' own models (tests/hf_edits.py) against those of the slow models."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.families import CASES
from tests.hf_edits import HFIntervention
from tests.hf_models import load_double
from tests.marks import families
from tests.prompts import prompts_of
from tests.slow import Row
from tests.slow_intervene import SlowIntervention
from tests.slow_models import SlowModel

PROMPT = prompts_of(4, 1, (9, 9))[0]
SCOPES = ("global", "local_qk", "local_qkv")
MEASURED = [name + when for name in ("logit_diff", "score", "weight") for when in ("", "_after")]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("case", families(CASES))
def test_both_implementations_say_the_same(
    checkpoint: Callable[[str], Path], case: str, scope: str
) -> None:
    slow, model = SlowModel(checkpoint(case)), load_double(checkpoint(case))
    changed = 0.0
    ways = [(True, "live", -1.0), (False, "clean", 1.5)]
    for seed, (homogeneous, base, strength) in enumerate(ways):
        settings = scope, strength, homogeneous, base
        own, theirs = SlowIntervention(slow, *settings), HFIntervention(slow, model, *settings)
        for run in range(3):
            edits = random_edits(slow, len(PROMPT.tokens), 10 * seed + run, most=4)
            rows = own.effects(PROMPT, edits), theirs.effects(PROMPT, edits)
            assert len(rows[0]) == len(rows[1])
            for first, second in zip(*rows, strict=True):
                assert all(first[name] == second[name] for name in ("pair_id", "n_slices"))
                for name in MEASURED:
                    np.testing.assert_allclose(first[name], second[name], atol=1e-8, err_msg=name)
                changed = max(changed, abs(second["logit_diff_after"] - second["logit_diff"]))
    assert changed > 1e-3


@pytest.mark.parametrize("case", families(CASES))
def test_strength_0_changes_nothing_in_transformers(
    checkpoint: Callable[[str], Path], case: str
) -> None:
    slow, model = SlowModel(checkpoint(case)), load_double(checkpoint(case))
    edits = random_edits(slow, len(PROMPT.tokens), seed=3, most=4)
    for scope, base in product(SCOPES, ("live", "clean")):
        rows = HFIntervention(slow, model, scope, 0.0, True, base).effects(PROMPT, edits)
        assert rows
        for row in rows:
            for name in MEASURED[::2]:
                np.testing.assert_allclose(row[name + "_after"], row[name], rtol=0, atol=1e-12)


def random_edits(slow: SlowModel, n_tokens: int, seed: int, most: int) -> list[Row]:
    """Edits of one run, of so few pairs that some share a head; dest sees src."""
    numbers = np.random.default_rng(seed)
    edits: dict[tuple[int, ...], Row] = {}
    slices: dict[int, list[int]] = {}
    for _ in range(most):
        up_layer, layer = sorted(numbers.choice(slow.n_layers, 2, replace=False).tolist())
        head, up_head, side = numbers.integers((2, 2, 2)).tolist()
        dest = n_tokens - 1 - int(numbers.integers(2))
        src = dest - int(numbers.integers(5))
        pair_id = (layer * 2 + head) * 10_000 + dest * 100 + src
        drawn = numbers.choice(slow.r, int(numbers.integers(1, slow.r)), replace=False)
        row: dict[str, Any] = {"layer": layer, "head": head, "dest": dest, "src": src}
        row |= {"side": side, "up_layer": up_layer, "up_head": up_head, "pair_id": pair_id}
        row["slices"] = slices.setdefault(pair_id, sorted(drawn.tolist()))
        edits[pair_id, side, up_layer, up_head] = row
    return list(edits.values())
