"""The language of ioi-mini: scenes, documents, held-out names and the tokenizer."""

import random
import re
from collections import Counter
from itertools import combinations

import pytest

from svt.ioi_mini.language import FULL, NAMES, SIMPLE, UNKNOWN, Language, make_orders, split_words


@pytest.fixture(scope="module")
def language() -> Language:
    return Language()


def test_both_orders_swap_only_the_first_names() -> None:
    assert make_orders("When {A} and {B} met, {B} gave a {object} to") == (
        "When {A} and {B} met, {B} gave a {object} to",
        "When {B} and {A} met, {B} gave a {object} to",
    )


def test_the_receiver_is_the_one_named_once(language: Language) -> None:
    for kind in ("giving", "crowd", "company"):
        for scene in language.scenes[kind]:
            named = Counter(re.findall(r"\{[A-D]\}", scene))
            assert named.pop("{A}") == 1, scene
            assert named, scene
            assert min(named.values()) >= 2, scene
            assert re.search(r" (to|by) \[A\]\.$", scene), scene


def test_in_company_the_last_one_named_may_be_the_receiver(language: Language) -> None:
    def receiver_last(kind: str) -> float:
        last = [re.findall(r"\{[A-D]\}", scene)[-1] for scene in language.scenes[kind]]
        return last.count("{A}") / len(last)

    assert receiver_last("crowd") == 0
    assert receiver_last("company") > 0.15


def test_held_out_pairs_share_no_training_document(language: Language) -> None:
    rng = random.Random(1)
    number = {language.index[name]: n for n, name in enumerate(language.names)}
    shared: set[tuple[int, int]] = set()
    for _ in range(1500):
        ids, _ = language.make_document(rng, 48, FULL)
        named = sorted({number[i] for i in ids.tolist() if i in number})
        shared.update(combinations(named, 2))
    assert len(shared) > 3000
    assert not any(language.is_held_out(*pair) for pair in shared)


def test_held_out_prompts_have_held_out_names_in_both_orders(language: Language) -> None:
    prompts = language.make_held_out_prompts(3, 4)
    assert len(prompts) == len(language.templates) * 2 * 4
    for prompt in prompts:
        text = [language.vocabulary[i] for i in prompt.ids]
        receiver, giver = text[prompt.io], text[prompt.s1]
        assert language.is_held_out(language.names.index(receiver), language.names.index(giver))
        assert text[prompt.s2] == giver
        assert text.count(receiver) == 1
        assert text.count(giver) == 2
        assert text[-1] == "to"
        assert 14 <= len(text) <= 20
    assert {p.io < p.s1 for p in prompts} == {True, False}


def test_prompts_and_documents_follow_the_seed(language: Language) -> None:
    assert language.make_held_out_prompts(3, 2) == language.make_held_out_prompts(3, 2)
    assert language.make_held_out_prompts(3, 2) != language.make_held_out_prompts(4, 2)
    first, second, other = (language.make_batch(random.Random(s), 4, 30, FULL) for s in (5, 5, 6))
    assert (first[0] == second[0]).all()
    assert (first[0] != other[0]).any()
    assert first[0].shape == first[1].shape == (4, 30)


def test_an_answer_occurs_before(language: Language) -> None:
    rng = random.Random(2)
    for _ in range(200):
        ids, answers = language.make_document(rng, 40, SIMPLE)
        for at in answers.nonzero()[0].tolist():
            assert ids[at] in ids[:at]


def test_tokenizer_has_one_token_a_word_and_no_additions(language: Language) -> None:
    tokenizer = language.make_tokenizer()
    unknown = tokenizer.token_to_id(UNKNOWN)
    for word in (*language.names, *language.places, *language.objects, ",", "."):
        assert tokenizer.encode(f" {word}").ids == [language.index[word]] != [unknown]
    for template in language.templates:
        assert unknown not in tokenizer.encode(re.sub(r"\{\w+\}", "Mary", template)).ids
    assert tokenizer.encode(" Xerxes").ids == [unknown]


def test_tokenizer_gives_pieces_and_the_whole_the_same_ids(language: Language) -> None:
    tokenizer = language.make_tokenizer()
    for text in language.make_texts(0, 20, 24):
        pieces = re.findall(r" ?\S+", text)
        assert [i for p in pieces for i in tokenizer.encode(p).ids] == tokenizer.encode(text).ids
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_texts_are_long_enough_and_have_no_gifts(language: Language) -> None:
    tokenizer = language.make_tokenizer()
    for text in language.make_texts(0, 100, 21):
        assert len(tokenizer.encode(text).ids) >= 21
        assert not set(split_words(text)) & {"to", "by", "gave", "handed"}


def test_slots_are_filled(language: Language) -> None:
    ids, _ = language.make_batch(random.Random(7), 50, 48, FULL)
    assert ids.max() < len(language.vocabulary)
    assert not any(w in NAMES for w in language.vocabulary)
