"""Read the prompts of a store, with tokens, roles and answers: dataset=store.

1. Open dataset.path as svt-sql does, and read the first dataset.n_prompts prompts
   (sql/store/prompts.sql). The store has one role per position.
2. Check that every token has the same text with the model's tokenizer as in the store.
"""

from collections.abc import Sequence
from typing import Any

import duckdb

from svt.config import StoredConfig
from svt.dataset import Dataset, Prompt, Tokenizer
from svt.db.target import open_target
from svt.errors import DataError
from svt.paths import expand_home, read_sql


def read_stored_prompts(config: StoredConfig, tokenizer: Tokenizer) -> Dataset:
    """Return the prompts and notes of dataset.path; DataError without prompts for this model."""
    with open_target(expand_home(config.path)) as con:  # 1
        try:
            result = con.execute(read_sql("store/prompts"), {"n_prompts": config.n_prompts})
        except duckdb.CatalogException as error:
            raise DataError(
                f"dataset.path={config.path} has lost its store, and with it the prompts"
            ) from error
        names = [name for name, *_ in result.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        (notes,) = con.execute("SELECT from_json(notes, '[\"VARCHAR\"]') FROM dump").fetchall()
    prompts = tuple(_make_prompt(row) for row in rows)
    _check_tokens(config, prompts, tokenizer)
    if not prompts:
        raise DataError(f"dataset.path={config.path} has no prompts")
    return Dataset(prompts, tuple(notes[0] or ()))


def _make_prompt(row: dict[str, Any]) -> Prompt:
    lists = ("tokens", "token_texts", "answer", "distractor", "answer_texts", "distractor_texts")
    values = {name: tuple(row[name] or ()) for name in lists}
    return Prompt(**row | values | {"roles": row["roles"] or {}})


def _check_tokens(config: StoredConfig, prompts: Sequence[Prompt], tokenizer: Tokenizer) -> None:
    """Raise DataError when the tokenizer has another text for a token (step 2)."""
    for prompt in prompts:
        ids = prompt.tokens + prompt.answer + prompt.distractor
        texts = prompt.token_texts + prompt.answer_texts + prompt.distractor_texts
        for token_id, text in zip(ids, texts, strict=True):
            own_text = tokenizer.token_text(token_id) if tokenizer.has(token_id) else None
            if own_text != text:
                own = "nothing" if own_text is None else repr(own_text)
                raise DataError(
                    f"dataset.path={config.path} was made with another tokenizer: token {token_id} "
                    f"is {text!r} there and {own} with this model's. Use the model of the "
                    "store, or pass the texts as a prompt file (dataset=file)"
                )
