"""Prompts, generated or read from files, with tokens, roles and answers; without torch.

1. Build the whole dataset with the BOS token that dataset.bos selects. Prompts of dataset=store are
   read by svt/dataset/stored.py.
2. Select the shard: consecutive prompts, with their prompt_id of the whole dataset.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from svt.config import DatasetConfig, GeneratedConfig, PromptFileConfig, StoredConfig, TextConfig
from svt.dataset.files import resolve_files
from svt.dataset.gendered_pronoun import make_gendered_pronoun_prompts
from svt.dataset.greater_than import make_greater_than_prompts
from svt.dataset.hub import load_hub_prompts
from svt.dataset.ioi import make_ioi_prompts
from svt.dataset.prompt import ROLE_PRECEDENCE, Dataset, Prompt, note_unknown_words, role_labels
from svt.dataset.prompt_file import make_single_prompt, read_file_prompts
from svt.dataset.rows import make_prompt_rows
from svt.dataset.text import find_text_file, read_text_prompts
from svt.dataset.tokenizer import Tokenizer
from svt.dataset.tokenizer_files import load_tokenizer
from svt.errors import DataError
from svt.paths import expand_home

__all__ = [
    "ROLE_PRECEDENCE",
    "Dataset",
    "Prompt",
    "Tokenizer",
    "check_fit",
    "list_dataset_files",
    "load_prompts",
    "load_tokenizer",
    "make_prompt_rows",
    "role_labels",
]

_BUILDERS: Mapping[str, Callable[[Any, Tokenizer], Dataset]] = {
    "ioi": make_ioi_prompts,
    "greater_than": make_greater_than_prompts,
    "gendered_pronoun": make_gendered_pronoun_prompts,
    "file": read_file_prompts,
    "prompt": make_single_prompt,
    "hub": load_hub_prompts,
    "text": read_text_prompts,
}


def load_prompts(
    config: DatasetConfig, tokenizer: Tokenizer, stored: Dataset | None = None
) -> Dataset:
    """Return the prompts of the shard by ascending prompt_id; DataError if a file is invalid."""
    if not isinstance(config, StoredConfig):
        tokenizer = tokenizer.with_bos(config.bos)
    whole = stored or _BUILDERS[config.name](config, tokenizer)  # 1
    for previous, current in pairwise(prompt.prompt_id for prompt in whole.prompts):
        if previous >= current:
            raise DataError(
                f"dataset={config.name} has prompt {current} after prompt {previous}; every "
                "prompt_id must be greater than the one before"
            )
    n = len(whole.prompts)
    first, last = (n * shard // config.n_shards for shard in (config.shard, config.shard + 1))
    prompts = whole.prompts[first:last]  # 2
    if not prompts:
        raise DataError(
            f"dataset.shard={config.shard} of dataset.n_shards={config.n_shards} is empty: "
            f"there are {n} prompts"
        )
    notes = whole.notes
    if config.name not in ("file", "text", "store"):  # these have notes of their own, by line
        named = {f"prompt {prompt.prompt_id}": prompt for prompt in prompts}
        notes += note_unknown_words(named, tokenizer)
    return Dataset(prompts, tuple(dict.fromkeys(notes)))


def list_dataset_files(config: DatasetConfig) -> tuple[Path, ...]:
    """Return the files that, with the settings and the tokenizer, determine the prompts.

    dataset=prompt, hub and store have no such files; use Dataset.digest for them.
    """
    if isinstance(config, GeneratedConfig):
        return resolve_files(config)
    if isinstance(config, TextConfig):
        return (find_text_file(config),)
    return (expand_home(config.path),) if isinstance(config, PromptFileConfig) else ()


def check_fit(prompts: Sequence[Prompt], n_ctx: int, d_vocab: int) -> None:
    """Raise DataError if a prompt exceeds the model's context or its vocabulary."""
    long = [prompt for prompt in prompts if len(prompt.tokens) > n_ctx]
    if long:
        longest = max(len(prompt.tokens) for prompt in long)
        raise DataError(
            f"{_name_prompts(long)} longer than the model's context of {n_ctx} tokens (up to "
            f"{longest}); shorten the prompts or, for texts, lower dataset.n_tokens"
        )
    foreign = [
        prompt
        for prompt in prompts
        if max(prompt.tokens + prompt.answer + prompt.distractor) >= d_vocab
    ]
    if foreign:
        raise DataError(
            f"{_name_prompts(foreign)} not all in the model's vocabulary of {d_vocab} tokens: "
            "tokenizer and model do not belong together"
        )


def _name_prompts(prompts: Sequence[Prompt]) -> str:
    ids = ", ".join(str(prompt.prompt_id) for prompt in prompts[:10])
    rest = f" and {len(prompts) - 10} more" if len(prompts) > 10 else ""
    return f"prompts {ids}{rest} are" if len(prompts) > 1 else f"prompt {ids} is"
