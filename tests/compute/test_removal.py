"""Weights without a writer: the intervention engine's, and what must hold of them in any model.

tests/slow.py has the definition; the tests against it compare these weights as well.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from svt.compute import removal
from svt.compute.columns import COMPONENTS, Columns
from svt.compute.intervene import EditMode, Edits
from svt.compute.model import Model
from svt.compute.pairs import select
from svt.compute.projection import Projection
from svt.compute.readers import Readers
from svt.compute.removal import STEPS, Removal
from tests.checkpoints import tiny_gpt2
from tests.compute.edited import effects, random_edits
from tests.compute.runs import dumped, loaded
from tests.families import CASES, tiny_model
from tests.marks import families, first
from tests.prompts import prompts_of
from tests.settings import DUMP

EVERYTHING = replace(DUMP, min_weight=0.0, sample=0.0, pairs="all", components=COMPONENTS)
HALF = 0.51 / STEPS  # rounding of a stored weight
NUMERICAL = 3e-5  # of models that compute softmaxes and rotations in float32


@pytest.mark.parametrize("case", first(1, list(CASES)))
def test_the_intervention_engine_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Local to query or key, what a head reads without the whole output of another."""
    family, changes = CASES[case]
    model = loaded(tiny_model(family, tmp_path, **changes), "float64")
    prompts = prompts_of(4, n_prompts=2, lengths=(7, 9))
    stored = _by_writer(dumped(model, prompts, EVERYTHING)["upstream"])
    edits = random_edits(model, prompts, seed=1, n_runs=60)
    edits = select(edits, np.array([key in stored for key in _keys(edits)]))
    assert len(edits) > 30
    monkeypatch.setattr(Projection, "compute_changes", _without_whole_output)
    every = np.ones((len(edits), model.d_head), bool)
    (rows,) = effects(model, prompts, edits, [EditMode("local_qk", -1.0, every)])
    by_run = np.argsort(edits.run, kind="stable")
    own = np.array([stored[key] for key in _keys(select(edits, by_run))])
    assert np.abs(own - rows["weight"]).max() > 0.1
    np.testing.assert_allclose(own, rows["weight_after"], rtol=0, atol=HALF + NUMERICAL)


def _without_whole_output(
    self: Projection, layer: int, out: Tensor, strength: float, slices: Tensor
) -> Tensor:
    """Stands for Projection.compute_changes: the change of the normalised residual, unscaled."""
    runner, mine = self._runner, self._batch.at(layer)
    edits = select(self._batch.edits, mine)
    token = torch.as_tensor(runner.layout.starts[edits.prompt] + edits.token)
    resid = runner._resid[layer][token]
    x, scale = _normalised(runner.model, resid)
    return (_normalised(runner.model, resid - out[mine])[0] - x) * scale


def _normalised(model: Model, resid: Tensor) -> tuple[Tensor, Tensor]:
    if model.norm_eps is None:
        return resid, torch.ones_like(resid[:, :1])
    middle = resid - resid.mean(1, keepdim=True) if model.centres else resid
    scale = (middle.square().mean(1, keepdim=True) + model.norm_eps).sqrt()
    return middle / scale, scale


def _keys(edits: Edits) -> list[tuple[int, ...]]:
    columns = edits.pair_id, edits.side, edits.up_layer, edits.up_head
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _by_writer(upstream: Columns) -> dict[tuple[int, ...], float]:
    """weight_without of heads, by pair, side and head."""
    heads = upstream["component"] == 0
    names = "pair_id", "side", "up_layer", "up_head", "weight_without"
    rows = zip(*(upstream[name][heads].tolist() for name in names), strict=True)
    return {tuple(key): value for *key, value in rows}


def test_a_head_that_writes_nothing_has_no_effect(tmp_path: Path) -> None:
    model = _gpt2(tmp_path)
    model.bridge.blocks[0].attn.W_O.data[1] = 0
    own, weight, upstream = _weights(model)
    silent = (upstream["up_layer"] == 0) & (upstream["up_head"] == 1)
    assert silent.any() and np.abs(own - weight)[~silent].max() > 0.3
    np.testing.assert_allclose(own[silent], weight[silent], rtol=0, atol=HALF + 1e-6)


def test_what_raises_all_scores_of_a_row_equally_has_no_effect(tmp_path: Path) -> None:
    """Where all keys are one, every query makes scores that are equal."""
    model = _gpt2(tmp_path)
    model.bridge.blocks[2].attn.W_K.data[0] = 0
    own, weight, upstream = _weights(model)
    alike = (upstream["layer"] == 2) & (upstream["head"] == 0)
    np.testing.assert_allclose(own[alike], weight[alike], rtol=0, atol=HALF + 1e-6)
    assert np.abs(own - weight)[~alike].max() > 0.3


