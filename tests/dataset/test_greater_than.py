"""Prompts of greater_than: usable years, answers, roles, and invalid files."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from svt.config import DatasetConfig
from svt.dataset import Tokenizer, load_prompts
from svt.errors import SvtError
from tests.dataset.samples import few, shipped_words, spaced

TEMPLATE = "The {noun} began in the year {XX}{YY} and ended in the year {XX}"


@pytest.fixture(scope="module")
def years() -> Tokenizer:
    return Tokenizer(shipped_words("greater_than"))


@pytest.fixture
def small(tmp_path: Path) -> DatasetConfig:
    """One template, nouns one token each, and the year 17YY."""
    templates, nouns = tmp_path / "templates.txt", tmp_path / "nouns.yaml"
    templates.write_text(TEMPLATE)
    nouns.write_text('XX: ["17"]\nnoun: [war, siege]')
    return few("greater_than", n_prompts=8, templates=str(templates), nouns=str(nouns))


def test_answers_are_greater_years_and_distractors_the_others(years: Tokenizer) -> None:
    dataset = load_prompts(few("greater_than", n_prompts=256), years)
    assert dataset.notes == ()
    assert len({p.text for p in dataset.prompts}) == 256
    assert set(Counter(p.template for p in dataset.prompts).values()) == {51, 52}
    for prompt in dataset.prompts:
        year = int(prompt.token_texts[prompt.roles["YY"]])
        assert 2 <= year <= 98
        assert [int(text) for text in prompt.answer_texts] == list(range(year + 1, 100))
        assert [int(text) for text in prompt.distractor_texts] == list(range(year + 1))
        assert years.texts(prompt.answer) == prompt.answer_texts
        answered = prompt.text + prompt.answer_texts[0]
        assert years.encode(answered) == [*prompt.tokens, prompt.answer[0]]


def test_roles_of_greater_than(years: Tokenizer, small: DatasetConfig) -> None:
    # The war began in the year 17 32 and ended in the year 17
    #  0   1    2   3   4   5   6  7   8   9   10  11  12  13
    for prompt in load_prompts(small, years).prompts:
        at = {"noun": 1, "XX-1": 5, "XX": 6, "YY": 7, "YY+1": 8, "end-1": 12, "end": 13}
        assert prompt.roles == at
        assert prompt.token_texts[6] == prompt.token_texts[13] == " 17"


def test_the_year_01_is_the_counterfactual(years: Tokenizer, small: DatasetConfig) -> None:
    originals = load_prompts(small, years).prompts
    changed = load_prompts(replace(small, counterfactual="year01"), years).prompts
    for original, early in zip(originals, changed, strict=True):
        at = original.roles["YY"]
        assert early.token_texts[at] == "01"
        assert early.tokens[:at] + early.tokens[at + 1 :] == (
            original.tokens[:at] + original.tokens[at + 1 :]
        )
        assert (early.answer, early.distractor) == (original.answer, original.distractor)
        assert (early.original_id, early.counterfactual) == (original.prompt_id, "year01")


def test_words_and_years_of_more_than_one_token_are_left_out(small: DatasetConfig) -> None:
    texts = [TEMPLATE.replace("{XX}", "17").replace("{YY}", "") + f" war {n:02}" for n in range(90)]
    tokenizer = Tokenizer(spaced(*texts, " 1700", *(f"{n:02}" for n in range(90))))
    Path(small.nouns).write_text('XX: ["17", "95"]\nnoun: [war, siege]')
    dataset = load_prompts(replace(small, n_prompts=80), tokenizer)
    assert dataset.notes == (
        "1 of 2 first halves of years left out, not one token before 01: 95",
        "11 of 100 second halves of years left out, not one token after any XX: 00, 90, 91, 92, "
        "93, ...",
        "1 of 2 nouns (noun) left out, not one token of this model: siege",
    )
    for prompt in dataset.prompts:
        assert int(prompt.answer_texts[-1]) == 89
        assert len(prompt.answer) + len(prompt.distractor) == 89
    with pytest.raises(SvtError, match=r"n_prompts=88: only 87 distinct .* from 87 years"):
        load_prompts(replace(small, n_prompts=88), tokenizer)  # YY 02 to 88


def test_a_tokenizer_with_other_tokens_of_years_is_refused(
    words: Tokenizer, gpt2_like: Tokenizer
) -> None:
    for tokenizer in (words, gpt2_like):  # no digits; one digit a token
        with pytest.raises(SvtError, match=r"splits no year of .* \(XX\) into two tokens"):
            load_prompts(few("greater_than"), tokenizer)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("The {noun} of {YY}{XX} ended in {XX}", "slots must be {XX}, {YY}, {XX} in this order"),
        ("The {noun} of {XX} {YY} ended in {XX}", "as {XX}{YY}, and {XX} must be its end"),
        ("The {noun} of {XX}{YY} ended in {XX} or", "as {XX}{YY}, and {XX} must be its end"),
        ("The {noun} of {XX}{YY} <ended> in {XX}", "there must be 0 verbs in <...>, not 1"),
        ("The {noun} of the year{XX}{YY} ended in {XX}", "17 is not a token of its own in: The"),
    ],
)
def test_an_invalid_template_is_named_by_its_line(
    years: Tokenizer, small: DatasetConfig, line: str, says: str
) -> None:
    Path(small.templates).write_text(f"{TEMPLATE}\n{line}")
    with pytest.raises(SvtError) as error:
        load_prompts(small, years)
    assert f"{small.templates}:2: " in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize("nouns", ["noun: [war]", 'XX: ["7"]\nnoun: [war]', 'XX: ["017"]'])
def test_first_halves_have_two_digits(years: Tokenizer, small: DatasetConfig, nouns: str) -> None:
    Path(small.nouns).write_text(nouns)
    with pytest.raises(SvtError, match="must list the first halves of the years under XX"):
        load_prompts(small, years)
