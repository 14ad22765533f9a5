"""Prompts with a later year as answer: "The siege began in the year 1732 and ended in the year 17".

1. Select the usable years XXYY: the model's tokenizer must split them into tokens XX and YY, the
   same ones in every context, also where XX ends the text and YY follows. XX come from the nouns
   file; prompts have YY from 02 to 98, so that smaller and greater ones exist.
2. Prompt i takes the next template in cyclic order and draws a year and the nouns (draw.py). The
   answers are all greater YY of two digits, the distractors all others: sets of tokens.
3. With dataset.counterfactual, replace YY by 01 (counterfactual.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from svt.config import GreaterThanConfig
from svt.dataset.counterfactual import link_counterfactual
from svt.dataset.draw import draw
from svt.dataset.files import resolve_files
from svt.dataset.lexicon import describe_omitted, read_nouns, select_nouns
from svt.dataset.prompt import Dataset, Prompt, build_prompt
from svt.dataset.template import Template, read_templates
from svt.dataset.tokenizer import Tokenizer
from svt.errors import DataError

SLOTS = ("{XX}", "{YY}", "{XX}")
DIGITS = tuple(f"{number:02}" for number in range(100))
PROMPT_DIGITS = DIGITS[2:99]
EARLY = "01"


@dataclass(frozen=True)
class Years:
    """The token of every usable XX and YY, and the years (XX, YY) of prompts (step 1)."""

    centuries: Mapping[str, int]
    digits: Mapping[str, int]
    choices: Sequence[tuple[str, str]]


def make_greater_than_prompts(config: GreaterThanConfig, tokenizer: Tokenizer) -> Dataset:
    """Return dataset.n_prompts distinct prompts, determined by the seed and the files."""
    templates_file, nouns_file = resolve_files(config)
    all_nouns = read_nouns(nouns_file)
    centuries = all_nouns.pop("XX", [])
    years, notes = _select_years(nouns_file, centuries, tokenizer)
    templates = read_templates(templates_file, all_nouns, SLOTS)
    for template in templates:
        if "{XX}{YY}" not in template.text or template.pieces[-1] != "{XX}":
            raise DataError(
                f"{template.where}: the template must have a year as {{XX}}{{YY}}, and {{XX}} must "
                f"be its end: {template.text}"
            )
    nouns, noun_notes = select_nouns(nouns_file, all_nouns, templates, tokenizer, single=True)
    drawn = draw(
        config,
        [(template, "") for template in templates],
        nouns,
        lambda _: len(years.choices),
        lambda rng, _: rng.choice(years.choices),
        f"{len(years.choices)} years",
    )
    prompts = []
    for i, ((template, _), (century, digits), chosen) in enumerate(drawn):  # 2
        prompt = _make_prompt(i, template, century, digits, chosen, years, tokenizer)
        if config.counterfactual == "year01":  # 3
            early = _make_prompt(i, template, century, EARLY, chosen, years, tokenizer)
            prompt = link_counterfactual(early, prompt, config, ["YY"])
        prompts.append(prompt)
    return Dataset(tuple(prompts), notes + noun_notes)


def _select_years(
    path: Path, candidates: Sequence[str], tokenizer: Tokenizer
) -> tuple[Years, tuple[str, ...]]:
    """Return the usable years, and notes on the others; DataError when none is usable (step 1)."""
    if not candidates or any(century not in DIGITS[10:] for century in candidates):
        raise DataError(
            f"dataset.nouns {path} must list the first halves of the years under XX, each of two "
            'digits, as XX: ["17", "18"]'
        )
    centuries: dict[str, int] = {}
    digits: dict[str, int] = {}
    split: list[tuple[str, str]] = []
    for century in candidates:
        alone = tokenizer.encode_spans(f"in {century}")
        last = [alone.ids[i] for i in alone.covering(3, 5)]
        for two in DIGITS:
            year = tokenizer.encode_spans(f"in {century}{two}")
            halves = [[year.ids[i] for i in year.covering(*span)] for span in ((3, 5), (5, 7))]
            token_ids = [*last, digits.get(two, year.ids[-1])]
            distinct = len({*token_ids, tokenizer.unknown_id}) == len(token_ids) + 1
            if distinct and halves == [[token_id] for token_id in token_ids]:
                centuries[century], digits[two] = token_ids
                split.append((century, two))
    usable = [century for century in centuries if (century, EARLY) in split]
    choices = [
        (century, two)
        for century, two in split
        if century in usable
        and two in PROMPT_DIGITS
        and digits.keys() & set(DIGITS[int(two) + 1 :])
    ]
    if not choices:
        raise DataError(
            f"dataset=greater_than: this model's tokenizer splits no year of {path} (XX) into two "
            "tokens of two digits each; choose a model whose tokenizer does, such as GPT-2's"
        )
    notes = describe_omitted(candidates, usable, "first halves of years", "not one token before 01")
    notes += describe_omitted(
        DIGITS, digits, "second halves of years", "not one token after any XX"
    )
    return Years(centuries, digits, choices), notes


def _make_prompt(
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
        role: template.find_position(
            text, encoding, span, token["XX"] if role == "end" else token.get(role)
        )
        for role, span in spans.items()
    }
    if template.next_token(text, digits, tokenizer) != token["YY"]:
        raise DataError(
            f"{template.where}: the token of {digits} within this text is not the one that "
            f"follows it: {text}"
        )
    after = [two for two in years.digits if two > digits]
    answer = [years.digits[two] for two in after]
    distractor = [token_id for two, token_id in years.digits.items() if two not in after]
    roles = at | {"YY+1": at["YY"] + 1, "XX-1": at["XX"] - 1, "end-1": at["end"] - 1}
    return build_prompt(
        prompt_id, text, encoding.ids, roles, answer, distractor, tokenizer, template.text
    )
