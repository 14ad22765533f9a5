"""Loading: GPT-2's own format, and every refusal by name."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import GPT2LMHeadModel

from svt.compute import load
from svt.compute.load import load_model
from svt.compute.model import Model
from svt.compute.refuse import refuse_undecomposable
from svt.compute.scoring import Scoring
from svt.config import ModelConfig
from svt.errors import SvtError
from tests.checkpoints import tiny_gpt2
from tests.compute.runs import loaded

GPT2 = {
    "model_type": "gpt2",
    "n_head": 12,
    "scale_attn_weights": True,
    "add_cross_attention": False,
}


def test_a_checkpoint_in_gpt2_format_keeps_its_logits(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_gpt2(tmp_path, n_layers=2, n_heads=4, d_model=32, seed=1)
    model = loaded(folder)
    assert (model.n_layers, model.n_heads, model.d_model, model.d_head) == (2, 4, 32, 8)
    assert (model.n_ctx, model.d_vocab) == (64, 100)
    assert capfd.readouterr() == ("", "")  # no chatter of the libraries below
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    with torch.no_grad():
        own, theirs = model.bridge(tokens), GPT2LMHeadModel.from_pretrained(folder)(tokens).logits
    theirs = theirs - theirs.mean(-1, keepdim=True)
    torch.testing.assert_close(own - own.mean(-1, keepdim=True), theirs, atol=1e-5, rtol=1e-5)


def test_weights_are_folded_and_writers_centred(tmp_path: Path) -> None:
    model = loaded(tiny_gpt2(tmp_path))
    for name in ("W_O", "b_O", "W_E", "W_pos"):
        assert model.weight(name).mean(-1).abs().max() < 1e-6
    assert model.bridge.b_V.abs().max() == 0
    assert model.weight("W_Q").mean(-2).abs().max() < 1e-6


def test_weights_in_parts_are_the_whole(tmp_path: Path) -> None:
    """As large models are stored: parts, and an index that says where each tensor lies."""
    whole, parts = tiny_gpt2(tmp_path / "whole"), tmp_path / "parts"
    GPT2LMHeadModel.from_pretrained(whole).save_pretrained(parts, max_shard_size="20KB")
    assert len(list(parts.glob("*.safetensors"))) > 2
    assert (parts / "model.safetensors.index.json").is_file()
    one, other = loaded(parts), loaded(whole)
    for name in ("W_Q", "W_O", "W_U"):
        assert torch.equal(one.weight(name), other.weight(name))
    next(parts.glob("model-00002-*")).unlink()
    with pytest.raises(SvtError, match=r"model-00002-of-.*not there"):
        loaded(parts)


def test_a_config_needs_little_more_than_the_shape(tmp_path: Path) -> None:
    folder = tiny_gpt2(tmp_path)
    before = loaded(folder).weight("W_Q")
    content = json.loads((folder / "config.json").read_text())
    shape = ("model_type", "n_layer", "n_head", "n_embd", "n_positions", "vocab_size")
    (folder / "config.json").write_text(json.dumps({key: content[key] for key in shape}))
    assert torch.equal(loaded(folder).weight("W_Q"), before)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_other_dtypes_load(tmp_path: Path, dtype: str) -> None:
    model = loaded(tiny_gpt2(tmp_path), dtype)
    assert next(model.bridge.parameters()).dtype == getattr(torch, dtype)
    assert model.weight("W_Q").dtype == model.work_dtype


REFUSED: dict[str, dict[str, Any]] = {
    "ALiBi": {"model_type": "bloom"},
    "ALiBi ": {"model_type": "falcon", "alibi": True},
    "relative position biases": {"model_type": "t5", "relative_attention_num_buckets": 32},
    "scores are not scaled": {**GPT2, "scale_attn_weights": False},
    "no bilinear form": {"model_type": "mamba"},
    "depend on the length": {"model_type": "llama", "rope_scaling": {"type": "dynamic"}},
    "depend on the length ": {"model_type": "phi3", "rope_parameters": {"rope_type": "longrope"}},
    "depend on the length  ": {
        "model_type": "gemma3_text",
        "rope_parameters": {"full_attention": {"rope_type": "dynamic"}},
    },
    "quantised": {**GPT2, "quantization_config": {"bits": 4}},
    "no causal mask": {"model_type": "bert"},
    "no causal mask ": {"model_type": "bart", "is_encoder_decoder": True},
    "cross-attention": {**GPT2, "add_cross_attention": True},
    "code of its own": {"model_type": "mine", "auto_map": {"AutoModel": "mine.Model"}},
    "names no model_type": {},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_decomposed_is_refused_by_name(reason: str) -> None:
    with pytest.raises(SvtError, match=reason.strip()) as refusal:
        refuse_undecomposable(REFUSED[reason], "some-model")
    assert "some-model" in str(refusal.value)


@pytest.mark.parametrize(
    "config",
    [
        GPT2,
        {**GPT2, "scale_attn_by_inverse_layer_idx": True},
        {"model_type": "llama", "rope_parameters": {"rope_type": "llama3", "factor": 8.0}},
        {"model_type": "phi3", "auto_map": {"AutoConfig": "mine.Phi3Config"}},  # never run
        {"model_type": "opt"},  # not verified: the self-checks decide
    ],
)
def test_what_can_be_decomposed_is_not_refused(config: dict[str, Any]) -> None:
    refuse_undecomposable(config, "some-model")


def test_refusal_comes_before_the_weights_are_read(tmp_path: Path) -> None:
    folder = tiny_gpt2(tmp_path)
    (folder / "model.safetensors").write_bytes(b"never read")
    _change_config(folder, scale_attn_weights=False)
    with pytest.raises(SvtError, match="scores are not scaled"):
        loaded(folder)


def test_scores_scaled_by_layer_are_traced(tmp_path: Path) -> None:
    folder = tiny_gpt2(tmp_path)
    _change_config(folder, scale_attn_by_inverse_layer_idx=True)
    model = loaded(folder)
    assert [scoring.scale * model.d_head**0.5 for scoring in model.scoring] == pytest.approx(
        [1, 1 / 2, 1 / 3]
    )


def test_a_model_whose_scores_are_not_its_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the names in config.json do not tell, the self-check does."""
    described = load._scoring

    def wrongly_scaled(bridge: object, layer: int) -> Scoring:
        scoring = described(bridge, layer)
        return replace(scoring, scale=scoring.scale * (1.01 if layer == 1 else 1))

    monkeypatch.setattr(load, "_scoring", wrongly_scaled)
    with pytest.raises(SvtError, match=r"scores of head 1\.\d are not those"):
        loaded(tiny_gpt2(tmp_path))


