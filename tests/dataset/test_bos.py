"""Tokenizers of common models: positions of words, the next token, and the BOS token."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from svt.config import DatasetConfig
from svt.dataset import Dataset, Prompt, Tokenizer, load_prompts, load_tokenizer
from svt.errors import SvtError
from tests.dataset.samples import CORPUS, NAMES, RARE_NAMES, few, shipped_words

DATES = ["The war of 1732 ended in the year 1741."] * 3
SPECIAL = ["<unk>", "<s>", "</s>"]
MARK = "\u2581"
TEXT = "When Mary and John went to the store, John gave a ring to"


def train(inner: tokenizers.Tokenizer, trainer: trainers.Trainer) -> tokenizers.Tokenizer:
    inner.train_from_iterator([*CORPUS, *DATES, *NAMES], trainer)
    return inner


def bpe(size: int, alphabet: Sequence[str] = ()) -> trainers.Trainer:
    return trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=SPECIAL,
        initial_alphabet=list(alphabet),
        show_progress=False,
    )


def starts(inner: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """Add <s> before a text and </s> after it by default."""
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A $B", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return inner


def like_smollm2() -> tokenizers.Tokenizer:
    """Byte-level BPE, one digit a token, no BOS."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    inner.decoder = decoders.ByteLevel()
    return train(inner, bpe(700, pre_tokenizers.ByteLevel.alphabet()))


