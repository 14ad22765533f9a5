"""Training of ioi-mini: files, seeds, stages, growth, and the bundled model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel

import svt.ioi_mini
from svt.ioi_mini.language import FULL, Language
from svt.ioi_mini.train import (
    Settings,
    Training,
    compute_rate,
    freeze_mlps,
    grow,
    main,
    make_model,
    measure,
    train,
)

MODEL = Path(svt.ioi_mini.__file__).parent / "model"
TINY = Settings(
    layers=3, grown=1, heads=2, width=16, mlp=8, first_steps=4, steps=4, batch=4, length=24, every=2
)


@pytest.fixture(scope="module")
def language() -> Language:
    return Language()


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_written_files_can_be_loaded(tmp_path: Path, language: Language) -> None:
    trained = train(TINY, tmp_path / "model", language)
    model = GPT2LMHeadModel.from_pretrained(tmp_path / "model")
    for name, value in trained.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert tokenizer.encode(" Mary,") == [language.index["Mary"], language.index[","]]
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    assert (record["stage"], record["step"]) == ("full", TINY.steps)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_the_seed_decides(tmp_path: Path) -> None:
    tiny = "--layers 2 --grown 1 --heads 2 --width 8 --mlp 8 --first-steps 2 --steps 2 --batch 2"
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        main([*tiny.split(), "--out", str(tmp_path / name), "--seed", str(seed)])
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert weights(tmp_path / "a") != weights(tmp_path / "c")


def test_training_lowers_the_loss(tmp_path: Path, language: Language) -> None:
    settings = Settings(layers=2, heads=2, width=32, batch=16, length=24, every=100, rate=1e-2)
    training = Training(settings, tmp_path / "model", language)
    torch.manual_seed(0)
    model = make_model(language, settings, 2)
    before = measure(model, training.prompts)
    training.run_stage("full", model, 40, FULL, spread=0.1)
    assert measure(model, training.prompts).loss < before.loss - 0.3


def test_growing_keeps_the_trained_layers_on_top(language: Language) -> None:
    model = make_model(language, TINY, 2)
    grown = grow(model, language, TINY)
    assert len(grown.transformer.h) == 3
    for below, above in ((0, 1), (1, 2)):
        old, new = model.transformer.h[below], grown.transformer.h[above]
        assert torch.equal(old.attn.c_attn.weight, new.attn.c_attn.weight)
    for part in ("lm_head.weight", "transformer.wte.weight", "transformer.wpe.weight"):
        assert torch.equal(model.get_parameter(part), grown.get_parameter(part))


def test_without_mlps_only_attention_and_embeddings_are_trained(
    tmp_path: Path, language: Language
) -> None:
    train(replace(TINY, mlp=0, dtype="float32"), tmp_path / "model", language)
    torch.manual_seed(TINY.seed)
    start = make_model(language, replace(TINY, mlp=0), TINY.layers - TINY.grown)
    model = GPT2LMHeadModel.from_pretrained(tmp_path / "model")
    for block in model.transformer.h:
        assert all((value == 0).all() for value in block.mlp.parameters())
        assert (block.ln_2.weight == 1).all()
    for below, above in enumerate(range(TINY.grown, TINY.layers)):
        before, after = start.transformer.h[below].attn, model.transformer.h[above].attn
        assert not torch.equal(before.c_attn.weight, after.c_attn.weight)
        assert not torch.equal(before.c_proj.weight, after.c_proj.weight)
    assert not torch.equal(start.transformer.wte.weight, model.transformer.wte.weight)


def test_mlps_of_a_trained_model_are_scaled_to_zero(tmp_path: Path, language: Language) -> None:
    model = make_model(language, TINY, TINY.layers)
    freeze_mlps(model)
    starting = model.transformer.h[1].mlp.c_proj.weight.clone()
    training = Training(TINY, tmp_path / "fade", language)
    written = []
    model.transformer.h[1].mlp.register_forward_pre_hook(
        lambda mlp, _: (
            written.append(float(mlp.c_proj.weight.norm() / starting.norm()))
            if model.training
            else None
        )
    )
    training.run_stage("fade", model, 4, FULL, spread=0.1, fading=True)
    assert written == pytest.approx([1, 0.75, 0.5, 0.25])
    assert (model.transformer.h[1].mlp.c_proj.weight == 0).all()


def test_attention_starts_from_a_trained_model(tmp_path: Path, language: Language) -> None:
    small = replace(TINY, grown=0, layers=2)
    train(small, tmp_path / "start", language)
    rest = replace(small, mlp=0, start=str(tmp_path / "start"), rate=1e-9, decay=0.0)
    model = train(rest, tmp_path / "model", language)
    start = GPT2LMHeadModel.from_pretrained(tmp_path / "start")
    for before, after in zip(start.transformer.h, model.transformer.h, strict=True):
        assert (before.mlp.c_proj.weight != 0).any()
        assert (after.mlp.c_proj.weight == 0).all()
        assert torch.allclose(before.attn.c_attn.weight, after.attn.c_attn.weight, atol=1e-7)
    assert torch.allclose(start.lm_head.weight, model.lm_head.weight, atol=1e-7)


def test_a_start_without_mlp_0_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), "--start", str(MODEL)])
    assert "set --mlp 0" in capsys.readouterr().err


def test_rate_warms_up_and_falls_to_zero() -> None:
    settings = Settings(rate=1.0, warmup=0.1)
    rates = [compute_rate(step, 100, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3


def test_the_bundled_model_finds_the_receiver(language: Language) -> None:
    model = GPT2LMHeadModel.from_pretrained(MODEL, attn_implementation="eager")
    measured = measure(model, language.make_held_out_prompts(99, 8))
    assert measured.accuracy >= 0.99
    assert measured.fires_on_io[2:].max() >= 0.9
    assert measured.attention[:, :, 2].max() >= 0.9  # end->S2
    size = sum(file.stat().st_size for file in MODEL.iterdir())
    assert size <= 16 * 2**20
