"""What fills the templates, drawn prompt by prompt.

1. Prompt i takes its turn (a template, and with it a pattern or whatever else is to be spread
   evenly) in order, and draws its words from one seeded generator; a combination that was used is
   drawn again. So the first prompts are the same whatever dataset.n_prompts is.
2. More prompts than can be made so, or than memory could hold, are refused before any is drawn.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from svt.config import GeneratedConfig
from svt.errors import DataError
from svt.system.memory import limits
from svt.system.progress import Progress

PROMPT_BYTES = 1500  # what a prompt takes at least: 1600 to 1700 were measured

Turn = TypeVar("Turn")
Words = tuple[str, ...]


def draw(
    config: GeneratedConfig,
    turns: Sequence[Turn],
    n_distinct: Callable[[Turn], int],
    words: Callable[[random.Random, Turn], Words],
    told: str,
) -> Iterator[tuple[Turn, Words]]:
    """dataset.n_prompts times a turn and its words.

    `n_distinct` says how many combinations of words a turn has, `told` what they are made from.
    """
    most = min(n_distinct(turn) * len(turns) + i for i, turn in enumerate(turns))  # 2
    if config.n_prompts > most:
        raise DataError(
            f"dataset.n_prompts={config.n_prompts}: only {most} distinct prompts can be made "
            f"evenly from {told} and these templates and nouns; ask for fewer or give more of them"
        )
    needed_by = f"dataset.n_prompts={config.n_prompts}: the prompts alone take"
    limits().check(config.n_prompts * PROMPT_BYTES, needed_by, "ask for fewer")
    rng = random.Random(config.seed)
    used: set[tuple[int, Words]] = set()
    with Progress("prompts", config.n_prompts, "drawn") as progress:
        while len(used) < config.n_prompts:  # 1
            number = len(used) % len(turns)
            chosen = words(rng, turns[number])
            if (number, chosen) not in used:
                used.add((number, chosen))
                yield turns[number], chosen
                progress.advance(1)


def other_draw(config: GeneratedConfig, prompt_id: int) -> random.Random:
    """For the words of one prompt's counterfactual, whatever else is drawn."""
    return random.Random(f"{config.counterfactual} {config.seed} {prompt_id}")
