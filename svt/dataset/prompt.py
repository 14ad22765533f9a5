"""A prompt: its tokens, which of them play a role, and what the model should say next."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ROLE_PRECEDENCE = (
    "end",
    "IO",
    "S1",
    "S2",
    "S1+1",
    "verb",
    "end-1",
    "IO-1",
    "IO+1",
    "S1-1",
    "S2-1",
)


@dataclass(frozen=True)
class Prompt:
    """One prompt; `roles` maps every role to its position, so a position may have several."""

    prompt_id: int
    text: str
    tokens: tuple[int, ...]
    token_texts: tuple[str, ...]
    roles: Mapping[str, int] = field(default_factory=dict)
    answer: int | None = None
    distractor: int | None = None
    answer_text: str | None = None
    distractor_text: str | None = None
    template: str | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class Dataset:
    """Prompts by ascending `prompt_id`, and notes for the reader on how they were made."""

    prompts: tuple[Prompt, ...]
    notes: tuple[str, ...] = ()


def role_labels(prompt: Prompt) -> dict[int, str]:
    """Position -> its one label: the first in ROLE_PRECEDENCE, then other roles as given."""
    known = [role for role in ROLE_PRECEDENCE if role in prompt.roles]
    others = [role for role in prompt.roles if role not in ROLE_PRECEDENCE]
    labels: dict[int, str] = {}
    for role in known + others:
        labels.setdefault(prompt.roles[role], role)
    return labels
