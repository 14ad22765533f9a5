"""Four small tokenizers, one of each common kind, trained on a small English corpus."""

import re
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from svt.paths import conf_dir
from tests.settings import dataset

NAMES = ["Mary", "John", "Anna", "Tom", "Paul", "Kate"]
RARE_NAMES = ["Xqzwvyk", "Anna-Maria"]
PLACES = ["store", "old mill"]
OBJECTS = ["ring", "book", "qxvz"]
TEMPLATES = [
    "When {A} and {B} went to the {place}, {B} <gave> a {object} to",
    "Then, {A} had a {object} and {B} did not. So {B} <offered to give> the {object} to",
    "Here {A} {B} stood; quietly {B} <handed> it to",
]
CORPUS = [
    f"{opening} {name} and {name} went to the {place}, {name} gave a {thing} to {name}."
    for opening in ("When", "Then, so", "Here stood; quietly", "had did not. So it offered handed")
    for name in NAMES
    for place in PLACES
    for thing in OBJECTS[:2]
] * 3


def few(name: str = "ioi", **settings: Any) -> Any:
    """Return the settings of a dataset, of 24 prompts without BOS; test_bos.py has the others."""
    return dataset(name, **{"n_prompts": 24, "bos": "never", **settings})


def byte_level() -> tokenizers.Tokenizer:
    """As GPT-2: a space belongs to the word after it."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    inner.train_from_iterator(CORPUS, trainer)
    return inner


def metaspace() -> tokenizers.Tokenizer:
    """As Llama: a text gets a space in front, and bytes for what is unknown."""
    inner = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    inner.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    inner.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>"], show_progress=False)
    inner.train_from_iterator(CORPUS, trainer)
    return inner


def word_level() -> tokenizers.Tokenizer:
    """As the bundled model: every word and punctuation mark is a token, others are <unk>."""
    inner = tokenizers.Tokenizer(models.WordLevel(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    trainer = trainers.WordLevelTrainer(special_tokens=["<unk>"], show_progress=False)
    inner.train_from_iterator([*CORPUS, "give"], trainer)
    return inner


def word_piece() -> tokenizers.Tokenizer:
    """As BERT, with special tokens around a text (which must not be added)."""
    inner = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False
    )
    inner.train_from_iterator(CORPUS, trainer)
    inner.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    inner.enable_truncation(8)
    inner.enable_padding(length=30)
    return inner


def spaced(*texts: str) -> tokenizers.Tokenizer:
    """Return a tokenizer that splits as GPT-2 does, and a year into pairs of digits except 1700.

    Its vocabulary is the pieces of the texts, each also after a space.
    """
    cuts = r"'t| 1700| ?\d\d| ?[A-Za-z]+| ?[^\sA-Za-z\d]"
    pieces = {piece for text in texts for piece in re.findall(cuts, text)}
    pieces |= {f" {piece.strip()}" for piece in pieces}
    vocabulary = {piece: i for i, piece in enumerate(["<unk>", *sorted(pieces)])}
    inner = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(cuts), "isolated")
    inner.decoder = decoders.Fuse()
    return inner


def shipped_words(name: str) -> tokenizers.Tokenizer:
    """Return a tokenizer for the words of a shipped dataset's files and for two digits."""
    texts = [file.read_text() for file in sorted((conf_dir() / "dataset" / name).iterdir())]
    return spaced(*texts, *(f"{n:02}" for n in range(100)), " 1700")


KINDS = {f.__name__: f for f in (byte_level, metaspace, word_level, word_piece)}
