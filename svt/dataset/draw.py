"""Draw the words of templates, prompt by prompt.

1. Prompt i takes the next turn in cyclic order, a template and a variant such as its pattern, and
   draws its words and nouns from one seeded generator, until their combination is new. So the
   first prompts are independent of dataset.n_prompts.
2. Refuse more prompts than there are distinct ones, or than fit into memory, before drawing any.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from svt.config import GeneratedConfig
from svt.dataset.template import Template
from svt.errors import DataError
from svt.system.memory import read_limits
from svt.system.progress import Progress

PROMPT_BYTES = 1500  # lower bound for a prompt; 1600 to 1700 were measured

Turn = tuple[Template, str]
Words = tuple[str, ...]


def draw(
    config: GeneratedConfig,
    turns: Sequence[Turn],
    nouns: Mapping[str, Sequence[str]],
    n_words: Callable[[str], int],
    draw_words: Callable[[random.Random, str], Words],
    source: str,
) -> Iterator[tuple[Turn, Words, dict[str, str]]]:
    """Yield a turn, its words and its nouns by kind for each of dataset.n_prompts prompts.

    `n_words` returns the number of combinations of words of a variant; `source` describes the
    words in messages. DataError when there are fewer distinct prompts.
    """
    n_distinct = [
        n_words(variant) * math.prod(len(nouns[kind]) for kind in template.nouns)
        for template, variant in turns
    ]
    n_possible = min(n * len(turns) + i for i, n in enumerate(n_distinct))  # 2
    if config.n_prompts > n_possible:
        raise DataError(
            f"dataset.n_prompts={config.n_prompts}: only {n_possible} distinct prompts can be made "
            f"evenly from {source} and these templates and nouns; set fewer or add words"
        )
    use = f"dataset.n_prompts={config.n_prompts}: the prompts alone take"
    read_limits().check(config.n_prompts * PROMPT_BYTES, use, "set fewer")
    rng = random.Random(config.seed)
    used: set[tuple[int, Words, Words]] = set()
    with Progress("prompts", config.n_prompts, "drawn") as progress:
        while len(used) < config.n_prompts:  # 1
            number = len(used) % len(turns)
            template, variant = turns[number]
            words = draw_words(rng, variant)
            chosen = tuple(rng.choice(nouns[kind]) for kind in template.nouns)
            if (number, words, chosen) not in used:
                used.add((number, words, chosen))
                yield turns[number], words, dict(zip(template.nouns, chosen, strict=True))
                progress.advance(1)


def seed_counterfactual(config: GeneratedConfig, prompt_id: int) -> random.Random:
    """Return the generator for the words of one counterfactual, independent of other draws."""
    return random.Random(f"{config.counterfactual} {config.seed} {prompt_id}")
