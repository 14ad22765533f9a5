"""Loading tokenizers from folders and the hub; token texts."""

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import models

from svt.config import ModelConfig
from svt.dataset import Tokenizer, load_tokenizer
from svt.errors import SvtError
from tests.dataset.samples import KINDS, byte_level, metaspace, word_level

MODEL = ModelConfig("local", None, None, "cpu", "float32")
TEXT = "When Mary gave a ring to John, Xqzwvyk left"


def test_a_folder_with_tokenizer_json(tmp_path: Path) -> None:
    for kind, make in KINDS.items():
        (tmp_path / kind).mkdir()
        inner = make()
        inner.save(str(tmp_path / kind / "tokenizer.json"))
        loaded = load_tokenizer(tmp_path / kind)
        assert loaded.encode(TEXT) == Tokenizer(inner).encode(TEXT)
        assert loaded.files == (tmp_path / kind / "tokenizer.json",)


def test_an_old_gpt2_folder_with_vocab_and_merges(tmp_path: Path) -> None:
    inner = byte_level()
    inner.model.save(str(tmp_path))
    loaded = load_tokenizer(tmp_path)
    assert loaded.files == (tmp_path / "vocab.json", tmp_path / "merges.txt")
    assert loaded.encode(TEXT) == Tokenizer(inner).encode(TEXT)
    assert loaded.decode(loaded.encode(TEXT)) == TEXT
    assert loaded.vocab_size == inner.get_vocab_size()
    assert loaded.texts(loaded.encode("Mary Mary")[-1:]) == (" Mary",)
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(SvtError, match=r"needs tokenizer.json, or vocab.json and merges.txt"):
        load_tokenizer(tmp_path)


def save_old(folder: Path, **files: dict[str, Any]) -> int:
    """Write vocab.json, merges.txt and other files; return the size of the vocabulary."""
    inner = byte_level()
    inner.model.save(str(folder))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return inner.get_vocab_size()


def test_special_and_added_tokens_beside_vocab_json_are_known(tmp_path: Path) -> None:
    n = save_old(tmp_path)
    mask = {"content": "<mask>", "lstrip": True, "special": True}
    save_old(
        tmp_path,
        added_tokens={"<b>": n + 1, "<a>": n},
        tokenizer_config={"added_tokens_decoder": {str(n + 2): mask}, "bos_token": "<b>"},
        special_tokens_map={"bos_token": "<b>", "additional_special_tokens": ["<more>"]},
    )
    loaded = load_tokenizer(tmp_path)
    ids = loaded.encode("<a><b>Mary <mask><more><|endoftext|>")
    assert ids == [n, n + 1, *loaded.encode("Mary"), n + 2, n + 3, 0]  # the mask takes the space
    assert loaded.vocab_size == n + 4
    assert loaded.with_bos("always").prefix == (n + 1,)
    names = ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"]
    assert [file.name for file in loaded.files] == [*names, "added_tokens.json"]


def test_a_prefix_space_beside_vocab_json(tmp_path: Path) -> None:
    save_old(tmp_path, tokenizer_config={"add_prefix_space": True})
    loaded = load_tokenizer(tmp_path)
    assert loaded.encode("Mary") == loaded.encode(" Mary")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"added_tokens": {"<a>": 5000}}, r"added_tokens\.json: the token '<a>' has id 5000, but "),
        ({"added_tokens": {"<a>": "x"}}, "cannot read the added tokens of "),
        ({"tokenizer_config": {"added_tokens_decoder": [1]}}, "cannot read the added tokens of "),
        ({"tokenizer_config": [1]}, r"tokenizer_config\.json: it must be a JSON object"),
        (
            {"tokenizer_config": {"tokenizer_class": "Qwen2Tokenizer"}},
            "tokenizer_class is Qwen2Tokenizer, .* write tokenizer.json beside it with transf",
        ),
    ],
)
def test_invalid_files_beside_vocab_json_are_refused(
    tmp_path: Path, files: dict[str, Any], says: str
) -> None:
    save_old(tmp_path, **files)
    with pytest.raises(SvtError, match=says):
        load_tokenizer(tmp_path)


