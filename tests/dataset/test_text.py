"""Plain texts: truncated, counted, without roles."""

from dataclasses import replace
from pathlib import Path

import pytest

from svt.dataset import Dataset, Tokenizer, load_prompts
from svt.errors import SvtError
from tests.dataset.samples import few

CONFIG = few("text", n_prompts=None, n_tokens=4)


def load(path: Path, tokenizer: Tokenizer, text: str, **settings: object) -> Dataset:
    path.write_text(text)
    return load_prompts(replace(CONFIG, path=str(path), **settings), tokenizer)


def test_documents_are_truncated_and_have_no_roles(tmp_path: Path, gpt2_like: Tokenizer) -> None:
    text = "\ufeffWhen Mary went to the store\r\n\n  Mary gave a ring  \r\nWhen John\nMary\n"
    dataset = load(tmp_path / "t.txt", gpt2_like, text.replace("Mary gave", "When Mary gave"))
    assert [p.text for p in dataset.prompts] == [
        "When Mary went to",
        "When Mary gave a",
        "When John",
        "Mary",  # several byte-level tokens at the start of a text
    ]
    for i, prompt in enumerate(dataset.prompts):
        assert prompt.prompt_id == i
        assert list(prompt.tokens) == gpt2_like.encode(prompt.text)
        assert len(prompt.token_texts) == len(prompt.tokens) <= 4
        assert (prompt.roles, prompt.answer, prompt.template) == ({}, (), None)
    short = sum(len(p.tokens) < 4 for p in dataset.prompts)
    assert dataset.notes == (f"{short} of 4 texts have fewer than 4 tokens",)


def test_texts_of_one_token_are_skipped_and_the_next_taken(
    tmp_path: Path, words: Tokenizer
) -> None:
    dataset = load(tmp_path / "t.txt", words, "Mary\nWhen John\nWhen Tom went to the", n_prompts=2)
    assert [p.text for p in dataset.prompts] == ["When John", "When Tom went to"]
    assert dataset.notes == (
        "1 texts of fewer than two tokens were skipped",
        "1 of 2 texts have fewer than 4 tokens",
    )


def test_the_first_n_and_fewer_than_n(tmp_path: Path, words: Tokenizer) -> None:
    text = "When Mary went to\n" * 3
    assert len(load(tmp_path / "t.txt", words, text, n_prompts=2).prompts) == 2
    dataset = load(tmp_path / "t.txt", words, text, n_prompts=5)
    assert len(dataset.prompts) == 3
    assert dataset.notes == (f"{tmp_path / 't.txt'} has 3 texts, fewer than n_prompts=5",)


def test_json_lines(tmp_path: Path, words: Tokenizer) -> None:
    text = '{"text": "When Mary\\nwent to the store", "meta": 1}\n\n{"text": " "}\n'
    dataset = load(tmp_path / "t.jsonl", words, text)
    assert [p.text for p in dataset.prompts] == ["When Mary\nwent to"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("t.txt", "", "has no text of two tokens or more"),
        ("t.txt", "Mary\n", "has no text of two tokens or more"),
        ("t.jsonl", '{"text": "When Mary"}\nWhen', "t.jsonl:2: not JSON"),
        ("t.jsonl", '{"txt": "When"}', "t.jsonl:1: each line must be an object with a text"),
        ("t.jsonl", '["When"]', "t.jsonl:1: each line must be an object with a text"),
        ("t.jsonl", '{"text": "When \\ud800"}', "cannot encode"),
    ],
)
def test_invalid_texts_are_refused(
    tmp_path: Path, words: Tokenizer, name: str, text: str, says: str
) -> None:
    with pytest.raises(SvtError, match=says):
        load(tmp_path / name, words, text)


def test_a_missing_file(tmp_path: Path, words: Tokenizer) -> None:
    with pytest.raises(SvtError, match=r"cannot read dataset\.path .*none\.txt: No such file"):
        load_prompts(replace(CONFIG, path=str(tmp_path / "none.txt")), words)