def test_a_token_that_attends_to_itself_alone_goes_on_doing_so(tmp_path: Path) -> None:
    own, _, upstream = _weights(_gpt2(tmp_path))
    alone = upstream["dest"] == 0
    assert alone.any() and (own[alone] == 1).all()


def test_without_effects_all_else_is_the_same(tmp_path: Path) -> None:
    model = _gpt2(tmp_path)
    tables = [
        dumped(model, prompts_of(6, 2, (4, 7)), replace(EVERYTHING, effects=on))
        for on in (True, False)
    ]
    assert np.isnan(tables[1]["upstream"].pop("weight_without")).all()
    assert np.isfinite(tables[0]["upstream"].pop("weight_without")).all()
    for table, columns in tables[0].items():
        for column, values in columns.items():
            np.testing.assert_array_equal(tables[1][table][column], values, f"{table}.{column}")


@pytest.mark.parametrize("family", first(1, ["gemma2", "mistral", "gpt2", "gpt_neox"]))
def test_probes_and_images_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """Every query of a row longer than three tokens through images, one reader a piece."""
    model, prompts = loaded(tiny_model(family, tmp_path), "float64"), prompts_of(7, 2, (6, 10))
    some = replace(EVERYTHING, min_weight=0.1)
    one = dumped(model, prompts, some)["upstream"]["weight_without"]

    def is_long_query(self: Removal, readers: Readers) -> np.ndarray:
        return (readers.n_partners > 3) & (readers.side == 0)

    monkeypatch.setattr(Removal, "choose_images", is_long_query)
    monkeypatch.setattr(removal, "PIECE_BYTES", 1)
    other = dumped(model, prompts, some)["upstream"]["weight_without"]
    assert len(one) > 1000
    np.testing.assert_allclose(one, other, rtol=0, atol=1.1 / STEPS)


def test_every_layer_has_its_own_soft_cap(tmp_path: Path) -> None:
    """Nothing is written before layer 0 but embeddings: what heads of layer 1 on read without a
    head hangs on their own cap alone.
    """
    model = loaded(tiny_model("gemma2", tmp_path), "float64")
    uncapped = replace(model.scoring[0], cap=None)
    other = replace(model, scoring=(uncapped, *model.scoring[1:]))
    heads = replace(EVERYTHING, components=("head",))
    one, two = (dumped(m, prompts_of(7, 1, (10, 10)), heads)["upstream"] for m in (model, other))
    assert model.scoring[1].cap is not None and len(one["weight_without"]) > 1000
    np.testing.assert_array_equal(one["weight_without"], two["weight_without"])


@pytest.mark.parametrize("family", families(["gemma3_text", "gemma2", "olmo2", "llama"]))
def test_float32_is_enough_where_almost_nothing_is_left(tmp_path: Path, family: str) -> None:
    """Before layer 0 the embedding is all that a head reads, so nothing is left without it."""
    folder, prompts = tiny_model(family, tmp_path), prompts_of(8, 2, (4, 9))
    one, other = (
        dumped(folder, prompts, EVERYTHING, dtype=dtype) for dtype in ("float32", "float64")
    )
    assert (one["upstream"]["component"] == COMPONENTS.index("embed")).any()
    weights = [tables["upstream"]["weight_without"] for tables in (one, other)]
    np.testing.assert_allclose(*weights, rtol=0, atol=2e-3)
    assert np.abs(weights[0] - weights[1]).mean() < 2e-5


def _gpt2(folder: Path) -> Model:
    return loaded(tiny_gpt2(folder, n_layers=3, seed=1, sharp=3.0), "float64")


def _weights(model: Model) -> tuple[NDArray[np.float64], NDArray[np.float64], Columns]:
    """Each writer's weight_without, the weight, and upstream with its pair's columns."""
    tables = dumped(model, prompts_of(5, 2, (4, 9)), EVERYTHING)
    upstream, pairs = dict(tables["upstream"]), tables["pairs"]
    at = np.searchsorted(pairs["pair_id"], upstream["pair_id"])
    upstream |= {name: pairs[name][at] for name in ("layer", "head", "dest", "src")}
    own = upstream["weight_without"].astype(float)
    return own, pairs["weight"][at].astype(float), upstream
