"""The prompts of a store, with tokens, roles and answers as they were: dataset=store.

1. dataset.path is opened as svt-sql opens it; its prompts are read (sql/store/prompts.sql).
2. Every token must say with the model's tokenizer what it says in the store.
3. The first dataset.n_prompts are kept. A position has the one role that the store knows.
"""

from collections.abc import Sequence
from typing import Any

import duckdb

from svt.config import StoredConfig
from svt.dataset import Dataset, Prompt, Tokenizer
from svt.db.target import open_target
from svt.errors import DataError
from svt.paths import expanded, sql_dir


def stored_prompts(config: StoredConfig, tokenizer: Tokenizer) -> Dataset:
    """The prompts and the notes of dataset.path; DataError when it has none for this model."""
    text = (sql_dir() / "store" / "prompts.sql").read_text(encoding="utf-8")
    with open_target(expanded(config.path)) as con:  # 1
        try:
            found = con.execute(text, {"n_prompts": config.n_prompts})
        except duckdb.CatalogException as error:
            raise DataError(
                f"dataset.path={config.path} has no store beside it any more, so no prompts"
            ) from error
        names = [name for name, *_ in found.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        (notes,) = con.execute("SELECT from_json(notes, '[\"VARCHAR\"]') FROM dump").fetchall()
    prompts = tuple(_prompt(row) for row in rows)
    _check_tokens(config, prompts, tokenizer)
    if not prompts:
        raise DataError(f"dataset.path={config.path} has no prompts")
    return Dataset(prompts, tuple(notes[0] or ()))


def _prompt(row: dict[str, Any]) -> Prompt:
    lists = ("tokens", "token_texts", "answer", "distractor", "answer_texts", "distractor_texts")
    read = {name: tuple(row[name] or ()) for name in lists}
    return Prompt(**row | read | {"roles": row["roles"] or {}})


def _check_tokens(config: StoredConfig, prompts: Sequence[Prompt], tokenizer: Tokenizer) -> None:
    """Step 2."""
    for prompt in prompts:
        for token_id, text in (
            *zip(prompt.tokens, prompt.token_texts, strict=True),
            *zip(prompt.answer, prompt.answer_texts, strict=True),
            *zip(prompt.distractor, prompt.distractor_texts, strict=True),
        ):
            said = tokenizer.token_text(token_id) if tokenizer.has(token_id) else None
            if said != text:
                now = "nothing" if said is None else repr(said)
                raise DataError(
                    f"dataset.path={config.path} was made with another tokenizer: token {token_id} "
                    f"says {text!r} there and {now} with this model's. Take the model that it was "
                    "made with, or give the texts as a prompt file (dataset=file)"
                )
