import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel

import svt.ioi_mini
from svt.ioi_mini.language import FULL, Language
from svt.ioi_mini.train import Settings, Training, grow, main, measure, new_model, rate_at, train

MODEL = Path(svt.ioi_mini.__file__).parent / "model"
TINY = Settings(
    layers=3, grown=1, heads=2, width=16, mlp=8, first_steps=4, steps=4, batch=4, length=24, every=2
)


@pytest.fixture(scope="module")
def language() -> Language:
    return Language()


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_files_load_again(tmp_path: Path, language: Language) -> None:
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
    model = new_model(language, settings, 2)
    before = measure(model, training.prompts)
    training.stage("full", model, 40, FULL, spread=0.1)
    assert measure(model, training.prompts).loss < before.loss - 0.3


def test_growing_keeps_the_trained_layers_on_top(language: Language) -> None:
    model = new_model(language, TINY, 2)
    grown = grow(model, language, TINY)
    assert len(grown.transformer.h) == 3
    for below, above in ((0, 1), (1, 2)):
        old, new = model.transformer.h[below], grown.transformer.h[above]
        assert torch.equal(old.attn.c_attn.weight, new.attn.c_attn.weight)
    for part in ("lm_head.weight", "transformer.wte.weight", "transformer.wpe.weight"):
        assert torch.equal(model.get_parameter(part), grown.get_parameter(part))


def test_rate_warms_up_and_falls_to_nothing() -> None:
    settings = Settings(rate=1.0, warmup=0.1)
    rates = [rate_at(step, 100, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3


def test_the_bundled_model_finds_the_receiver(language: Language) -> None:
    model = GPT2LMHeadModel.from_pretrained(MODEL, attn_implementation="eager")
    found = measure(model, language.held_out_prompts(99, 8))
    assert found.accuracy >= 0.99
    assert found.fires_on_io[2:].max() >= 0.9
    assert found.attention[:, :, 2].max() >= 0.9  # end->S2
    size = sum(file.stat().st_size for file in MODEL.iterdir())
    assert size <= 16 * 2**20
