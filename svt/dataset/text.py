"""Texts without roles or answers, for the comparison with non-specific input.

1. A document is a line of a text file, or the `text` of a line of a JSONL file. Skip blank lines.
2. Truncate each to its first dataset.n_tokens tokens. Skip those of fewer than two tokens, which
   leave nothing to attend to.
3. The first dataset.n_prompts remaining documents are the prompts, numbered from 0.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from svt.config import TextConfig
from svt.dataset.files import number_lines, read_text
from svt.dataset.prompt import Dataset, Prompt, note_unknown_words
from svt.dataset.tokenizer import Tokenizer
from svt.errors import DataError
from svt.paths import conf_dir, expand_home


def find_text_file(config: TextConfig) -> Path:
    """Return dataset.path; null selects the shipped text in the language of the bundled model."""
    if config.path is not None:
        return expand_home(config.path)
    return conf_dir() / "dataset" / "text" / "ioi-mini.txt"


def read_text_prompts(config: TextConfig, tokenizer: Tokenizer) -> Dataset:
    """Return prompts of at most dataset.n_tokens tokens; notes count the shorter ones."""
    path = find_text_file(config)
    prompts: dict[str, Prompt] = {}
    skipped = 0
    for where, document in _read_documents(path):
        if len(prompts) == config.n_prompts:
            break
        try:
            encoding = tokenizer.encode_spans(document)  # 2
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
        tokens = encoding.ids[: config.n_tokens]
        if len(tokens) < 2:
            skipped += 1
            continue
        text = document[: encoding.spans[len(tokens) - 1][1]]
        prompts[where] = Prompt(len(prompts), text, tokens, tokenizer.texts(tokens))  # 3
    if not prompts:
        raise DataError(f"dataset.path {path} has no text of two tokens or more")
    short = sum(len(prompt.tokens) < config.n_tokens for prompt in prompts.values())
    notes = [*note_unknown_words(prompts, tokenizer)]
    if skipped:
        notes.append(f"{skipped} texts of fewer than two tokens were skipped")
    if short:
        notes.append(f"{short} of {len(prompts)} texts have fewer than {config.n_tokens} tokens")
    if config.n_prompts is not None and len(prompts) < config.n_prompts:
        notes.append(f"{path} has {len(prompts)} texts, fewer than n_prompts={config.n_prompts}")
    return Dataset(tuple(prompts.values()), tuple(notes))


def _read_documents(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the documents of a file with their places, `FILE:LINE` (step 1)."""
    json_lines = path.suffix.lower() in (".jsonl", ".ndjson")
    for number, line in number_lines(read_text(path, "dataset.path")):
        where = f"{path}:{number}"
        if not json_lines:
            yield where, line
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON: {error}") from error
        text = row.get("text") if isinstance(row, dict) else None
        if not isinstance(text, str):
            raise DataError(
                f'{where}: each line must be an object with a text, as {{"text": "..."}}'
            )
        yield where, text