def test_a_model_that_folding_changes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_gpt2(tmp_path)
    _change_config(folder, scale_attn_weights=False)  # which TransformerLens does not heed
    monkeypatch.setattr(load, "refuse_undecomposable", lambda *_: None)
    with pytest.raises(SvtError, match="logits of the folded model are not the model's own"):
        loaded(folder)


def test_a_writer_that_is_not_known_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts that do not sum to the residual stream: here, of every head a hundredth too much."""
    weight = Model.weight
    monkeypatch.setattr(
        Model,
        "weight",
        lambda self, name: weight(self, name) * (1.01 if name == "W_O" else 1),
    )
    with pytest.raises(SvtError, match="parts that are read by layer 1 are not the model's own"):
        loaded(tiny_gpt2(tmp_path))


def test_a_type_that_was_not_verified_is_traced_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "svt")
    monkeypatch.setattr(load, "VERIFIED", ("llama",))
    assert loaded(tiny_gpt2(tmp_path)).n_layers == 3
    assert "type gpt2 were not verified" in caplog.text


def test_weights_that_cannot_be_folded_are_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise ValueError("no LayerNorm\nto fold")

    monkeypatch.setattr(TransformerBridge, "enable_compatibility_mode", refuses)
    with pytest.raises(SvtError, match=r"weights cannot be loaded: no LayerNorm to fold"):
        loaded(tiny_gpt2(tmp_path))


BROKEN = {
    "cut short": lambda file: file.write_bytes(file.read_bytes()[:1000]),
    "no safetensors at all": lambda file: file.write_bytes(b"x" * 50),
    "empty": lambda file: file.write_bytes(b""),
}


@pytest.mark.parametrize("how", BROKEN)
def test_corrupt_weights_are_one_clear_message(tmp_path: Path, how: str) -> None:
    folder = tiny_gpt2(tmp_path)
    BROKEN[how](folder / "model.safetensors")
    with pytest.raises(SvtError, match=f"model.path={folder}: the weights cannot be loaded"):
        loaded(folder)


def test_a_missing_tensor_is_an_error_and_not_random_numbers(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = tiny_gpt2(tmp_path) / "model.safetensors"
    tensors = load_file(file)
    del tensors["transformer.h.1.attn.c_proj.weight"]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(SvtError, match=r"h\.1\.attn\.c_proj\.weight"):
        loaded(tmp_path)


def test_weights_of_another_shape_than_the_config_says(tmp_path: Path) -> None:
    _change_config(tiny_gpt2(tmp_path), n_positions=32)
    with pytest.raises(SvtError, match=r"transformer\.wpe\.weight"):
        loaded(tmp_path)


def test_other_unreadable_folders(tmp_path: Path) -> None:
    with pytest.raises(SvtError, match="no such folder"):
        loaded(tmp_path / "nowhere")
    folder = tiny_gpt2(tmp_path / "model")
    (folder / "config.json").write_text("{")
    with pytest.raises(SvtError, match="cannot be read as JSON"):
        loaded(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(SvtError, match="one JSON object"):
        loaded(folder)
    (folder / "config.json").unlink()
    with pytest.raises(SvtError, match=r"no config\.json"):
        loaded(folder)


def test_pickled_weights_are_never_read(tmp_path: Path) -> None:
    folder = tiny_gpt2(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SvtError, match="safetensors"):
        loaded(folder)


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    folder = tiny_gpt2(tmp_path)
    for device in ("nowhere", "cuda:99"):
        with pytest.raises(SvtError, match=f"model.device={device} cannot be used"):
            load_model(ModelConfig("test", str(folder), None, device, "float32"))


def _change_config(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("where", ["transformer.wte.weight", "transformer.h.1.mlp.c_proj.weight"])
def test_logits_that_are_not_finite_are_said(tmp_path: Path, where: str) -> None:
    folder = tiny_gpt2(tmp_path, n_layers=2, n_heads=4, d_model=32)
    gpt2 = GPT2LMHeadModel.from_pretrained(folder)
    with torch.no_grad():
        gpt2.get_parameter(where)[-1, -1] = torch.nan
    gpt2.save_pretrained(folder)
    with pytest.raises(SvtError, match="not finite"):
        loaded(folder)


def test_logits_beyond_their_type_are_said(tmp_path: Path) -> None:
    model = loaded(tiny_gpt2(tmp_path))
    with pytest.raises(SvtError, match="the logits of this model are not finite"):
        model.logits(torch.full((1, model.d_model), torch.inf))
