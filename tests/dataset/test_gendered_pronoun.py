"""Prompts of gendered_pronoun: answers, roles, counterfactuals, and invalid files."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from svt.config import DatasetConfig
from svt.dataset import Tokenizer, load_prompts
from svt.dataset.lexicon import read_nouns
from svt.errors import SvtError
from svt.paths import conf_dir
from tests.dataset.samples import few, shipped_words, spaced

SHIPPED = few("gendered_pronoun", n_prompts=120)
NAMES = yaml.safe_load((conf_dir() / "dataset/gendered_pronoun/names.yaml").read_text())
PRONOUN = {name: pronoun for pronoun, names in NAMES.items() for name in names}


@pytest.fixture(scope="module")
def pronouns() -> Tokenizer:
    return Tokenizer(shipped_words("gendered_pronoun"))


@pytest.fixture
def small(tmp_path: Path) -> DatasetConfig:
    templates, names, nouns = (tmp_path / n for n in ("templates.txt", "names.yaml", "nouns.yaml"))
    templates.write_text("Now {name} is at the {place}, isn't")
    names.write_text("she: [Mary, Anna]\nhe: [John, Xavier]")
    nouns.write_text("place: [shop]")
    files = {"templates": str(templates), "names": str(names), "nouns": str(nouns)}
    return replace(SHIPPED, n_prompts=2, **files)


def test_the_pronoun_of_the_name_is_the_answer(pronouns: Tokenizer) -> None:
    dataset = load_prompts(SHIPPED, pronouns)
    assert dataset.notes == ()
    assert len({p.text for p in dataset.prompts}) == 120
    each = Counter((p.template, p.answer_texts) for p in dataset.prompts)
    assert len(each) == 6 * 2 and set(each.values()) == {10}
    for prompt in dataset.prompts:
        name = prompt.token_texts[prompt.roles["name"]].strip()
        (answer,), (distractor,) = prompt.answer_texts, prompt.distractor_texts
        assert answer == f" {PRONOUN[name]}"
        assert {answer, distractor} == {" she", " he"}
        assert pronouns.encode(prompt.text + answer) == [*prompt.tokens, *prompt.answer]


def test_roles_of_gendered_pronoun(pronouns: Tokenizer) -> None:
    # I think that Kate will come to the race , won 't
    # 0   1     2    3    4    5   6  7   8    9  10 11
    prompt = load_prompts(SHIPPED, pronouns).prompts[0]
    assert prompt.roles == {"end": 11, "name": 3, "name+1": 4, "name-1": 2, "end-1": 10}


def test_a_name_at_the_end_has_no_token_after_it(small: DatasetConfig) -> None:
    Path(str(small.templates)).write_text("at the {place} is {name}")
    tokenizer = Tokenizer(spaced("Now Mary Anna John is at the shop, isn't she he"))
    prompt = load_prompts(small, tokenizer).prompts[0]
    assert prompt.roles == {"end": 4, "name": 4, "name-1": 3, "end-1": 3}


def test_a_name_of_the_other_pronoun_is_the_counterfactual(pronouns: Tokenizer) -> None:
    originals = load_prompts(SHIPPED, pronouns).prompts
    config = replace(SHIPPED, counterfactual="swapped")
    for original, changed in zip(originals, load_prompts(config, pronouns).prompts, strict=True):
        at = original.roles["name"]
        name = changed.token_texts[at].strip()
        assert changed.answer_texts == (f" {PRONOUN[name]}",) == original.distractor_texts
        assert changed.distractor == original.answer
        assert changed.tokens[at + 1 :] == original.tokens[at + 1 :]
        link = (changed.original_id, changed.original, changed.counterfactual)
        assert link == (original.prompt_id, original.text, "swapped")


def test_names_that_are_not_single_tokens_are_left_out(small: DatasetConfig) -> None:
    tokenizer = Tokenizer(spaced("Now Mary Anna John is at the shop, isn't she he"))
    dataset = load_prompts(small, tokenizer)
    assert dataset.notes == ("1 of 2 names of he left out, not one token of this model: Xavier",)
    assert [p.answer_texts for p in dataset.prompts] == [(" she",), (" he",)]
    with pytest.raises(SvtError, match=r"only 3 distinct .* from 2 names of she and 1 names of he"):
        load_prompts(replace(small, n_prompts=4), tokenizer)  # she, he, she, and he is used up


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("she: [Mary]", "must list names under two pronouns"),
        ("she: [Mary]\nhe: [John]\nthey: [Anna]", "must list names under two pronouns"),
        ("she: [Mary]\nhe: [Mary]", "none under both"),
        ("she: [Xavier]\nhe: [John]", "a single token for she and for a name of she"),
        ("she: [Mary]\nxe: [John]", "a single token for xe and for a name of xe"),
        ("she: Mary\nhe: [John]", "she must be a list of words"),
    ],
)
def test_invalid_names_are_refused(small: DatasetConfig, names: str, says: str) -> None:
    tokenizer = Tokenizer(spaced("Now Mary Anna John is at the shop, isn't she he"))
    Path(small.names).write_text(names)
    with pytest.raises(SvtError, match=says) as error:
        load_prompts(small, tokenizer)
    assert f"dataset.names {small.names}" in str(error.value)


def test_the_words_of_the_bundled_model_are_refused() -> None:
    from svt.ioi_mini.language import Language

    with pytest.raises(SvtError, match="needs a single token for she"):
        load_prompts(SHIPPED, Tokenizer(Language().make_tokenizer()))


def test_a_kind_twice_is_refused(pronouns: Tokenizer, tmp_path: Path) -> None:
    nouns = tmp_path / "nouns.yaml"
    nouns.write_text("place: [shop]\nplace: [store]\n")
    with pytest.raises(SvtError, match="'place' is twice in one mapping"):
        read_nouns(nouns)
