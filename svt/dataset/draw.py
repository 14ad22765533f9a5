"""Draw the words of templates, prompt by prompt.

1. Prompt i takes the next turn in cyclic order (a template and other balanced properties, such as
   the pattern) and draws its words from one seeded generator, until their combination is new. So
   the first prompts are independent of dataset.n_prompts.
2. Refuse more prompts than there are distinct ones, or than fit into memory, before drawing any.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from svt.config import GeneratedConfig
from svt.errors import DataError
from svt.system.memory import read_limits
from svt.system.progress import Progress

PROMPT_BYTES = 1500  # lower bound for a prompt; 1600 to 1700 were measured

Turn = TypeVar("Turn")
Words = tuple[str, ...]


def draw(
    config: GeneratedConfig,
    turns: Sequence[Turn],
    n_distinct: Callable[[Turn], int],
    words: Callable[[random.Random, Turn], Words],
    source: str,
) -> Iterator[tuple[Turn, Words]]:
    """Yield a turn and its words for each of dataset.n_prompts prompts.

    `n_distinct` returns the number of combinations of words of a turn; `source` describes
    the words in messages.
    """
    n_possible = min(n_distinct(turn) * len(turns) + i for i, turn in enumerate(turns))  # 2
    if config.n_prompts > n_possible:
        raise DataError(
            f"dataset.n_prompts={config.n_prompts}: only {n_possible} distinct prompts can be made "
            f"evenly from {source} and these templates and nouns; set fewer or add words"
        )
    use = f"dataset.n_prompts={config.n_prompts}: the prompts alone take"
    read_limits().check(config.n_prompts * PROMPT_BYTES, use, "set fewer")
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


def seed_counterfactual(config: GeneratedConfig, prompt_id: int) -> random.Random:
    """Return the generator for the words of one counterfactual, independent of other draws."""
    return random.Random(f"{config.counterfactual} {config.seed} {prompt_id}")
