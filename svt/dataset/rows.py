"""Prompts as columns of the store's tables `prompts`, `tokens`, `roles` and `answers`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from svt.dataset.prompt import Prompt, role_labels

Columns = dict[str, Any]  # numpy arrays of numbers, lists of texts or None


def make_prompt_rows(prompts: Sequence[Prompt]) -> dict[str, Columns]:
    """Return the columns of each table, in the order of the prompts, then of positions.

    `prompts` lacks logit_diff and correct, which the forward pass computes. `roles` has one role
    per position (see role_labels).
    """
    labels = [sorted(role_labels(prompt).items()) for prompt in prompts]
    lengths = [len(prompt.tokens) for prompt in prompts]
    ids = np.array([prompt.prompt_id for prompt in prompts], np.int32)
    answers = [
        (prompt.prompt_id, kind, token_id, text)
        for prompt in prompts
        for kind, token_ids, texts in (
            ("answer", prompt.answer, prompt.answer_texts),
            ("distractor", prompt.distractor, prompt.distractor_texts),
        )
        for token_id, text in zip(token_ids, texts, strict=True)
    ]
    return {
        "prompts": {
            "prompt_id": ids,
            "text": [prompt.text for prompt in prompts],
            "n_tokens": np.array(lengths, np.uint16),
            "template": [prompt.template for prompt in prompts],
            "pattern": [prompt.pattern for prompt in prompts],
            "answer": [_join(prompt.answer_texts) for prompt in prompts],
            "distractor": [_join(prompt.distractor_texts) for prompt in prompts],
            "original_id": _original_ids(prompts),
            "original": [prompt.original for prompt in prompts],
            "counterfactual": [prompt.counterfactual for prompt in prompts],
        },
        "tokens": {
            "prompt_id": np.repeat(ids, lengths),
            "pos": np.array([pos for n in lengths for pos in range(n)], np.uint16),
            "token_id": np.array([t for prompt in prompts for t in prompt.tokens], np.int32),
            "token": [text for prompt in prompts for text in prompt.token_texts],
        },
        "roles": {
            "prompt_id": np.repeat(ids, [len(rows) for rows in labels]),
            "role": [role for rows in labels for _, role in rows],
            "pos": np.array([pos for rows in labels for pos, _ in rows], np.uint16),
        },
        "answers": {
            "prompt_id": np.array([prompt_id for prompt_id, *_ in answers], np.int32),
            "kind": [kind for _, kind, *_ in answers],
            "token_id": np.array([token_id for *_, token_id, _ in answers], np.int32),
            "token": [text for *_, text in answers],
        },
    }


def _join(texts: Sequence[str]) -> str | None:
    return "|".join(texts) if texts else None


def _original_ids(prompts: Sequence[Prompt]) -> Any:
    ids = [prompt.original_id for prompt in prompts]
    return np.ma.array([i or 0 for i in ids], np.int32, mask=[i is None for i in ids])
