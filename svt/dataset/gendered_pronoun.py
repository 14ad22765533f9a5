"""Prompts that ask for a pronoun: "I think that {name} will come to the party, won't".

1. Read the templates, each with one {name}, and the names by the pronoun that stands for them; keep
   what is one token of the model.
2. Prompt i takes template and pronoun in turn and draws a name and the nouns (draw.py). The answer
   is the name's pronoun, the distractor the other.
3. If asked for, the same with a name of the other pronoun: the counterfactual (counterfactual.py).
"""

import math
import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from svt.config import GenderedPronounConfig
from svt.dataset.counterfactual import linked
from svt.dataset.draw import Words, draw, other_draw
from svt.dataset.files import given_or_shipped
from svt.dataset.lexicon import left_out, one_token, read_nouns, usable_nouns
from svt.dataset.prompt import Dataset, Prompt
from svt.dataset.template import Template, read_templates
from svt.dataset.tokenizer import Tokenizer
from svt.errors import DataError

SLOTS = ("{name}",)
Turn = tuple[Template, str]


def gendered_pronoun_files(config: GenderedPronounConfig) -> tuple[Path, ...]:
    """Templates, names, nouns."""
    return given_or_shipped(
        config, templates="templates.txt", names="names.yaml", nouns="nouns.yaml"
    )


def gendered_pronoun_prompts(config: GenderedPronounConfig, tokenizer: Tokenizer) -> Dataset:
    """`dataset.n_prompts` distinct prompts, the same for the same seed and files."""
    templates_file, names_file, nouns_file = gendered_pronoun_files(config)
    all_nouns = read_nouns(nouns_file)
    templates = read_templates(templates_file, all_nouns, SLOTS)  # 1
    names, notes = _names(names_file, tokenizer)
    kinds = [kind for template in templates for kind in template.nouns]
    nouns, noun_notes = usable_nouns(nouns_file, all_nouns, kinds, tokenizer)
    turns = [(template, pronoun) for template in templates for pronoun in names]
    other = dict(zip(names, reversed(names), strict=True))

    def n_distinct(turn: Turn) -> int:
        template, pronoun = turn
        return len(names[pronoun]) * math.prod(len(nouns[kind]) for kind in template.nouns)

    def words(rng: random.Random, turn: Turn) -> Words:
        template, pronoun = turn
        return (rng.choice(names[pronoun]), *(rng.choice(nouns[kind]) for kind in template.nouns))

    prompts = []
    told = " and ".join(f"{len(some)} names of {pronoun}" for pronoun, some in names.items())
    drawn = draw(config, turns, n_distinct, words, told)
    for i, ((template, pronoun), (name, *chosen)) in enumerate(drawn):  # 2
        said = dict(zip(template.nouns, chosen, strict=True))
        fill = partial(_prompt, i, template, words=said, tokenizer=tokenizer)
        prompt = fill(name, pronoun, other[pronoun])
        if config.counterfactual == "swapped":  # 3
            stranger = other_draw(config, i).choice(names[other[pronoun]])
            prompt = linked(fill(stranger, other[pronoun], pronoun), prompt, config, ["name"])
        prompts.append(prompt)
    return Dataset(tuple(prompts), notes + noun_notes)


def _names(path: Path, tokenizer: Tokenizer) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Pronoun -> its names, and notes on those left out."""
    listed = read_nouns(path, "dataset.names")
    if len(listed) != 2 or set.intersection(*map(set, listed.values())):
        raise DataError(
            f"dataset.names {path} must list names under two pronouns, none under both, as "
            "she: [Mary, Anna]"
        )
    usable: dict[str, list[str]] = {}
    notes: tuple[str, ...] = ()
    for pronoun, names in listed.items():
        usable[pronoun] = [name for name in names if one_token(name, tokenizer) is not None]
        if one_token(pronoun, tokenizer) is None or not usable[pronoun]:
            raise DataError(
                f"dataset.names {path}: this model needs a single token for {pronoun} and for a "
                f"name of {pronoun}; take a model whose tokenizer has them, or give other names"
            )
        what = f"names of {pronoun}"
        notes += left_out(names, usable[pronoun], what, "not one token of this model")
    return usable, notes


def _prompt(
    prompt_id: int,
    template: Template,
    name: str,
    pronoun: str,
    other: str,
    *,
    words: Mapping[str, str],
    tokenizer: Tokenizer,
) -> Prompt:
    text, spans = template.fill([("name", name)], words)
    encoding = tokenizer.encode_spans(text)
    right, wrong = (template.following(text, f" {word}", tokenizer) for word in (pronoun, other))
    at = template.position(text, encoding, spans["name"], one_token(name, tokenizer))
    end = len(encoding.ids) - 1
    roles = {"end": end, "name": at, "name+1": at + 1, "name-1": at - 1, "end-1": end - 1}
    return Prompt(
        prompt_id,
        text,
        encoding.ids,
        tokenizer.texts(encoding.ids),
        {role: position for role, position in roles.items() if position <= end},
        (right,),
        (wrong,),
        tokenizer.texts((right,)),
        tokenizer.texts((wrong,)),
        template.text,
    )
