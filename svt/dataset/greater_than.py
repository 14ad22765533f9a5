"""Prompts that ask for a later year: "The siege began in the year 1732 and ended in the year 17".

1. A year XXYY can be used when the model's tokenizer makes two tokens of it, XX and YY, each the
   same one everywhere, and XX that at the end of a text, which YY then follows. XX come from the
   nouns file; of YY, 02 to 98 are asked about, so that there are smaller and greater ones.
2. Prompt i takes the templates in turn and draws a year and the nouns (draw.py). The answers are
   all YY of two digits that are greater, the distractors all others: sets of tokens.
3. If asked for, the same with YY 01: the counterfactual (counterfactual.py).
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from svt.config import GreaterThanConfig
from svt.dataset.counterfactual import linked
from svt.dataset.draw import Words, draw
from svt.dataset.files import given_or_shipped
from svt.dataset.lexicon import left_out, read_nouns, usable_nouns
from svt.dataset.prompt import Dataset, Prompt, token_set
from svt.dataset.template import Template, read_templates
from svt.dataset.tokenizer import Tokenizer
from svt.errors import DataError

SLOTS = ("{XX}", "{YY}", "{XX}")
DIGITS = tuple(f"{number:02}" for number in range(100))
ASKED = DIGITS[2:99]
EARLY = "01"


@dataclass(frozen=True)
class Years:
    """Step 1: the token of every usable XX and YY, and the years that may be asked about."""

    centuries: Mapping[str, int]
    digits: Mapping[str, int]
    asked: Sequence[tuple[str, str]]


def greater_than_files(config: GreaterThanConfig) -> tuple[Path, ...]:
    """Templates and nouns."""
    return given_or_shipped(config, templates="templates.txt", nouns="nouns.yaml")


def greater_than_prompts(config: GreaterThanConfig, tokenizer: Tokenizer) -> Dataset:
    """`dataset.n_prompts` distinct prompts, the same for the same seed and files."""
    templates_file, nouns_file = greater_than_files(config)
    all_nouns = read_nouns(nouns_file)
    centuries = all_nouns.pop("XX", [])
    years, notes = _years(nouns_file, centuries, tokenizer)
    templates = read_templates(templates_file, all_nouns, SLOTS)
    for template in templates:
        if "{XX}{YY}" not in template.text or template.pieces[-1] != "{XX}":
            raise DataError(
                f"{template.where}: a year must stand in it as {{XX}}{{YY}}, and {{XX}} must be "
                f"its end: {template.text}"
            )
    kinds = [kind for template in templates for kind in template.nouns]
    nouns, noun_notes = usable_nouns(nouns_file, all_nouns, kinds, tokenizer, single=True)

    def n_distinct(template: Template) -> int:
        return len(years.asked) * math.prod(len(nouns[kind]) for kind in template.nouns)

    def words(rng: random.Random, template: Template) -> Words:
        return (*rng.choice(years.asked), *(rng.choice(nouns[kind]) for kind in template.nouns))

    prompts = []
    drawn = draw(config, templates, n_distinct, words, f"{len(years.asked)} years")
    for i, (template, (century, digits, *chosen)) in enumerate(drawn):  # 2
        said = dict(zip(template.nouns, chosen, strict=True))
        prompt = _prompt(i, template, century, digits, said, years, tokenizer)
        if config.counterfactual == "year01":  # 3
            early = _prompt(i, template, century, EARLY, said, years, tokenizer)
            prompt = linked(early, prompt, config, ["YY"])
        prompts.append(prompt)
    return Dataset(tuple(prompts), notes + noun_notes)


def _years(
    path: Path, listed: Sequence[str], tokenizer: Tokenizer
) -> tuple[Years, tuple[str, ...]]:
    """Step 1, and notes on what was left out; DataError when no year can be used."""
    if not listed or any(century not in DIGITS[10:] for century in listed):
        raise DataError(
            f"dataset.nouns {path} must list the first halves of the years under XX, each of two "
            'digits, as XX: ["17", "18"]'
        )
    centuries: dict[str, int] = {}
    digits: dict[str, int] = {}
    split: list[tuple[str, str]] = []
    for century in listed:
        alone = tokenizer.encode_spans(f"in {century}")
        last = [alone.ids[i] for i in alone.covering(3, 5)]
        for two in DIGITS:
            year = tokenizer.encode_spans(f"in {century}{two}")
            halves = [[year.ids[i] for i in year.covering(*span)] for span in ((3, 5), (5, 7))]
            token_ids = [*last, digits.get(two, year.ids[-1])]
            if halves == [[token_id] for token_id in token_ids] and _apart(token_ids, tokenizer):
                centuries[century], digits[two] = token_ids
                split.append((century, two))
    usable = [century for century in centuries if (century, EARLY) in split]
    asked = [
        (century, two)
        for century, two in split
        if century in usable and two in ASKED and digits.keys() & set(DIGITS[int(two) + 1 :])
    ]
    if not asked:
        raise DataError(
            f"dataset=greater_than: this model's tokenizer makes of no year of {path} (XX) two "
            "tokens of two digits each; take a model whose tokenizer does, such as GPT-2's"
        )
    notes = left_out(listed, usable, "first halves of years", "not one token before 01")
    notes += left_out(DIGITS, digits, "second halves of years", "not one token after any XX")
    return Years(centuries, digits, asked), notes


def _apart(token_ids: Sequence[int], tokenizer: Tokenizer) -> bool:
    return len({*token_ids, tokenizer.unknown_id}) == len(token_ids) + 1


def _prompt(
    prompt_id: int,
    template: Template,
    century: str,
    digits: str,
    words: Mapping[str, str],
    years: Years,
    tokenizer: Tokenizer,
) -> Prompt:
    text, spans = template.fill([("XX", century), ("YY", digits), ("end", century)], words)
    encoding = tokenizer.encode_spans(text)
    token = {"XX": years.centuries[century], "YY": years.digits[digits]}
    at = {
        role: template.position(
            text, encoding, span, token["XX"] if role == "end" else token.get(role)
        )
        for role, span in spans.items()
    }
    if template.following(text, digits, tokenizer) != token["YY"]:
        raise DataError(
            f"{template.where}: the token of {digits} within this text is not the one that "
            f"follows it: {text}"
        )
    after = [two for two in years.digits if two > digits]
    answer, answer_texts = token_set((years.digits[two] for two in after), tokenizer.token_text)
    others = (token_id for two, token_id in years.digits.items() if two not in after)
    distractor, distractor_texts = token_set(others, tokenizer.token_text)
    return Prompt(
        prompt_id,
        text,
        encoding.ids,
        tokenizer.texts(encoding.ids),
        at | {"YY+1": at["YY"] + 1, "XX-1": at["XX"] - 1, "end-1": at["end"] - 1},
        answer,
        distractor,
        answer_texts,
        distractor_texts,
        template.text,
    )