def test_a_settings_file_that_is_no_json(tmp_path: Path) -> None:
    save_old(tmp_path)
    (tmp_path / "special_tokens_map.json").write_text("{")
    with pytest.raises(SvtError, match=r"tokenizer's .*special_tokens_map\.json: not JSON: "):
        load_tokenizer(tmp_path)


def test_a_sentencepiece_model_alone_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"")
    with pytest.raises(SvtError) as error:
        load_tokenizer(tmp_path)
    folder = repr(str(tmp_path))
    assert str(error.value) == (
        f"model.path={tmp_path} has its tokenizer only as SentencePiece's tokenizer.model; write "
        'tokenizer.json beside it with transformers: python -c "from transformers import '
        f'AutoTokenizer; AutoTokenizer.from_pretrained({folder}).save_pretrained({folder})"'
    )


def test_token_texts_are_readable() -> None:
    shown = {}
    for kind, make in KINDS.items():
        tokenizer = Tokenizer(make())
        shown[kind] = tokenizer.texts(tokenizer.encode("When Mary, zzz"))[:4]
    assert shown["byte_level"] == ("When", " Mary", ",", " ")
    assert shown["metaspace"] == (" When", " Mary", ",", " ")
    assert shown["word_level"] == ("When", "Mary", ",", "<unk>")
    assert shown["word_piece"] == ("When", "Mary", ",", "[UNK]")


def test_no_special_tokens_truncation_or_padding() -> None:
    ids = Tokenizer(KINDS["word_piece"]()).encode("When Mary went to the store and gave it to John")
    assert len(ids) == 11
    assert not {1, 2} & set(ids)


def test_the_token_that_follows_a_text(words: Tokenizer, gpt2_like: Tokenizer) -> None:
    assert words.next_token("went to", " Mary") == words.encode("Mary")[0]
    assert words.next_token("went to", " zzz") is None  # unknown
    assert words.next_token("went to", " Mary John") is None
    assert words.next_token("went to", "Mary") is None  # toMary
    assert words.next_token("went to", "") is None
    assert gpt2_like.next_token("went to", " Mary") == gpt2_like.encode("to Mary")[-1]
    assert gpt2_like.next_token("went to", " zzz") is None
    assert gpt2_like.next_token("went to ", "Mary") is None  # the space belongs to Mary


def test_only_ids_of_the_vocabulary_are_in_it(words: Tokenizer) -> None:
    assert [words.has(i) for i in (-1, 0, words.vocab_size - 1, words.vocab_size, 2**40)] == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_the_unknown_token_of_a_unigram_model() -> None:
    inner = tokenizers.Tokenizer(models.Unigram([("a", -1.0), ("<u>", 0.0)], unk_id=1))
    assert Tokenizer(inner).unknown_id == 1
    assert Tokenizer(byte_level()).unknown_id is None


@pytest.mark.parametrize(
    "text", ["", "{", "{}", "[]", "null", '{"model": null}', '{"model": {"type": "No"}}', "\x00"]
)
def test_a_broken_tokenizer_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(SvtError, match=r"cannot read the tokenizer .*tokenizer\.json: "):
        load_tokenizer(tmp_path)


def test_a_tokenizer_json_cut_short_or_altered(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    word_level().save(str(file))
    whole = file.read_bytes()
    for cut in range(0, len(whole) - 1, 97):
        for broken in (whole[:cut], whole[:cut] + b"\xff" + whole[cut + 1 :]):
            file.write_bytes(broken)
            with pytest.raises(SvtError, match="cannot read the tokenizer"):
                load_tokenizer(tmp_path)


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_broken_vocab_or_merges(tmp_path: Path, name: str) -> None:
    byte_level().model.save(str(tmp_path))
    (tmp_path / name).write_text("not what it should be")
    with pytest.raises(
        SvtError, match=r"cannot read the tokenizer .*vocab\.json and .*merges\.txt"
    ):
        load_tokenizer(tmp_path)


def test_a_tokenizer_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SvtError, match=r"model\.path=.*none: no such folder"):
        load_tokenizer(tmp_path / "none")


def test_an_unknown_character_names_its_word() -> None:
    """One letter of the word is unknown, and a token of its own."""
    tokenizer = Tokenizer(metaspace())
    text = "When Mar\u00ebs, Mary went"
    assert tokenizer.unknown_words(text, tokenizer.encode(text)) == ["Mar\u00ebs"]
