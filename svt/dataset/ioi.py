"""Prompts with an indirect object, made from templates, names and nouns.

1. Read the templates (template.py).
2. Select the names that are one token of the model within a text, and the nouns that it knows
   (lexicon.py).
3. Prompt i takes the next template and pattern in cyclic order, which balances both, and draws two
   names and the nouns (draw.py).
4. Fill the template; BABA swaps the first two names. The tokens that cover the characters of the
   names and the verb are the positions of the roles. A name must be covered by its one token, and
   be one token after the text, or the template is refused.
5. With dataset.counterfactual, replace the names (counterfactual.py).
"""

from collections.abc import Mapping, Sequence
from functools import partial

from svt.config import IoiConfig
from svt.dataset.counterfactual import link_counterfactual
from svt.dataset.draw import draw, seed_counterfactual
from svt.dataset.files import resolve_files
from svt.dataset.lexicon import read_nouns, select_names, select_nouns
from svt.dataset.prompt import Dataset, Prompt, build_prompt, derive_roles
from svt.dataset.template import Template, read_templates
from svt.dataset.tokenizer import Tokenizer
from svt.errors import DataError

SLOTS = ("{A}", "{B}", "{B}")
ORDERS = {"ABBA": ("IO", "S1", "S2"), "BABA": ("S1", "IO", "S2")}


def make_ioi_prompts(config: IoiConfig, tokenizer: Tokenizer) -> Dataset:
    """Return dataset.n_prompts distinct prompts, determined by the seed and the files."""
    templates_file, names_file, nouns_file = resolve_files(config)
    all_nouns = read_nouns(nouns_file)
    templates = read_templates(templates_file, all_nouns, SLOTS, n_verbs=1)  # 1
    ids, notes = select_names(names_file, tokenizer)  # 2
    if config.counterfactual == "abc" and len(ids) < 5:
        raise DataError(
            f"dataset.counterfactual=abc: {len(ids)} names are single tokens of this model, five "
            "are needed: two for a prompt and three others"
        )
    nouns, noun_notes = select_nouns(nouns_file, all_nouns, templates, tokenizer)
    patterns = tuple(ORDERS) if config.pattern == "mixed" else (config.pattern,)
    turns = [(template, pattern) for template in templates for pattern in patterns]
    names = list(ids)
    drawn = draw(  # 3
        config,
        turns,
        nouns,
        lambda _: len(names) * (len(names) - 1),
        lambda rng, _: tuple(rng.sample(names, 2)),
        f"{len(names)} names",
    )
    prompts = []
    for i, ((template, pattern), (io, subject), chosen) in enumerate(drawn):
        fill = partial(
            _make_prompt,
            prompt_id=i,
            template=template,
            pattern=pattern,
            words=chosen,
            name_ids=ids,
            tokenizer=tokenizer,
        )
        prompt = fill((io, subject, subject))
        if config.counterfactual == "swapped":  # 5
            changed = fill((subject, io, io))
            prompt = link_counterfactual(changed, prompt, config, ORDERS[pattern])
        elif config.counterfactual == "abc":
            others = [name for name in names if name not in (io, subject)]
            changed = fill(seed_counterfactual(config, i).sample(others, 3))
            prompt = link_counterfactual(changed, prompt, config, ORDERS[pattern])
        prompts.append(prompt)
    return Dataset(tuple(prompts), notes + noun_notes)


def _make_prompt(
    names: Sequence[str],
    *,
    prompt_id: int,
    template: Template,
    pattern: str,
    words: Mapping[str, str],
    name_ids: Mapping[str, int],
    tokenizer: Tokenizer,
) -> Prompt:
    """Return a filled template as prompt (step 4).

    `names` are those of IO, S1 and S2, `words` the nouns by kind, `name_ids` the tokens by name.
    """
    by_role = dict(zip(ORDERS["ABBA"], names, strict=True))
    text, spans = template.fill([(role, by_role[role]) for role in ORDERS[pattern]], words)
    encoding = tokenizer.encode_spans(text)
    at = {
        role: template.find_position(
            text, encoding, spans[role], name_ids[by_role[role]] if role in by_role else None
        )
        for role in (*by_role, "verb")
    }
    answer, distractor = (
        template.next_token(text, f" {by_role[role]}", tokenizer) for role in ("IO", "S1")
    )
    ids, roles = encoding.ids, derive_roles(at, len(encoding.ids) - 1)
    return build_prompt(
        prompt_id, text, ids, roles, [answer], [distractor], tokenizer, template.text, pattern
    )
