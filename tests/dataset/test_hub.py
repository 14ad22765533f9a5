"""Sets in the layouts of the hub, read from a folder, and messages without a network."""

import json
import sys
from pathlib import Path
from typing import Any

import polars
import pytest

from svt.config import DatasetConfig
from svt.dataset import Dataset, Tokenizer, load_prompts
from svt.errors import SvtError
from tests.dataset.samples import few, spaced

ABBA = "When Mary and John went to the store, John gave a ring to"
BABA = "When John and Mary went to the store, John gave a ring to"
ROLES = {
    "end": 13, "IO": 1, "S1": 3, "S2": 9, "S1+1": 4, "end-1": 12, "IO-1": 0, "IO+1": 2, "S1-1": 2,
    "S2-1": 8,
}  # fmt: skip


@pytest.fixture(autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the network and use an empty cache."""
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    datasets.disable_progress_bars()


def choices(prompt: str, names: list[str], key: int) -> dict[str, Any]:
    """Return a row in the layout of mib-bench/ioi."""
    other = {"prompt": "no", "choices": ["a", "b"], "answerKey": 1}
    return {
        "prompt": prompt,
        "template": "When {name_A} ...",
        "metadata": {"subject": names[1 - key], "indirect_object": names[key]},
        "choices": names,
        "answerKey": key,
        "abc_counterfactual": other,
    }


def at(folder: Path, **settings: Any) -> DatasetConfig:
    return few("hub", path=str(folder), **{"n_prompts": None, **settings})


def load(
    folder: Path, tokenizer: Tokenizer, rows: list[dict[str, Any]], **settings: Any
) -> Dataset:
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return load_prompts(at(folder, **settings), tokenizer)


def test_rows_with_choices(tmp_path: Path, words: Tokenizer) -> None:
    rows = [choices(ABBA, ["Mary", "John"], 0), choices(BABA, ["John", "Mary"], 1)]
    dataset = load(tmp_path, words, rows)
    first, second = dataset.prompts
    assert dataset.notes == ()
    assert (first.text, first.answer_texts, first.distractor_texts) == (ABBA, ("Mary",), ("John",))
    assert first.roles == ROLES
    assert (first.template, first.pattern, first.prompt_id) == ("When {name_A} ...", "ABBA", 0)
    assert (second.answer_texts, second.pattern, second.prompt_id) == (("Mary",), "BABA", 1)
    assert (second.roles["IO"], second.roles["S1"], second.roles["S2"]) == (3, 1, 9)


def test_choices_with_a_space_and_a_key_that_is_text(tmp_path: Path, gpt2_like: Tokenizer) -> None:
    plain = choices(ABBA, ["Mary", "John"], 0)
    spaced = choices(ABBA, [" Mary", " John"], 0) | {"answerKey": "0"}
    other = choices(ABBA, [" John", " Mary"], 1) | {"answerKey": "1"}
    (expected,) = load(tmp_path, gpt2_like, [plain]).prompts
    assert (expected.answer_texts, expected.distractor_texts) == ((" Mary",), (" John",))
    for row in (spaced, other):
        assert load(tmp_path, gpt2_like, [row]).prompts == (expected,)


def test_a_name_opening_the_text_is_no_token_of_the_answer(tmp_path: Path) -> None:
    opening = "Mary and John went to the store, John gave a ring to"
    tokenizer = Tokenizer(spaced(opening))  # knows Mary and " Mary"
    for row in (choices(opening, ["Mary", "John"], 0), {"ioi_sentences": f"{opening} Mary."}):
        folder = tmp_path / next(iter(row))
        folder.mkdir()
        (prompt,) = load(folder, tokenizer, [row]).prompts
        assert prompt.token_texts[prompt.roles["IO"]] == "Mary"
        assert prompt.roles["IO"] == 0
        assert prompt.answer_texts == (" Mary",)
        assert tokenizer.encode(f"{opening} Mary") == [*prompt.tokens, *prompt.answer]


def test_whole_sentences(tmp_path: Path, gpt2_like: Tokenizer) -> None:
    sentences = [f"{ABBA} Mary", f"{BABA} Mary.", "Then Mary gave a ring to Tom"]
    polars.DataFrame({"ioi_sentences": sentences}).write_parquet(tmp_path / "train.parquet")
    dataset = load_prompts(at(tmp_path), gpt2_like)
    assert [p.text for p in dataset.prompts] == [ABBA, BABA]
    assert [p.answer_texts for p in dataset.prompts] == [(" Mary",)] * 2
    assert [p.distractor_texts for p in dataset.prompts] == [(" John",)] * 2
    assert [p.pattern for p in dataset.prompts] == ["ABBA", "BABA"]
    assert dataset.notes == (
        "1 of 3 rows left out: there must be exactly one name that occurs twice (row 2)",
    )
    for prompt in dataset.prompts:
        assert prompt.token_texts[prompt.roles["S2"]] == " John"
        assert prompt.roles["S1"] < prompt.roles["S2"]


def test_the_columns_of_a_prompt_file(tmp_path: Path, words: Tokenizer) -> None:
    row = {"text": ABBA, "answer": "Mary", "roles": {"IO": 1}, "source": "somewhere"}
    (prompt,) = load(tmp_path, words, [row]).prompts
    assert (prompt.answer_texts, prompt.roles) == (("Mary",), {"end": 13, "IO": 1})


def test_the_first_usable_rows_keep_their_numbers(tmp_path: Path, words: Tokenizer) -> None:
    rows = [
        choices(ABBA.replace("Mary", "Xqzwvyk"), ["Xqzwvyk", "John"], 0),
        choices(ABBA, ["Mary", "John"], 0),
        choices(ABBA, ["John", "Mary"], 0),
        choices(ABBA, ["Mary", "Mary"], 0),
        choices(ABBA, ["Mary", "John"], 0) | {"answerKey": 2},
        choices(BABA, ["Mary", "John"], 0),
        choices(BABA.replace("John", "Tom"), ["Mary", "Tom"], 0),
    ]
    dataset = load(tmp_path, words, rows, n_prompts=2)
    assert [p.prompt_id for p in dataset.prompts] == [1, 5]
    assert dataset.notes == (
        "4 of 6 rows left out: the answer must occur once and the distractor twice (2, first row "
        "2); the name 'Xqzwvyk' is not one token of this model (row 0); there must be a prompt, "
        "two choices, and answerKey 0 or 1 (row 4)",
    )
    assert load(tmp_path, words, rows, n_prompts=9).notes[1] == (
        f"{tmp_path} has 3 usable prompts, fewer than n_prompts=9"
    )
    shard = load(tmp_path, words, rows, shard=1, n_shards=2)
    assert [p.prompt_id for p in shard.prompts] == [5, 6]


def test_a_null_drops_a_row_or_one_of_its_roles(tmp_path: Path, words: Tokenizer) -> None:
    whole = choices(ABBA, ["Mary", "John"], 0)
    nulls = [{"choices": None}, {"choices": ["Mary", None]}, {"prompt": None}, {"answerKey": None}]
    dataset = load(tmp_path, words, [*(whole | null for null in nulls), whole | {"template": None}])
    assert [(p.prompt_id, p.template) for p in dataset.prompts] == [(4, None)]
    assert "4 of 5 rows left out: there must be a prompt, two choices" in dataset.notes[0]
    folder = tmp_path / "structs"
    folder.mkdir()
    roles = [{"IO": 1, "S1": None}, {"IO": None, "S1": 1}]
    polars.DataFrame({"text": [ABBA, BABA], "roles": roles}).write_parquet(folder / "train.parquet")
    structs = load_prompts(at(folder), words).prompts
    assert [p.roles for p in structs] == [{"end": 13, "IO": 1}, {"end": 13, "S1": 1}]


def test_the_prompt_id_of_a_set_is_ignored(tmp_path: Path, words: Tokenizer) -> None:
    rows = [{"text": text, "prompt_id": i} for text, i in ((ABBA, 7), (BABA, 3), ("When", 3))]
    dataset = load(tmp_path, words, rows)
    assert [(p.prompt_id, p.text) for p in dataset.prompts] == [(0, ABBA), (1, BABA), (2, "When")]


def test_splits(tmp_path: Path, words: Tokenizer) -> None:
    row = json.dumps(choices(BABA, ["Mary", "John"], 0))
    (tmp_path / "test.jsonl").write_text(row)
    assert load(tmp_path, words, [choices(ABBA, ["Mary", "John"], 0)]).prompts[0].text == ABBA
    assert load_prompts(at(tmp_path, split="test"), words).prompts[0].text == BABA
    with pytest.raises(SvtError, match='split dev: Unknown split "dev"'):
        load_prompts(at(tmp_path, split="dev"), words)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"question": "Who?"}], "has the columns question, which are not those of an IOI set"),
        ([choices(ABBA, ["Tom", "Kate"], 0)], "has no usable prompt: the answer must occur"),
        (
            [{"text": "When", "roles": {"IO": 4}}],
            "no usable prompt: role IO is at position",
        ),
    ],
)
def test_unusable_sets_are_refused(
    tmp_path: Path, words: Tokenizer, rows: list[dict[str, Any]], says: str
) -> None:
    with pytest.raises(SvtError) as error:
        load(tmp_path, words, rows)
    assert says in str(error.value)
    assert f"dataset.path={tmp_path}" in str(error.value)


def test_without_a_network_the_message_names_a_folder(words: Tokenizer) -> None:
    config = few("hub", path="mib-bench/ioi")
    with pytest.raises(SvtError) as error:
        load_prompts(config, words)
    message = str(error.value)
    assert "dataset.path=mib-bench/ioi, split train: " in message
    assert message.endswith("download the set's files elsewhere and set their folder: "
                            "dataset.path=DIR")  # fmt: skip


@pytest.mark.parametrize("answers", [True, False])
def test_a_hub_that_does_not_answer_is_tried_once(
    words: Tokenizer, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    from datasets import config as library

    def metadata(url: str) -> None:
        assert url.endswith("/datasets/some/set/resolve/v1/README.md")
        if not answers:
            raise ConnectionError("timed out")

    def load_dataset(*_: Any, **__: Any) -> None:
        raise ValueError(f"called, offline: {library.HF_HUB_OFFLINE}")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", metadata)
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    config = few("hub", path="some/set", revision="v1")
    with pytest.raises(
        SvtError, match="called, offline: False" if answers else r"train: timed out\."
    ):
        load_prompts(config, words)
    assert library.HF_HUB_OFFLINE is not answers


def test_without_the_library_it_is_named(words: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(SvtError, match="pip install datasets"):
        load_prompts(few("hub", path="mib-bench/ioi"), words)


def test_a_token_of_more_than_the_name_is_no_name(tmp_path: Path) -> None:
    """A comma is part of a name's token: the row is left out."""
    from tokenizers import Tokenizer as Inner
    from tokenizers import models, pre_tokenizers

    text = "Then Mary and John went out, John, gave a ring to"
    words = {word: i for i, word in enumerate(dict.fromkeys(text.split()))}
    inner = Inner(models.WordLevel({**words, "<unk>": len(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    rows = [choices(text, ["Mary", "John"], 0)]
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(SvtError, match=r"the name 'John' is not one token of this model \(row 0\)"):
        load_prompts(at(folder), Tokenizer(inner))


@pytest.mark.parametrize("key", ["0", " 0", "Mary", " Mary"])
def test_a_key_that_is_text(tmp_path: Path, gpt2_like: Tokenizer, key: str) -> None:
    row = choices(ABBA, [" Mary", " John"], 0) | {"answerKey": key}
    (prompt,) = load(tmp_path, gpt2_like, [row]).prompts
    assert (prompt.answer_texts, prompt.distractor_texts) == ((" Mary",), (" John",))


def test_progress_bars_of_the_library_are_hidden(
    tmp_path: Path, words: Tokenizer, capfd: pytest.CaptureFixture[str]
) -> None:
    import datasets

    datasets.enable_progress_bars()
    load(tmp_path, words, [choices(ABBA, ["Mary", "John"], 0)])
    assert capfd.readouterr().err == ""
    assert not datasets.are_progress_bars_disabled()  # as before
