"""Other seeds of the bundled model: the same training, as accurate, with own circuits."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2LMHeadModel

import svt.ioi_mini
from svt.ioi_mini.language import Language
from svt.ioi_mini.train import measure
from svt.paths import conf_dir
from svt.query.evaluate import find_named, load_reference

FOLDER = Path(svt.ioi_mini.__file__).parent
SEEDS = sorted(int(folder.name.removeprefix("model-")) for folder in FOLDER.glob("model-[0-9]*"))


def settings(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "training.json").read_text())
    return record["settings"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("seed", SEEDS)
def test_only_the_seed_differs(seed: int) -> None:
    first, other = FOLDER / "model", FOLDER / f"model-{seed}"
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (other / name).read_bytes() == (first / name).read_bytes()
    assert settings(other) == settings(first) | {"seed": seed}


@pytest.mark.parametrize("seed", SEEDS)
def test_it_finds_the_receiver_by_attention(seed: int) -> None:
    language = Language()
    model = GPT2LMHeadModel.from_pretrained(FOLDER / f"model-{seed}", attn_implementation="eager")
    with torch.no_grad():
        measured = measure(model, language.make_held_out_prompts(99, 4))
    assert measured.accuracy >= 0.99
    assert measured.fires_on_io.max() >= 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_it_has_a_config_and_a_reference_of_its_own(seed: int) -> None:
    text = (conf_dir() / "model" / f"ioi-mini-{seed}.yaml").read_text()
    assert f"name: ioi-mini-{seed}\n" in text
    assert f"ioi_mini/model-{seed}}}" in text
    file = find_named("auto", f"ioi-mini-{seed}")
    assert file is not None
    assert file.stem == f"ioi-mini-{seed}"
    assert load_reference(file)