def like_llama() -> tokenizers.Tokenizer:
    """BPE over a text whose spaces the normaliser marks, with one more in front and a BOS."""
    inner = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)]
    )
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(MARK, "merged_with_next"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    inner.decoder = decoders.Sequence(
        [decoders.Replace(MARK, " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    train(inner, bpe(400)).pre_tokenizer = None  # as Llama's: one piece
    return starts(inner)


def metaspace_bpe() -> tokenizers.Tokenizer:
    """BPE behind a Metaspace pre-tokenizer, with a BOS."""
    inner = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    inner.decoder = decoders.Metaspace(prepend_scheme="first")
    return starts(train(inner, bpe(400)))


def unigram() -> tokenizers.Tokenizer:
    """SentencePiece's Unigram model, no BOS."""
    inner = tokenizers.Tokenizer(models.Unigram())
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=160, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    return train(inner, trainer)


MAKERS = (like_smollm2, like_llama, metaspace_bpe, unigram)
ADD_BOS = ("like_llama", "metaspace_bpe")
Maker = Callable[[], tokenizers.Tokenizer]


@pytest.fixture(scope="module", params=MAKERS, ids=lambda make: make.__name__)
def maker(request: pytest.FixtureRequest) -> Maker:
    inner: tokenizers.Tokenizer = request.param()

    def make() -> tokenizers.Tokenizer:
        return inner

    make.__name__ = request.param.__name__
    return make


def prompts(config: DatasetConfig, inner: tokenizers.Tokenizer, bos: str) -> tuple[Prompt, ...]:
    return load_prompts(replace(config, bos=bos), Tokenizer(inner)).prompts


@pytest.mark.parametrize("bos", ["auto", "never"])
def test_roles_are_at_their_words_and_answers_follow(
    config: DatasetConfig, maker: Maker, bos: str
) -> None:
    inner = maker()
    dataset = load_prompts(replace(config, bos=bos), Tokenizer(inner))
    assert dataset.notes[0].startswith("2 of 8 names left out, not one token of this model: ")
    for prompt in dataset.prompts:
        io, subject = (t[0].strip() for t in (prompt.answer_texts, prompt.distractor_texts))
        assert {io, subject} <= {*NAMES} - {*RARE_NAMES}
        for role, word in (("IO", io), ("S1", subject), ("S2", subject)):
            assert inner.decode([prompt.tokens[prompt.roles[role]]]).strip() == word
        assert prompt.roles["S1"] < prompt.roles["S2"] < prompt.roles["end"]
        assert prompt.roles["end"] == len(prompt.tokens) - 1
        plain = inner.encode(prompt.text, add_special_tokens=False).ids
        n_bos = int(bos == "auto" and maker.__name__ in ADD_BOS)
        assert list(prompt.tokens) == [1] * n_bos + plain
        verb = prompt.template[prompt.template.index("<") + 1 : prompt.template.index(">")]
        said = inner.decode(plain[: prompt.roles["verb"] - n_bos]).strip()
        assert said == prompt.text[: prompt.text.index(f" {verb}")]
        for name, ids in ((io, prompt.answer), (subject, prompt.distractor)):
            written = inner.encode(f"{prompt.text} {name}", add_special_tokens=False).ids
            assert written == [*plain, *ids]


@pytest.mark.parametrize("word", ["1732", "17", "Mary", "When"])
def test_the_first_word_of_a_text_is_covered_by_its_tokens(maker: Maker, word: str) -> None:
    """Not by the lone mark of a space that is not in the text."""
    inner = maker()
    tokenizer = Tokenizer(inner).with_bos("auto")
    encoding = tokenizer.encode_spans(f"{word} went")
    ids = [encoding.ids[i] for i in encoding.covering(0, len(word))]
    assert inner.decode(ids).strip() == word
    assert not any(tokenizer.token_text(token_id).isspace() for token_id in ids)
    first = encoding.covering(0, 1)
    assert len(first) == 1


def test_auto_is_the_default_of_the_tokenizer(config: DatasetConfig, maker: Maker) -> None:
    inner = maker()
    auto, always, never = (
        [] if bos == "always" and maker.__name__ not in ADD_BOS else prompts(config, inner, bos)
        for bos in ("auto", "always", "never")
    )
    if maker.__name__ not in ADD_BOS:
        assert auto == never
        with pytest.raises(SvtError, match=r"dataset\.bos=always: the model has no BOS token"):
            prompts(config, inner, "always")
        return
    assert auto == always
    for one, other in zip(auto, never, strict=True):
        assert one.tokens == (1, *other.tokens)
        assert one.token_texts == ("<s>", *other.token_texts)
        assert one.roles == {role: at + 1 for role, at in other.roles.items()}
        assert (one.text, one.answer, one.distractor) == (
            other.text,
            other.answer,
            other.distractor,
        )
        assert [1, *other.tokens, 2] == inner.encode(one.text).ids


def test_years_split_into_digits_are_refused(maker: Maker) -> None:
    with pytest.raises(
        SvtError, match=r"splits no year of .* \(XX\) into two tokens of two digits"
    ):
        load_prompts(few("greater_than", bos="auto"), Tokenizer(maker()))


def test_years_of_two_tokens_shift_with_the_bos_token() -> None:
    inner = shipped_words("greater_than")
    inner.add_special_tokens(["<s>"])
    bos = inner.token_to_id("<s>")
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="$A $B", special_tokens=[("<s>", bos)]
    )
    config = few("greater_than")
    auto, never = (prompts(config, inner, way) for way in ("auto", "never"))
    for one, other in zip(auto, never, strict=True):
        assert one.tokens == (bos, *other.tokens)
        assert one.roles == {role: at + 1 for role, at in other.roles.items()}
        assert (one.answer, one.distractor) == (other.answer, other.distractor)
        year = inner.decode([one.tokens[one.roles[role]] for role in ("XX", "YY")]).strip()
        assert f"{year} " in one.text
        assert one.answer_texts[0] == f"{int(year[2:]) + 1:02}"


def folder(path: Path, inner: tokenizers.Tokenizer, **files: dict[str, object]) -> Path:
    """A model's folder with the tokenizer and other files."""
    path.mkdir(exist_ok=True)
    inner.save(str(path / "tokenizer.json"))
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("files", "auto"),
    [
        ({"tokenizer_config": {"bos_token": "<s>"}}, ()),
        ({"tokenizer_config": {"bos_token": "<s>", "add_bos_token": False}}, ()),
        ({"tokenizer_config": {"bos_token": "<s>", "add_bos_token": True}}, (1,)),
        ({"tokenizer_config": {"bos_token": {"content": "<s>"}, "add_bos_token": True}}, (1,)),
        (
            {
                "tokenizer_config": {"add_bos_token": True},
                "special_tokens_map": {"bos_token": "<s>"},
            },
            (1,),
        ),
        (
            {
                "special_tokens_map": {"bos_token": {"content": "<s>"}},
                "config": {"bos_token_id": 0},
            },
            (),
        ),
        ({"tokenizer_config": {"bos_token": None}, "config": {"bos_token_id": 1}}, ()),
    ],
)
def test_the_bos_token_of_a_folder(
    tmp_path: Path, files: dict[str, dict[str, object]], auto: tuple[int, ...]
) -> None:
    tokenizer = load_tokenizer(folder(tmp_path, like_smollm2(), **files))
    named = [tmp_path / f"{name}.json" for name in ("tokenizer", *files) if name != "config"]
    assert tokenizer.files == tuple(named)
    assert tokenizer.prefix == ()
    prefixes = [tokenizer.with_bos(bos).prefix for bos in ("auto", "always", "never")]
    assert prefixes == [auto, (1,), ()]


@pytest.mark.parametrize(
    ("files", "bos", "says"),
    [
        ({}, "always", "has no BOS token; set bos_token in its tokenizer_config.json"),
        ({"config": {"bos_token_id": 10**6}}, "always", "config.json is 1000000, which is not in"),
        (
            {"tokenizer_config": {"bos_token": "<b>", "add_bos_token": True}},
            "auto",
            "tokenizer_config.json is '<b>', which is not in the vocabulary",
        ),
    ],
)
def test_a_missing_bos_token_is_refused(
    tmp_path: Path, files: dict[str, dict[str, object]], bos: str, says: str
) -> None:
    tokenizer = load_tokenizer(folder(tmp_path, like_smollm2(), **files))
    with pytest.raises(SvtError) as error:
        tokenizer.with_bos(bos)
    assert f"dataset.bos={bos}: " in str(error.value)
    assert says in str(error.value)


def load_file(path: Path, row: dict[str, object], bos: str = "auto") -> Dataset:
    path.write_text(json.dumps(row))
    config = few("file", path=str(path), n_prompts=None, bos=bos)
    return load_prompts(config, Tokenizer(like_llama()))


def test_a_prompt_file_counts_roles_without_the_bos_token(tmp_path: Path) -> None:
    row = {"text": TEXT, "roles": {"IO": 1}, "answer": " Mary", "distractor": " John"}
    dataset = load_file(tmp_path / "p.jsonl", row)
    (prompt,) = dataset.prompts
    assert prompt.token_texts[:3] == ("<s>", " When", " Mary")
    assert prompt.roles == {"end": len(prompt.tokens) - 1, "IO": 2}
    assert prompt.answer == (prompt.tokens[2],)
    assert dataset.notes == (
        "a BOS token is before each text; the roles of the file do not count it",
    )
    with pytest.raises(SvtError, match=r"role IO is at position 13, .*0 to 12, BOS not counted"):
        load_file(tmp_path / "p.jsonl", row | {"roles": {"IO": 13}})


def test_the_tokens_of_a_prompt_file_get_no_bos_token(tmp_path: Path) -> None:
    ids = like_llama().encode(TEXT, add_special_tokens=False).ids
    for tokens in (ids, [1, *ids]):
        row = {"tokens": tokens, "roles": {"IO": 1}, "answer": " Mary"}
        dataset = load_file(tmp_path / "p.jsonl", row)
        (prompt,) = dataset.prompts
        assert (list(prompt.tokens), prompt.roles["IO"]) == (tokens, 1)
        assert prompt.answer_texts == (" Mary",)
        assert dataset.notes == ()


def test_a_text_that_has_the_bos_token_already_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SvtError, match=r"line 1: the text begins with <s>, which dataset\.bos adds"
    ):
        load_file(tmp_path / "p.jsonl", {"text": f"<s>{TEXT}"})
    (prompt,) = load_file(tmp_path / "p.jsonl", {"text": f"<s>{TEXT}"}, "never").prompts
    assert prompt.tokens.count(1) == 1


def test_the_bos_token_counts_when_texts_are_truncated(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(TEXT)
    config = few("text", path=str(tmp_path / "t.txt"), n_tokens=4, bos="auto")
    (prompt,) = load_prompts(config, Tokenizer(like_llama())).prompts
    assert prompt.token_texts == ("<s>", " When", " Mary", " and")
    assert prompt.text == "When Mary and"


def test_a_bos_token_that_is_the_unknown_one_is_no_unknown_word(tmp_path: Path) -> None:
    inner = tokenizers.Tokenizer(models.WordLevel({"<unk>": 0, "When": 1, "Mary": 2}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single="<unk> $A", pair="$A $B", special_tokens=[("<unk>", 0)]
    )
    path = tmp_path / "t.txt"
    path.write_text("When Mary\nWhen zzz")
    text = few("text", path=str(path), n_tokens=3, n_prompts=2, bos="auto")
    dataset = load_prompts(text, Tokenizer(inner))
    assert [prompt.tokens for prompt in dataset.prompts] == [(0, 1, 2), (0, 1, 0)]
    assert dataset.notes == (
        f"1 of 2 prompts have words that the tokenizer does not know ({path}:2: 'zzz')",
    )
