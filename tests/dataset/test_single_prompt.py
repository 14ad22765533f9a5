"""One prompt from the configuration equals a row of a prompt file."""

import json
from pathlib import Path
from typing import Any

import pytest

from svt.dataset import Tokenizer, list_dataset_files, load_prompts
from svt.errors import SvtError
from tests.dataset.samples import few
from tests.settings import dataset

TEXT = "When Mary and John went to the store, John gave a ring to"


@pytest.mark.parametrize("answer", ["Mary", ("Mary", "Tom")])
def test_it_is_the_prompt_of_a_file_of_one_row(
    words: Tokenizer, tmp_path: Path, answer: Any
) -> None:
    row = {"text": TEXT, "answer": answer, "distractor": "John"}
    file = tmp_path / "one.jsonl"
    file.write_text(json.dumps(row))
    config = dataset("prompt", **row)
    assert load_prompts(config, words) == load_prompts(
        few("file", path=str(file), n_prompts=None), words
    )
    assert list_dataset_files(config) == ()


def test_an_invalid_prompt_is_refused_without_a_row(words: Tokenizer) -> None:
    with pytest.raises(SvtError, match=r"^dataset=prompt: a distractor without an answer$"):
        load_prompts(dataset("prompt", text=TEXT, distractor="John"), words)
    with pytest.raises(SvtError, match=r"^dataset=prompt: the text '' has no tokens|no text"):
        load_prompts(dataset("prompt", text=""), words)
    with pytest.raises(SvtError, match=r"^dataset=prompt: answer 'yak' must be one token"):
        load_prompts(dataset("prompt", text=TEXT, answer="yak"), words)


def test_a_word_that_the_tokenizer_does_not_know_is_named(words: Tokenizer) -> None:
    notes = load_prompts(dataset("prompt", text="When zzz went"), words).notes
    assert notes == (
        "1 of 1 prompts have words that the tokenizer does not know (prompt 0: 'zzz')",
    )
