"""Counterfactual prompts: the tokens of their originals, with other names."""

from dataclasses import replace
from pathlib import Path

import pytest

from svt.config import DatasetConfig
from svt.dataset import Prompt, Tokenizer, load_prompts
from svt.dataset.counterfactual import link_counterfactual
from svt.errors import SvtError
from tests.dataset.samples import NAMES, few

NAMED = ("IO", "S1", "S2")


def pairs(config: DatasetConfig, tokenizer: Tokenizer, kind: str) -> list[tuple[Prompt, Prompt]]:
    """Return every original and its counterfactual."""
    originals = load_prompts(config, tokenizer).prompts
    changed = load_prompts(replace(config, counterfactual=kind), tokenizer).prompts
    return list(zip(originals, changed, strict=True))


def names_of(prompt: Prompt) -> list[int]:
    return [prompt.tokens[prompt.roles[role]] for role in NAMED]


@pytest.mark.parametrize("kind", ["swapped", "abc"])
def test_only_the_names_differ(config: DatasetConfig, tokenizer: Tokenizer, kind: str) -> None:
    for original, changed in pairs(config, tokenizer, kind):
        places = {original.roles[role] for role in NAMED}
        differ = [a != b for a, b in zip(original.tokens, changed.tokens, strict=True)]
        assert {i for i, differs in enumerate(differ) if differs} == places
        same = ("prompt_id", "roles", "template", "pattern")
        assert [getattr(changed, key) for key in same] == [getattr(original, key) for key in same]
        link = (changed.original_id, changed.original, changed.counterfactual)
        assert link == (original.prompt_id, original.text, kind)
        assert (original.original_id, original.counterfactual) == (None, None)
        assert tokenizer.encode(changed.text) == list(changed.tokens)


def test_swapped_exchanges_the_names_and_the_answers(
    config: DatasetConfig, tokenizer: Tokenizer
) -> None:
    for original, changed in pairs(config, tokenizer, "swapped"):
        io, subject, _ = names_of(original)
        assert names_of(changed) == [subject, io, io]
        assert (changed.answer, changed.distractor) == (original.distractor, original.answer)
        assert changed.answer_texts == original.distractor_texts


def test_abc_has_three_more_names_and_the_same_question(
    config: DatasetConfig, tokenizer: Tokenizer
) -> None:
    known = set()
    for original, changed in pairs(config, tokenizer, "abc"):
        assert len({*names_of(original), *names_of(changed)}) == 2 + 3
        assert (changed.answer, changed.distractor) == (original.answer, original.distractor)
        known |= set(names_of(changed))
    assert len(known) == len(NAMES)


@pytest.mark.parametrize("kind", ["swapped", "abc"])
def test_a_counterfactual_does_not_depend_on_how_many_there_are(
    config: DatasetConfig, gpt2_like: Tokenizer, kind: str
) -> None:
    config = replace(config, counterfactual=kind)
    few = load_prompts(config, gpt2_like).prompts
    more = load_prompts(replace(config, n_prompts=60), gpt2_like).prompts
    shard = load_prompts(replace(config, shard=1, n_shards=3), gpt2_like).prompts
    assert few == more[:24]
    assert shard == few[8:16]
    if kind == "abc":
        other = load_prompts(replace(config, seed=1), gpt2_like).prompts
        assert [names_of(p) for p in other] != [names_of(p) for p in few]


def test_abc_is_drawn_for_every_prompt(config: DatasetConfig, words: Tokenizer) -> None:
    """The three names are not at the same places of the remaining names each time."""
    places = set()
    for original, changed in pairs(config, words, "abc"):
        used, drawn = ([p.token_texts[p.roles[r]] for r in NAMED] for p in (original, changed))
        remaining = [name for name in NAMES if name not in used]
        places.add(tuple(remaining.index(name) for name in drawn))
    assert len(places) > 6  # of 4 * 3 * 2


def test_abc_needs_five_names(config: DatasetConfig, words: Tokenizer) -> None:
    Path(config.names).write_text("Mary\nJohn\nAnna\nTom")
    config = replace(config, n_prompts=6)
    assert load_prompts(replace(config, counterfactual="swapped"), words).prompts
    with pytest.raises(SvtError, match="=abc: 4 names are single tokens of this model, five"):
        load_prompts(replace(config, counterfactual="abc"), words)


@pytest.mark.parametrize(
    "changed",
    [
        Prompt(0, "a c b d", (1, 3, 2, 4), (), {"IO": 1}),
        Prompt(0, "a c", (1, 3), (), {"IO": 1}),
        Prompt(0, "a c b", (1, 3, 2), (), {"IO": 2}),
        Prompt(0, "a c d", (1, 3, 4), (), {"IO": 1}),
    ],
    ids=["longer", "shorter", "moved", "elsewhere"],
)
def test_tokens_that_do_not_line_up_are_refused(changed: Prompt) -> None:
    original = Prompt(0, "a b b", (1, 2, 2), (), {"IO": 1})
    config = few(counterfactual="swapped")
    assert (
        link_counterfactual(replace(original, tokens=(1, 3, 2)), original, config, ["IO"]).original
        == "a b b"
    )
    with pytest.raises(SvtError, match="are not those of 'a b b' with other words"):
        link_counterfactual(changed, original, config, ["IO"])
