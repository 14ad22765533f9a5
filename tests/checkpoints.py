"""Small checkpoints in Hugging Face's format: config.json, model.safetensors, tokenizer.json."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel
from transformers.utils import logging

WORDS = tuple(f"w{i}" for i in range(99))


def tiny_gpt2(
    folder: Path,
    n_layers: int = 3,
    n_heads: int = 4,
    d_model: int = 32,
    seed: int = 0,
    sharp: float = 1.0,
    n_ctx: int = 64,
    words: Sequence[str] = WORDS,
    **config: object,
) -> Path:
    """A GPT-2 with seeded random weights and one word a token.

    `sharp` scales the queries, so that heads fire. Returns `folder`. Token 0 is `<unk>`, token i is
    `words[i - 1]`.
    """
    settings = GPT2Config(
        vocab_size=len(words) + 1,
        n_positions=n_ctx,
        n_embd=d_model,
        n_layer=n_layers,
        n_head=n_heads,
        bos_token_id=0,
        eos_token_id=0,
        **config,
    )
    generator = torch.Generator().manual_seed(seed)
    model = GPT2LMHeadModel(settings)
    for name, weight in model.named_parameters():
        centre = 1.0 if "ln_" in name and name.endswith("weight") else 0.0
        weight.data = centre + torch.empty_like(weight).normal_(0, 0.2, generator=generator)
        if "c_attn" in name:  # the queries are the first third of the columns
            weight.data[..., :d_model] *= sharp
    return save(folder, model, words)


def save(folder: Path, model: PreTrainedModel, words: Sequence[str] = WORDS) -> Path:
    """Write `model` and a word-level tokenizer as a checkpoint folder."""
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)
    finally:
        if bars:
            logging.enable_progress_bar()
    vocabulary = {"<unk>": 0, **{word: i + 1 for i, word in enumerate(words)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
