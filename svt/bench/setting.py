"""The model and prompts of the benchmark: a checkpoint of GPT-2 small's shape.

1. Make a model of 12 layers, 12 heads, width 768 and random weights.
2. Make every head attend to the first token, as GPT-2's heads do: the first position gets a long
   embedding, and every query a bias along the key of that position that adds 1 to 4 to the score.
3. Sharpen the queries and keys of randomly drawn heads until about 50 pairs per prompt fire, as in
   GPT-2 small on IOI; bisection determines the number of heads.
4. Prompts are IOI prompts of the default templates, or random tokens where the length varies.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from transformers import GPT2Config, GPT2LMHeadModel

from svt.cli.resolvers import register_resolvers
from svt.config import Config, from_mapping
from svt.dataset import Dataset, Prompt, load_prompts, load_tokenizer
from svt.model.files import localise
from svt.paths import conf_dir

FIRING_PAIRS = 50
SHARPNESS = 6.0
BIAS = (1.0, 4.0)
STRONG = ("dump.min_weight=0.5", "dump.sample=0", "dump.effects=false")
EVERYTHING = ("dump.min_weight=0", "dump.sample=0", "dump.effects=false")


def configuration(folder: Path, *overrides: str) -> Config:
    """Return the default configuration with the checkpoint in `folder`."""
    config = _default_config(*overrides)
    return replace(config, model=replace(config.model, name="bench", path=str(folder)))


def draw_ioi(n: int) -> Dataset:
    """Return `n` prompts of the bundled tokenizer, whose ids are used as ids of GPT-2."""
    config = _default_config(f"dataset.n_prompts={n}")
    return load_prompts(config.dataset, load_tokenizer(Path(str(config.model.path))))


def load_smollm2(n: int) -> tuple[Config, Dataset]:
    """Return the configuration of SmolLM2 and `n` prompts; SvtError if it is not installed."""
    config = _default_config("model=smollm2", f"dataset.n_prompts={n}")
    config = replace(config, model=localise(config.model))
    return config, load_prompts(config.dataset, load_tokenizer(Path(str(config.model.path))))


def _default_config(*overrides: str) -> Config:
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        tree: Any = OmegaConf.to_container(compose("config", list(overrides)), resolve=True)
    return from_mapping(tree)


def draw_random(n: int, length: int, d_vocab: int) -> Dataset:
    """Return `n` prompts of `length` random tokens."""
    tokens = np.random.default_rng(length).integers(d_vocab, size=(n, length)).tolist()
    texts, roles = ("",) * length, {"end": length - 1}
    return Dataset(tuple(Prompt(i, "", tuple(row), texts, roles) for i, row in enumerate(tokens)))


def make_checkpoint(folder: Path, prompts: Sequence[Prompt]) -> None:
    """Write the checkpoint into `folder` (steps 1 to 3)."""
    torch.manual_seed(0)
    shape = GPT2Config()
    model = GPT2LMHeadModel(shape).eval()  # 1
    model.set_attn_implementation("eager")
    attention = [block.attn.c_attn for block in model.transformer.h]
    plain = [layer.weight.detach().clone() for layer in attention]
    width = shape.n_embd // shape.n_head
    first = torch.nn.functional.layer_norm(torch.randn(shape.n_embd), (shape.n_embd,))
    model.transformer.wpe.weight.data[0] = first  # 2
    strengths = torch.empty(shape.n_layer, shape.n_head, 1).uniform_(*BIAS)
    heads = torch.randperm(shape.n_layer * shape.n_head).tolist()
    few, many = 0, len(heads)
    while many - few > 1:  # 3
        middle = (few + many) // 2
        for layer, before in zip(attention, plain, strict=True):
            layer.weight.data.copy_(before)
        for at, head in (divmod(index, shape.n_head) for index in heads[:middle]):
            for part in (0, shape.n_embd):  # queries, keys
                columns = slice(part + width * head, part + width * (head + 1))
                attention[at].weight.data[:, columns] *= SHARPNESS
        for layer, strength in zip(attention, strengths, strict=True):
            key = (first @ layer.weight.data[:, shape.n_embd : 2 * shape.n_embd]).view(-1, width)
            bias = strength * width**0.5 * key / key.square().sum(1, keepdim=True)
            layer.bias.data[: shape.n_embd] = bias.flatten()
        few, many = (
            (few, middle) if _count_firings(model, prompts[:16]) > FIRING_PAIRS else (middle, many)
        )
    model.save_pretrained(folder)


def _count_firings(model: GPT2LMHeadModel, prompts: Sequence[Prompt]) -> float:
    """Return the firing pairs per prompt: weight at least 0.5, the source not the first token."""
    n_firing = 0
    with torch.inference_mode():
        for prompt in prompts:
            out = model(torch.tensor([prompt.tokens]), output_attentions=True)
            n_firing += sum(int((layer[..., 1:] >= 0.5).sum()) for layer in out.attentions)
    return n_firing / len(prompts)
