"""Prompts: generated, or read from files; tokens, roles and answers, without torch.

1. Build the whole dataset, its texts beginning as dataset.bos says; that of dataset=store is
   given, for svt/dataset/stored.py reads it.
2. Cut out the shard asked for: consecutive prompts, which keep their prompt_id.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from svt.config import DatasetConfig, StoredConfig
from svt.dataset.gendered_pronoun import gendered_pronoun_files, gendered_pronoun_prompts
from svt.dataset.greater_than import greater_than_files, greater_than_prompts
from svt.dataset.hub import hub_prompts
from svt.dataset.ioi import ioi_files, ioi_prompts
from svt.dataset.prompt import ROLE_PRECEDENCE, Dataset, Prompt, role_labels
from svt.dataset.prompt_file import file_prompts
from svt.dataset.rows import prompt_rows
from svt.dataset.single_prompt import single_prompt
from svt.dataset.text import text_file, text_prompts
from svt.dataset.tokenizer import Tokenizer
from svt.dataset.tokenizer_files import load_tokenizer
from svt.errors import DataError
from svt.paths import expanded

__all__ = [
    "ROLE_PRECEDENCE",
    "Dataset",
    "Prompt",
    "Tokenizer",
    "check_fits",
    "dataset_files",
    "load_prompts",
    "load_tokenizer",
    "prompt_rows",
    "role_labels",
]

_BUILDERS: Mapping[str, Callable[[Any, Tokenizer], Dataset]] = {
    "ioi": ioi_prompts,
    "greater_than": greater_than_prompts,
    "gendered_pronoun": gendered_pronoun_prompts,
    "file": file_prompts,
    "prompt": single_prompt,
    "hub": hub_prompts,
    "text": text_prompts,
}
_FILES: Mapping[str, Callable[[Any], tuple[Path, ...]]] = {
    "ioi": ioi_files,
    "greater_than": greater_than_files,
    "gendered_pronoun": gendered_pronoun_files,
    "file": lambda config: (expanded(config.path),),
    "text": lambda config: (text_file(config),),
}


def load_prompts(
    config: DatasetConfig, tokenizer: Tokenizer, stored: Dataset | None = None
) -> Dataset:
    """The prompts of this shard by ascending prompt_id; DataError if a file of it is wrong."""
    if not isinstance(config, StoredConfig):
        tokenizer = tokenizer.with_bos(config.bos)
    whole = stored or _BUILDERS[config.name](config, tokenizer)  # 1
    for one, other in pairwise(prompt.prompt_id for prompt in whole.prompts):
        if one >= other:
            raise DataError(
                f"dataset={config.name} gives prompt {other} after prompt {one}; every prompt_id "
                "must be greater than the one before"
            )
    n = len(whole.prompts)
    first, last = (n * shard // config.n_shards for shard in (config.shard, config.shard + 1))
    prompts = whole.prompts[first:last]  # 2
    if not prompts:
        raise DataError(
            f"dataset.shard={config.shard} of dataset.n_shards={config.n_shards} is empty: "
            f"there are {n} prompts"
        )
    notes = dict.fromkeys(whole.notes + _unknown_words(prompts, tokenizer))
    return Dataset(prompts, tuple(notes))


def dataset_files(config: DatasetConfig) -> tuple[Path, ...]:
    """The files that, with the settings and the tokenizer, determine the prompts.

    Without any (dataset=prompt, hub, store) the prompts themselves do: Dataset.digest.
    """
    return _FILES[config.name](config) if config.name in _FILES else ()


def check_fits(prompts: Sequence[Prompt], n_ctx: int, d_vocab: int) -> None:
    """DataError if a prompt is longer than the model's context or has tokens the model lacks."""
    long = [prompt for prompt in prompts if len(prompt.tokens) > n_ctx]
    if long:
        most = max(len(prompt.tokens) for prompt in long)
        raise DataError(
            f"{_told(long)} longer than the model's context of {n_ctx} tokens (up to {most}); "
            "shorten the prompts or, for texts, lower dataset.n_tokens"
        )
    foreign = [
        prompt
        for prompt in prompts
        if max(prompt.tokens + prompt.answer + prompt.distractor) >= d_vocab
    ]
    if foreign:
        raise DataError(
            f"{_told(foreign)} not all in the model's vocabulary of {d_vocab} tokens: "
            "tokenizer and model do not belong together"
        )


def _told(prompts: Sequence[Prompt]) -> str:
    ids = ", ".join(str(prompt.prompt_id) for prompt in prompts[:10])
    rest = f" and {len(prompts) - 10} more" if len(prompts) > 10 else ""
    return f"prompts {ids}{rest} are" if len(prompts) > 1 else f"prompt {ids} is"


def _unknown_words(prompts: Sequence[Prompt], tokenizer: Tokenizer) -> tuple[str, ...]:
    n_bos = len(tokenizer.prefix)  # the BOS token may be the unknown one, too
    unknown = sum(
        tokenizer.unknown_id in prompt.tokens[n_bos * (prompt.tokens[:n_bos] == tokenizer.prefix) :]
        for prompt in prompts
    )
    if not unknown:
        return ()
    return (f"{unknown} of {len(prompts)} prompts have words that the tokenizer does not know",)
