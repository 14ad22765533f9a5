"""A prompt: its tokens, the positions of its roles, and the tokens that should follow."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from svt.dataset.tokenizer import Tokenizer

ROLE_PRECEDENCE = (
    "end", "IO", "S1", "S2", "S1+1", "verb", "end-1", "IO-1", "IO+1", "S1-1", "S2-1",
)  # fmt: skip
SHOWN = 5
"""Prompts in a note on unknown words."""


@dataclass(frozen=True)
class Prompt:
    """One prompt; `roles` maps every role to its position, and roles may share a position.

    `answer` and `distractor` are sets of tokens, mostly of one, in the order of their texts; empty
    where unknown. A counterfactual prompt has its kind, `counterfactual`, and the text and
    prompt_id of the prompt that it was derived from (`original`, `original_id`).
    """

    prompt_id: int
    text: str
    tokens: tuple[int, ...]
    token_texts: tuple[str, ...]
    roles: Mapping[str, int] = field(default_factory=dict)
    answer: tuple[int, ...] = ()
    distractor: tuple[int, ...] = ()
    answer_texts: tuple[str, ...] = ()
    distractor_texts: tuple[str, ...] = ()
    template: str | None = None
    pattern: str | None = None
    original_id: int | None = None
    original: str | None = None
    counterfactual: str | None = None


@dataclass(frozen=True)
class Dataset:
    """Prompts by ascending `prompt_id`, and notes on how they were made."""

    prompts: tuple[Prompt, ...]
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256 of all fields of the prompts."""
        text = json.dumps([asdict(prompt) for prompt in self.prompts], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def build_prompt(
    prompt_id: int,
    text: str,
    tokens: tuple[int, ...],
    roles: Mapping[str, int],
    answer: Iterable[int],
    distractor: Iterable[int],
    tokenizer: Tokenizer,
    template: str | None,
    pattern: str | None = None,
) -> Prompt:
    """Return a prompt with the texts of its tokens; answers and distractors by text and id."""
    answers, distractors = (
        tuple(sorted(set(ids), key=lambda token_id: (tokenizer.token_text(token_id), token_id)))
        for ids in (answer, distractor)
    )
    return Prompt(
        prompt_id, text, tokens, tokenizer.texts(tokens), roles, answers, distractors,
        tokenizer.texts(answers), tokenizer.texts(distractors), template, pattern,
    )  # fmt: skip


def note_unknown_words(prompts: Mapping[str, Prompt], tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return a note on the words that the tokenizer does not know, if there are any.

    The keys of `prompts` are the places of the prompts, such as line 3 or prompt 2.
    """
    unknown = {
        where: words
        for where, prompt in prompts.items()
        if (words := tokenizer.unknown_words(prompt.text, prompt.tokens))
    }
    if not unknown:
        return ()
    shown = [f"{where}: {', '.join(map(repr, unknown[where]))}" for where in [*unknown][:SHOWN]]
    more = f"; and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
    return (
        f"{len(unknown)} of {len(prompts)} prompts have words that the tokenizer does not know "
        f"({'; '.join(shown)}{more})",
    )


def derive_roles(at: Mapping[str, int], end: int) -> dict[str, int]:
    """Return all roles of ioi from the positions of IO, S1 and S2, and of the verb if known."""
    roles = {
        "end": end,
        **{role: at[role] for role in ("IO", "S1", "S2", "verb") if role in at},
        "S1+1": at["S1"] + 1,
        "end-1": end - 1,
        "IO-1": at["IO"] - 1,
        "IO+1": at["IO"] + 1,
        "S1-1": at["S1"] - 1,
        "S2-1": at["S2"] - 1,
    }
    return {role: position for role, position in roles.items() if position >= 0}


def role_labels(prompt: Prompt) -> dict[int, str]:
    """Return one role of each position: the first in ROLE_PRECEDENCE, else in the prompt."""
    known = [role for role in ROLE_PRECEDENCE if role in prompt.roles]
    others = [role for role in prompt.roles if role not in ROLE_PRECEDENCE]
    labels: dict[int, str] = {}
    for role in known + others:
        labels.setdefault(prompt.roles[role], role)
    return labels
