"""Counterfactual prompts: prompts in which a few words are replaced.

dataset.counterfactual replaces each generated prompt by its counterfactual with the same prompt_id,
template, nouns and roles:

1. swapped   ioi: indirect object and subject are swapped; gendered_pronoun: a name of the other
             gender. Answer and distractor are swapped too, so the answer is correct after the
             counterfactual prompt.
2. abc       ioi: three distinct names that are not in the original prompt, so no name is correct.
             Answer and distractor are those of the original prompt, and the logit difference
             measures what remains of its preference.
3. year01    greater_than: the year ends in 01, so nearly every year is greater. Answers and
             distractors are those of the original prompt.
"""

from collections.abc import Collection
from dataclasses import replace

from svt.config import GeneratedConfig
from svt.dataset.prompt import Prompt
from svt.errors import DataError


def link_counterfactual(
    changed: Prompt, original: Prompt, config: GeneratedConfig, roles: Collection[str]
) -> Prompt:
    """Return `changed` as the counterfactual of `original`.

    DataError unless their tokens differ at most at the positions of `roles`.
    """
    places = {original.roles[role] for role in roles}
    same = len(changed.tokens) == len(original.tokens) and all(
        a == b or i in places
        for i, (a, b) in enumerate(zip(changed.tokens, original.tokens, strict=True))
    )
    if not same or changed.roles != original.roles:
        raise DataError(
            f"dataset.counterfactual={config.counterfactual}: the tokens of {changed.text!r} are "
            f"not those of {original.text!r} with other words; remove the words that the model's "
            "tokenizer merges with their neighbours"
        )
    source = changed if config.counterfactual == "swapped" else original
    return replace(
        changed,
        answer=source.answer,
        distractor=source.distractor,
        answer_texts=source.answer_texts,
        distractor_texts=source.distractor_texts,
        original_id=original.prompt_id,
        original=original.text,
        counterfactual=config.counterfactual,
    )
