"""Prompts with an indirect object, made from templates, names and nouns.

1. Read the templates (template.py).
2. Keep the names that are one token of the model within a text, and the nouns that it knows
   (lexicon.py).
3. Prompt i takes template and pattern in turn, so that both are spread evenly, and draws two names
   and the nouns from one seeded generator; a combination that was used is drawn again. The first
   prompts are the same whatever dataset.n_prompts is.
4. Fill the template; BABA swaps the first two names. The tokens that cover the characters of the
   names and the verb are the roles' positions: nothing is searched for. A name must be covered by
   its one token, or the template is refused.
"""

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from svt.config import DatasetConfig
from svt.dataset.lexicon import read_nouns, usable_names, usable_nouns
from svt.dataset.prompt import Dataset, Prompt
from svt.dataset.template import Template, read_templates
from svt.dataset.tokenizer import Tokenizer
from svt.errors import SvtError
from svt.paths import conf_dir

ORDERS = {"ABBA": ("IO", "S1", "S2"), "BABA": ("S1", "IO", "S2")}


def ioi_files(config: DatasetConfig) -> tuple[Path, Path, Path]:
    """Templates, names, nouns; a null in the configuration means the file that svt ships."""
    shipped = conf_dir() / "dataset" / "ioi"
    named = (config.templates, config.names, config.nouns)
    own = ("templates.txt", "names.txt", "nouns.yaml")
    templates, names, nouns = (
        shipped / file if name is None else Path(name).expanduser()
        for name, file in zip(named, own, strict=True)
    )
    return templates, names, nouns


def ioi_prompts(config: DatasetConfig, tokenizer: Tokenizer) -> Dataset:
    """`dataset.n_prompts` distinct prompts, the same for the same seed and files."""
    if config.n_prompts is None:
        raise SvtError("dataset.n_prompts=null: the ioi generator needs a number of prompts")
    templates_file, names_file, nouns_file = ioi_files(config)
    all_nouns = read_nouns(nouns_file)
    templates = read_templates(templates_file, all_nouns)  # 1
    ids, notes = usable_names(names_file, tokenizer)  # 2
    kinds = [kind for template in templates for kind in template.nouns]
    nouns, noun_notes = usable_nouns(nouns_file, all_nouns, kinds, tokenizer)
    patterns = tuple(ORDERS) if config.pattern == "mixed" else (config.pattern,)
    turns = [(template, pattern) for template in templates for pattern in patterns]
    most = _n_distinct(turns, len(ids), nouns)
    if config.n_prompts > most:
        raise SvtError(
            f"dataset.n_prompts={config.n_prompts}: only {most} distinct prompts can be made "
            f"evenly from {len(ids)} names and these templates and nouns; "
            "ask for fewer or give more names"
        )
    rng = random.Random(config.seed)
    names = list(ids)
    used: set[tuple[str, ...]] = set()
    prompts: list[Prompt] = []
    while len(prompts) < config.n_prompts:  # 3
        template, pattern = turns[len(prompts) % len(turns)]
        io, subject = rng.sample(names, 2)
        words = {kind: rng.choice(nouns[kind]) for kind in template.nouns}
        combination = (template.text, pattern, io, subject, *words.values())
        if combination not in used:
            used.add(combination)
            said = {"IO": io, "S1": subject, "S2": subject}
            prompts.append(_prompt(len(prompts), template, pattern, said, words, ids, tokenizer))
    return Dataset(tuple(prompts), notes + noun_notes)


def _n_distinct(
    turns: Sequence[tuple[Template, str]], n_names: int, nouns: Mapping[str, Sequence[str]]
) -> int:
    """How many prompts step 3 can make before a turn has used all its combinations."""
    firsts = []  # for each turn the first prompt that it could not make new
    for turn, (template, _) in enumerate(turns):
        choices = [n_names, n_names - 1, *(len(nouns[kind]) for kind in template.nouns)]
        firsts.append(math.prod(choices) * len(turns) + turn)
    return min(firsts)


def _prompt(
    prompt_id: int,
    template: Template,
    pattern: str,
    said: Mapping[str, str],
    words: Mapping[str, str],
    ids: Mapping[str, int],
    tokenizer: Tokenizer,
) -> Prompt:
    """Step 4; `said` are the names by role, `ids` their tokens."""
    text, spans = template.fill([(role, said[role]) for role in ORDERS[pattern]], words)
    encoding = tokenizer.encode_spans(text)
    at: dict[str, int] = {}
    for role, span in spans.items():
        positions = encoding.covering(*span)
        if role in said and [encoding.ids[i] for i in positions] != [ids[said[role]]]:
            raise SvtError(
                f"{template.where}: {said[role]} is not a token of its own in: {text}; "
                "put spaces around the names"
            )
        if not positions:
            raise SvtError(f"{template.where}: the model's tokenizer drops the verb of: {text}")
        at[role] = positions[0]
    end = len(encoding.ids) - 1
    roles = {
        "end": end,
        "IO": at["IO"],
        "S1": at["S1"],
        "S2": at["S2"],
        "S1+1": at["S1"] + 1,
        "verb": at["verb"],
        "end-1": end - 1,
        "IO-1": at["IO"] - 1,
        "IO+1": at["IO"] + 1,
        "S1-1": at["S1"] - 1,
        "S2-1": at["S2"] - 1,
    }
    answer, distractor = ids[said["IO"]], ids[said["S1"]]
    return Prompt(
        prompt_id,
        text,
        encoding.ids,
        tokenizer.texts(encoding.ids),
        roles,
        answer,
        distractor,
        tokenizer.token_text(answer),
        tokenizer.token_text(distractor),
        template.text,
        pattern,
    )
