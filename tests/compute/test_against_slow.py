"""The fast dump against the definitions written down slowly (tests/slow.py)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from svt.compute.removal import STEPS
from svt.words import COMPONENTS, SIDES
from tests.checkpoints import tiny_gpt2
from tests.compute.runs import dumped, prompts_of
from tests.marks import first
from tests.settings import DUMP
from tests.slow import slow_dump

SETTINGS = {
    "every pair, every component": replace(
        DUMP, min_weight=0.0, sample=0.0, batch_size=4, components=COMPONENTS, all_slices=True
    ),
    "strong pairs and a sample": replace(DUMP, min_weight=0.4, sample=0.2, seed=7, batch_size=3),
    "sinks as well": replace(DUMP, min_weight=0.3, pairs="all", batch_size=2, all_slices=True),
    "every pair, contrasted": replace(
        DUMP, min_weight=0.0, sample=0.0, score="contrast", components=COMPONENTS, all_slices=True
    ),
    "some components": replace(
        DUMP, min_weight=0.6, sample=0.0, batch_size=8, components=("embed", "head", "bias")
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("seed", first(1, range(3)))
def test_the_dump_is_what_the_definitions_say(tmp_path: Path, name: str, seed: int) -> None:
    dump = SETTINGS[name]
    shape = {"n_layers": 3, "n_heads": 2 + seed, "d_model": 12 * (2 + seed) // 2}
    folder = tiny_gpt2(tmp_path, **shape, seed=seed, sharp=3.0, n_ctx=16)
    prompts = prompts_of(seed, n_prompts=2, lengths=(3, 7))
    slow = slow_dump(folder, prompts, dump)
    fast = dumped(folder, prompts, dump, dtype="float64")
    assert slow["pairs"] and slow["upstream"]
    for table, rows in slow.items():
        assert len(fast[table]["pair_id" if table != "head_effects" else "layer"]) == len(rows)
        for column in rows[0]:
            wanted = [row[column] for row in rows]
            if column == "coordinates":
                values = fast[table]["dest_coord"].astype(float) * fast[table]["src_coord"]
            else:
                values = fast[table][column]
            exact = 1e-6 if dump.score == "raw" else 5e-6  # a lead is a difference of coordinates
            _agree(values, wanted, f"{table}.{column}", exact)


def _agree(values: np.ndarray, wanted: list, what: str, exact: float) -> None:
    names = {"side": SIDES, "component": COMPONENTS}.get(what.split(".")[1])
    if names:
        assert [names[code] for code in values] == wanted, what
    elif np.ma.isMaskedArray(values) or values.dtype.kind in "biu":
        assert values.tolist() == wanted, what
    else:
        expected = [np.nan if value is None else value for value in wanted]
        atol = exact + (0.5 / STEPS if what.endswith("weight_without") else 0)
        np.testing.assert_allclose(
            values, np.array(expected, float), rtol=3e-5, atol=atol, err_msg=what
        )
