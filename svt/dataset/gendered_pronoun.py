"""Prompts whose answer is a pronoun: "I think that {name} will come to the party, won't".

1. Read the templates, each with one {name}, and the names of each pronoun; keep the names that are
   one token of the model.
2. Prompt i takes the next template and pronoun in cyclic order and draws a name and the nouns
   (draw.py). The answer is the name's pronoun, the distractor the other.
3. With dataset.counterfactual, replace the name by one of the other pronoun (counterfactual.py).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from svt.config import GenderedPronounConfig
from svt.dataset.counterfactual import link_counterfactual
from svt.dataset.draw import draw, seed_counterfactual
from svt.dataset.files import resolve_files
from svt.dataset.lexicon import describe_omitted, find_single_token, read_nouns, select_nouns
from svt.dataset.prompt import Dataset, Prompt, build_prompt
from svt.dataset.template import Template, read_templates
from svt.dataset.tokenizer import Tokenizer
from svt.errors import DataError

SLOTS = ("{name}",)


def make_gendered_pronoun_prompts(config: GenderedPronounConfig, tokenizer: Tokenizer) -> Dataset:
    """Return dataset.n_prompts distinct prompts, determined by the seed and the files."""
    templates_file, names_file, nouns_file = resolve_files(config)
    all_nouns = read_nouns(nouns_file)
    templates = read_templates(templates_file, all_nouns, SLOTS)  # 1
    names, notes = _read_names(names_file, tokenizer)
    nouns, noun_notes = select_nouns(nouns_file, all_nouns, templates, tokenizer)
    turns = [(template, pronoun) for template in templates for pronoun in names]
    other = dict(zip(names, reversed(names), strict=True))
    drawn = draw(
        config,
        turns,
        nouns,
        lambda pronoun: len(names[pronoun]),
        lambda rng, pronoun: (rng.choice(names[pronoun]),),
        " and ".join(f"{len(some)} names of {pronoun}" for pronoun, some in names.items()),
    )
    prompts = []
    for i, ((template, pronoun), (name,), chosen) in enumerate(drawn):  # 2
        fill = partial(_make_prompt, i, template, words=chosen, tokenizer=tokenizer)
        prompt = fill(name, pronoun, other[pronoun])
        if config.counterfactual == "swapped":  # 3
            other_name = seed_counterfactual(config, i).choice(names[other[pronoun]])
            changed = fill(other_name, other[pronoun], pronoun)
            prompt = link_counterfactual(changed, prompt, config, ["name"])
        prompts.append(prompt)
    return Dataset(tuple(prompts), notes + noun_notes)


def _read_names(path: Path, tokenizer: Tokenizer) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Return the usable names by pronoun, and notes on the others (step 1)."""
    by_pronoun = read_nouns(path, "dataset.names")
    if len(by_pronoun) != 2 or set.intersection(*map(set, by_pronoun.values())):
        raise DataError(
            f"dataset.names {path} must list names under two pronouns, none under both, as "
            "she: [Mary, Anna]"
        )
    usable: dict[str, list[str]] = {}
    notes: tuple[str, ...] = ()
    for pronoun, names in by_pronoun.items():
        usable[pronoun] = [name for name in names if find_single_token(name, tokenizer) is not None]
        if find_single_token(pronoun, tokenizer) is None or not usable[pronoun]:
            raise DataError(
                f"dataset.names {path}: this model needs a single token for {pronoun} and for a "
                f"name of {pronoun}; choose a model whose tokenizer has them, or other names"
            )
        what = f"names of {pronoun}"
        notes += describe_omitted(names, usable[pronoun], what, "not one token of this model")
    return usable, notes


def _make_prompt(
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
    right, wrong = (template.next_token(text, f" {word}", tokenizer) for word in (pronoun, other))
    at = template.find_position(text, encoding, spans["name"], find_single_token(name, tokenizer))
    end = len(encoding.ids) - 1
    roles = {"end": end, "name": at, "name+1": at + 1, "name-1": at - 1, "end-1": end - 1}
    roles = {role: position for role, position in roles.items() if position <= end}
    return build_prompt(
        prompt_id, text, encoding.ids, roles, [right], [wrong], tokenizer, template.text
    )
