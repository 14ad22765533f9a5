"""The bundled model without MLPs: heads, embeddings and biases account for every score."""

import json
from pathlib import Path

import pytest
import torch
from transformers import GPT2LMHeadModel

import svt.ioi_mini
from svt.ioi_mini.language import Language
from svt.ioi_mini.train import measure
from svt.paths import conf_dir
from svt.query.evaluate import find_named, load_reference
from tests.answers import answer
from tests.compute.runs import loaded
from tests.conftest import Finished, svt_in

NAME = "ioi-mini-attn"
MODEL = Path(svt.ioi_mini.__file__).parent / "model-attn"
RECIPE = {"mlp", "start", "grown", "first_steps", "steps", "batch", "rate", "dtype"}
WITHOUT_MLPS = "dump.components=[head,embed,pos_embed,bias]"


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return a run over 4 prompts, traced down to every component."""
    done = svt_in(
        tmp_path_factory.mktemp("attn"),
        f"model={NAME}",
        "dataset.n_prompts=4",
        "dump.effects=false",
        WITHOUT_MLPS,
        "trace.components=all",
        "stages=[dump,trace]",
    )
    assert done.code == 0
    return done


def test_language_and_shape_are_those_of_ioi_mini() -> None:
    first = MODEL.with_name("model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (MODEL / name).read_bytes() == (first / name).read_bytes()
    mine, theirs = (json.loads((folder / "config.json").read_text()) for folder in (MODEL, first))
    assert mine == theirs | {"n_inner": mine["n_inner"]}
    mine, theirs = (
        json.loads((folder / "training.json").read_text())["settings"] for folder in (MODEL, first)
    )
    assert mine["mlp"] == 0
    assert {key for key in mine if mine[key] != theirs.get(key)} == RECIPE
    assert sum(file.stat().st_size for file in MODEL.iterdir()) <= 3 * 2**20


def test_without_mlps_it_finds_the_receiver_by_attention() -> None:
    model = GPT2LMHeadModel.from_pretrained(MODEL, attn_implementation="eager")
    measured = measure(model, Language().make_held_out_prompts(99, 4))
    assert measured.accuracy >= 0.95
    assert measured.fires_on_io.max() >= 0.8


def test_its_mlps_write_nothing_folded_or_not() -> None:
    ids = torch.tensor([prompt.ids[:14] for prompt in Language().make_held_out_prompts(99, 1)])
    written: list[torch.Tensor] = []
    model = GPT2LMHeadModel.from_pretrained(MODEL)
    for block in model.transformer.h:
        block.mlp.register_forward_hook(lambda *call: written.append(call[-1]))
    with torch.no_grad():
        model(ids)
    bridge = loaded(MODEL).bridge
    _, cache = bridge.run_with_cache(ids)
    written += [cache[f"blocks.{layer}.hook_mlp_out"] for layer in range(bridge.cfg.n_layers)]
    assert len(written) == 2 * bridge.cfg.n_layers
    for output in written:
        assert output.shape == (*ids.shape, bridge.cfg.d_model)
        assert (output == 0).all()


def test_heads_embeddings_and_biases_close(traced: Finished) -> None:
    sides = "select count(*) as n, count(closure) as closed, max(abs(closure)) as worst from sides"
    (row,) = answer(traced.stores[0], sides, []).to_dicts()
    assert row["closed"] == row["n"] > 1000
    assert row["worst"] < 1e-4


def test_the_trace_ends_at_heads_embeddings_and_biases(traced: Finished) -> None:
    edges = "select distinct component::varchar as component from trace_edges"
    ends = set(answer(traced.runs[0], edges, [])["component"])
    assert {"head", "embed"} <= ends <= {"head", "embed", "pos_embed", "bias"}


def test_without_mlps_it_has_a_config_and_reference() -> None:
    text = (conf_dir() / "model" / f"{NAME}.yaml").read_text()
    assert f"name: {NAME}\n" in text
    assert "ioi_mini/model-attn}" in text
    file = find_named("auto", NAME)
    assert file is not None
    assert file.stem == NAME
    assert load_reference(file)
    command = file.read_text().splitlines()[0]
    assert command == f"# svt 'stages=[reference]' dataset.n_prompts=1024 model={NAME}"
