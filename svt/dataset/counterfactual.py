"""Counterfactual prompts: other words at a few places of a prompt, all else as it was.

dataset.counterfactual makes each prompt of a generator into its counterfactual, which keeps the
prompt_id, template, nouns and roles:

1. swapped   ioi: indirect object and subject change places, so each is right where the other was;
             gendered_pronoun: a name of the other gender. Answer and distractor are exchanged: what
             is right after the changed prompt is its answer.
2. abc       ioi: three names, none of them twice and none that the prompt had, so nobody is asked
             for. Answer and distractor are those of the original prompt, and the logit difference
             tells what is left of it.
3. year01    greater_than: the year ends in 01, so nearly every year is greater. Answers and
             distractors are those of the original prompt.
"""

from collections.abc import Collection
from dataclasses import replace

from svt.config import GeneratedConfig
from svt.dataset.prompt import Prompt
from svt.errors import DataError


def linked(
    changed: Prompt, original: Prompt, config: GeneratedConfig, at: Collection[str]
) -> Prompt:
    """`changed` as the counterfactual; DataError unless tokens differ at most at the roles `at`."""
    places = {original.roles[role] for role in at}
    same = len(changed.tokens) == len(original.tokens) and all(
        a == b or i in places
        for i, (a, b) in enumerate(zip(changed.tokens, original.tokens, strict=True))
    )
    if not same or changed.roles != original.roles:
        raise DataError(
            f"dataset.counterfactual={config.counterfactual}: the tokens of {changed.text!r} are "
            f"not those of {original.text!r} with other words; leave out what the model's "
            "tokenizer runs together"
        )
    asked = changed if config.counterfactual == "swapped" else original
    return replace(
        changed,
        answer=asked.answer,
        distractor=asked.distractor,
        answer_texts=asked.answer_texts,
        distractor_texts=asked.distractor_texts,
        original_id=original.prompt_id,
        original=original.text,
        counterfactual=config.counterfactual,
    )
