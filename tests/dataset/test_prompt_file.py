"""Prompt files: the three formats agree, and every problem is reported with its row."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars
import pyarrow
import pyarrow.parquet
import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers

from svt.dataset import Dataset, Tokenizer, load_prompts
from svt.errors import SvtError
from tests.dataset.samples import few
from tests.marks import examples

CONFIG = few("file", path="any", n_prompts=None)
FULL: dict[str, Any] = {
    "prompt_id": 7,
    "text": "When Mary and John went to the store, John gave a ring to",
    "roles": {"IO": 1, "S1": 3, "S2": 9},
    "answer": " Mary",
    "distractor": " John",
    "template": "mine",
    "pattern": "ABBA",
}
SPARSE: dict[str, Any] = {"text": "When Tom went"}
anything = settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write the rows in the format of the path's suffix."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        polars.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    else:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            for row in rows:
                writer.writerow(
                    {n: json.dumps(v) if isinstance(v, dict | list) else v for n, v in row.items()}
                )
    return path


def load(path: Path, tokenizer: Tokenizer, **settings: Any) -> Dataset:
    return load_prompts(replace(CONFIG, path=str(path), **settings), tokenizer)


def load_error(path: Path, tokenizer: Tokenizer) -> str:
    """Return the message of the error that loading the file must raise."""
    with pytest.raises(SvtError) as error:
        load(path, tokenizer)
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_full_and_a_sparse_row(tmp_path: Path, gpt2_like: Tokenizer, suffix: str) -> None:
    first, second = load(write(tmp_path / f"p{suffix}", [FULL, SPARSE]), gpt2_like).prompts
    assert (first.prompt_id, first.text) == (1, "When Tom went")  # sorted; the row's number
    assert first.roles == {"end": 2}
    assert (first.answer, first.answer_texts, first.template, first.pattern) == ((), (), None, None)
    assert second.prompt_id == 7
    assert second.text == FULL["text"]
    assert list(second.tokens) == gpt2_like.encode(FULL["text"])
    assert second.roles == {"IO": 1, "S1": 3, "S2": 9, "end": 13}
    assert (second.answer, second.distractor) == ((second.tokens[1],), (second.tokens[3],))
    assert (second.answer_texts, second.distractor_texts) == ((" Mary",), (" John",))
    assert (second.template, second.pattern) == ("mine", "ABBA")


def test_an_end_before_the_last_token_is_kept(tmp_path: Path, words: Tokenizer) -> None:
    path = write(tmp_path / "p.jsonl", [FULL | {"roles": {"end": 5}}])
    assert load(path, words).prompts[0].roles == {"end": 5}


def test_roles_as_a_map_in_parquet(tmp_path: Path, words: Tokenizer) -> None:
    roles = pyarrow.array([[("IO", 1), ("S1", 0)]], pyarrow.map_(pyarrow.string(), pyarrow.int16()))
    table = pyarrow.table({"text": ["When Mary"], "roles": roles})
    pyarrow.parquet.write_table(table, tmp_path / "p.parquet")
    prompt = load(tmp_path / "p.parquet", words).prompts[0]
    assert prompt.roles == {"end": 1, "IO": 1, "S1": 0}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_tokens_take_precedence_over_text(
    tmp_path: Path, gpt2_like: Tokenizer, suffix: str
) -> None:
    ids = gpt2_like.encode("When Mary went")
    rows = [{"text": "something else", "tokens": ids}, {"text": None, "tokens": ids[:2]}]
    one, two = load(write(tmp_path / f"p{suffix}", rows), gpt2_like).prompts
    assert (one.text, list(one.tokens)) == ("When Mary went", ids)
    assert (two.text, two.token_texts) == ("When Mary", ("When", " Mary"))


def test_an_answer_is_the_token_that_follows_as_it_is_written(
    tmp_path: Path, gpt2_like: Tokenizer, words: Tokenizer
) -> None:
    path = write(tmp_path / "p.jsonl", [SPARSE | {"answer": "a"}])  # a token with and without
    dataset = load(path, gpt2_like)
    assert dataset.prompts[0].answer_texts == ("a",)
    assert "1 of 1 answers are tokens without a leading space" in dataset.notes[0]
    assert load(path, words).notes == ()


def test_an_answer_lacks_its_space_only_where_tokens_do(
    tmp_path: Path, gpt2_like: Tokenizer, words: Tokenizer
) -> None:
    rows = [SPARSE | {"answer": " Mary"}, SPARSE | {"answer": "Mary", "distractor": ["Tom"]}]
    path = write(tmp_path / "p.jsonl", rows)
    spaced, bare = load(path, words).prompts
    assert spaced.answer == bare.answer
    assert (bare.answer_texts, bare.distractor_texts) == (("Mary",), ("Tom",))
    assert (
        "line 2: answer 'Mary' is not one token after the prompt, but ' Mary' is; write it with "
        "the space"
    ) in load_error(path, gpt2_like)


def test_the_space_before_an_answer_does_not_end_the_prompt(
    tmp_path: Path, gpt2_like: Tokenizer, words: Tokenizer
) -> None:
    path = write(tmp_path / "p.jsonl", [{"text": "When Tom went ", "answer": "Mary"}])
    assert load(path, words).prompts[0].answer_texts == ("Mary",)
    assert (
        "line 1: answer 'Mary' is not one token after the prompt, whose last space belongs to it; "
        "end the prompt before the space and write ' Mary'"
    ) in load_error(path, gpt2_like)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_more_than_one_answer_and_distractor(tmp_path: Path, words: Tokenizer, suffix: str) -> None:
    rows = [SPARSE | {"answer": ["Tom", "Kate", "Anna"], "distractor": ["Paul"]}]
    (prompt,) = load(write(tmp_path / f"p{suffix}", rows), words).prompts
    assert prompt.answer_texts == ("Anna", "Kate", "Tom")
    assert words.texts(prompt.answer) == ("Anna", "Kate", "Tom")
    assert prompt.distractor_texts == ("Paul",)


def test_a_cell_with_a_bracket_is_a_word_unless_it_is_a_list(
    tmp_path: Path, gpt2_like: Tokenizer
) -> None:
    path = tmp_path / "p.csv"
    path.write_text("text,answer\nWhen,[\n")
    assert load(path, gpt2_like).prompts[0].answer_texts == ("[",)
    path.write_text('text,answer\nWhen,"[""Mary"", ""Tom"""\n')
    assert "line 2: answer: not JSON" in load_error(path, gpt2_like)


def test_the_first_rows_and_all_rows(tmp_path: Path, words: Tokenizer) -> None:
    path = write(tmp_path / "p.jsonl", [SPARSE | {"prompt_id": i} for i in (5, 3, 4)])
    assert [p.prompt_id for p in load(path, words).prompts] == [3, 4, 5]
    assert [p.prompt_id for p in load(path, words, n_prompts=2).prompts] == [3, 5]
    assert load(path, words, n_prompts=4).notes == (
        f"{path} has 3 prompts, fewer than n_prompts=4",
    )


def test_words_that_the_tokenizer_does_not_know_are_named(tmp_path: Path, words: Tokenizer) -> None:
    rows = [SPARSE, {"text": "When zzz-yak and zzz went"}, SPARSE, {"text": "qqq"}]
    path = write(tmp_path / "p.jsonl", rows)
    assert load(path, words).notes == (
        f"{path}: 2 of 4 prompts have words that the tokenizer does not know "
        "(line 2: 'zzz', '-', 'yak'; line 4: 'qqq')",
    )
    many = write(tmp_path / "many.csv", [{"text": "qqq"}] * 7)
    assert load(many, words).notes[0].endswith("; line 6: 'qqq'; and 2 more)")
    tokens = [words.encode("When")[0], words.unknown_id]
    given = write(tmp_path / "ids.jsonl", [{"tokens": tokens}])
    assert "(line 1: '<unk>')" in load(given, words).notes[0]


def test_a_word_that_cannot_be_encoded_has_its_row(tmp_path: Path) -> None:
    """A tokenizer without a token for unknown words refuses the text as a whole."""
    inner = tokenizers.Tokenizer(models.WordLevel({"When": 0, "Tom": 1, "went": 2, "Ann": 3}))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    rows = [SPARSE, {"text": "When zzz went"}, SPARSE | {"answer": "yak"}]
    message = load_error(write(tmp_path / "p.jsonl", rows), Tokenizer(inner))
    assert "2 of 3 rows are invalid" in message
    assert "\n  line 2: the tokenizer cannot encode 'zzz': " in message
    assert "\n  line 3: the tokenizer cannot encode 'yak': " in message
    (tmp_path / "t.txt").write_text("When Tom went\nWhen zzz\n")
    with pytest.raises(SvtError, match=r"t\.txt:2: the tokenizer cannot encode 'zzz': "):
        load_prompts(few("text", path=str(tmp_path / "t.txt")), Tokenizer(inner))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"roles": {"IO": 14}}, "role IO is at position 14, but the prompt has 14 tokens"),
        ({"roles": {"IO": -1}}, "role IO is at position -1"),
        ({"roles": {"IO": 1.5}}, "role IO must be at a position (an integer), not 1.5"),
        ({"roles": {"IO": True}}, "not True"),
        ({"roles": {"any": 1}}, "cannot be named any"),
        ({"roles": {"": 1}}, "'' is no name for a role"),
        ({"roles": {" IO": 1}}, "' IO' is no name for a role"),
        ({"roles": [1]}, "roles must map role names to positions"),
        ({"tokens": [0, 10**6]}, "token id 1000000 at position 1 is outside the vocabulary of "),
        ({"tokens": [-1]}, "token id -1 at position 0"),
        ({"tokens": ["When"]}, "tokens must be a list of token ids"),
        ({"tokens": []}, "tokens must be a list of token ids"),
        ({"tokens": 3}, "tokens must be a list of token ids"),
        ({"answer": "Mary John"}, "answer 'Mary John' must be one token of the model, but has 3"),
        ({"answer": ""}, "answer is an empty text"),
        ({"answer": 3}, "answer must be a text, not 3"),
        ({"answer": None}, "a distractor without an answer"),
        ({"answer": []}, "answer is an empty list"),
        ({"answer": [" Mary", 3]}, "answer must be a text, not 3"),
        ({"answer": [" Mary", " Mary"]}, "answer has the token ' Mary' twice"),
        ({"answer": [" Mary", " John"]}, "answer and distractor are the same token, ' John'"),
        ({"distractor": " Mary"}, "answer and distractor are the same token"),
        ({"text": ""}, "there is no text and there are no tokens"),
        ({"text": None}, "there is no text and there are no tokens"),
        ({"text": "a \ud800"}, "text has a lone surrogate"),
        ({"prompt_id": -1}, "prompt_id must be an integer from 0"),
        ({"prompt_id": "x"}, "not 'x'"),
        ({"prompt_id": 2**31}, "prompt_id must be an integer from 0 to 2147483647"),
        ({"prompt_id": 0}, "prompt_id 0 is also that of line 1"),
        ({"colour": "red"}, "unknown column 'colour'; known: prompt_id, text, tokens, roles, "),
    ],
)
def test_a_problem_is_reported_with_its_row(
    tmp_path: Path, gpt2_like: Tokenizer, change: dict[str, Any], says: str
) -> None:
    message = load_error(write(tmp_path / "p.jsonl", [SPARSE, FULL | change]), gpt2_like)
    assert "1 of 2 rows are invalid, nothing was done:\n  line 2: " in message
    assert says in message


def test_an_unknown_answer(tmp_path: Path, words: Tokenizer) -> None:
    path = write(tmp_path / "p.jsonl", [SPARSE | {"answer": "zzz"}])
    assert "answer 'zzz' must be one token of the model, but is not a token it knows" in load_error(
        path, words
    )


def test_all_problems_are_reported_up_to_a_limit(tmp_path: Path, words: Tokenizer) -> None:
    rows = [SPARSE] + [SPARSE | {"roles": {"IO": i}} for i in range(3, 17)]
    rows += [SPARSE | {"colour": 1}] * 5
    message = load_error(write(tmp_path / "p.jsonl", rows), words)
    assert "19 of 20 rows are invalid" in message
    assert len(message.splitlines()) == 12
    assert message.endswith("and 5 more problems")
    message = load_error(write(tmp_path / "p.jsonl", rows[-5:]), words)
    assert "line 1, line 2, line 3 and 2 more: unknown column 'colour'" in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("not json\n", "line 1: not JSON: Expecting value at character 1"),
        ('{"text": "a"}\n[1]\n', "line 2: a row must be a JSON object"),
        ('{"text": "a", "text": "b"}', "line 1: the key 'text' is there more than once"),
        ("[" * 100_000, "line 1: not JSON"),
        ('{"prompt_id": ' + "9" * 5000 + "}", "line 1: "),
    ],
)
def test_broken_json_lines(tmp_path: Path, words: Tokenizer, text: str, says: str) -> None:
    (tmp_path / "p.jsonl").write_text(text)
    assert says in load_error(tmp_path / "p.jsonl", words)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("text\n", "is empty"),
        ("text,text\na,b\n", "column 'text' is there more than once"),
        ("text,answer\nWhen\n", "line 2: 1 cells, but the header names 2"),
        ("text,answer\nWhen,a,b\n", "line 2: 3 cells, but the header names 2"),
        ('text\n"When\n', "line 2: "),
        ('text,roles\n"When\nMary",{IO}\n', "line 3: roles: not JSON"),
        ("text,prompt_id\nWhen,one\n", "line 2: prompt_id must be an integer"),
        ("text,tokens\nWhen,1 2\n", "line 2: tokens: not JSON"),
    ],
)
def test_broken_csv(tmp_path: Path, words: Tokenizer, text: str, says: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    assert says in load_error(tmp_path / "p.csv", words)


def test_broken_parquet(tmp_path: Path, words: Tokenizer) -> None:
    path = write(tmp_path / "p.parquet", [FULL, FULL])
    assert "row 2: prompt_id 7 is also that of row 1" in load_error(path, words)
    whole = path.read_bytes()
    for cut in (0, 3, 100, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert "is not a valid Parquet file" in load_error(path, words)


def test_files_that_are_no_prompt_files(tmp_path: Path, words: Tokenizer) -> None:
    for name in ("p.jsonl", "p.csv", "p.parquet"):
        assert "cannot read dataset.path" in load_error(tmp_path / name, words)
        (tmp_path / name).mkdir()
        assert "cannot read dataset.path" in load_error(tmp_path / name, words)
    (tmp_path / "p.txt").write_text("a")
    assert "unknown format; a prompt file ends in" in load_error(tmp_path / "p.txt", words)
    (tmp_path / "latin.csv").write_bytes(b"text\n\xe9\n")
    assert "is not UTF-8 text (byte 5)" in load_error(tmp_path / "latin.csv", words)


some_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
positions = st.integers(-1, 4)
good_or_bad = {
    "prompt_id": st.integers(0, 50) | some_json,
    "text": st.sampled_from(["When Mary went to", "a", " "]) | st.text(max_size=8) | some_json,
    "tokens": st.lists(st.integers(0, 40), max_size=5) | st.none() | some_json,
    "roles": st.dictionaries(st.sampled_from(["IO", "S1", "end", "x"]), positions) | some_json,
    "answer": st.sampled_from([" Mary", "Mary", " a"]) | some_json,
    "distractor": st.sampled_from([" John", "Mary", None]) | some_json,
    "template": st.text(max_size=3) | some_json,
    "pattern": st.none() | some_json,
}
rows = st.fixed_dictionaries(
    {"text": good_or_bad["text"]}, optional={k: v for k, v in good_or_bad.items() if k != "text"}
)


def check_valid(dataset: Dataset, tokenizer: Tokenizer) -> None:
    ids = [prompt.prompt_id for prompt in dataset.prompts]
    assert ids == sorted(set(ids))
    for prompt in dataset.prompts:
        assert prompt.tokens and all(tokenizer.has(token) for token in prompt.tokens)
        assert prompt.token_texts == tokenizer.texts(prompt.tokens)
        assert "end" in prompt.roles
        assert all(0 <= pos < len(prompt.tokens) for pos in prompt.roles.values())
        assert prompt.answer or not prompt.distractor
        assert all(map(tokenizer.has, prompt.answer))


@anything
@given(st.lists(rows, max_size=3))
def test_any_rows_make_prompts_or_a_clear_error(
    tmp_path: Path, gpt2_like: Tokenizer, rows: list[dict[str, Any]]
) -> None:
    path = write(tmp_path / "any.jsonl", rows)
    try:
        dataset = load(path, gpt2_like)
    except SvtError as error:
        assert f"dataset.path {path}" in str(error)
        assert not rows or "line " in str(error)
    else:
        check_valid(dataset, gpt2_like)
        assert len(dataset.prompts) == len(rows)


names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=3)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), min_size=1, max_size=9)
good_row = st.fixed_dictionaries(
    {
        "text": st.sampled_from(["When Mary went to", "Mary", "gave é"]),
        "roles": st.dictionaries(names.filter(lambda n: n != "any"), st.just(0), min_size=1),
        "answer": st.sampled_from([" Mary", " John", " a"]),
        "template": texts,
        "pattern": st.none() | texts,
    }
)


@anything
@given(st.lists(good_row, min_size=1, max_size=3))
def test_the_three_formats_hold_the_same_prompts(
    tmp_path: Path, gpt2_like: Tokenizer, rows: list[dict[str, Any]]
) -> None:
    jsonl, other, parquet = (
        load(write(tmp_path / f"p{suffix}", rows), gpt2_like).prompts
        for suffix in (".jsonl", ".csv", ".parquet")
    )
    assert jsonl == other == parquet
    assert [dict(p.roles) for p in jsonl] == [
        {"end": len(p.tokens) - 1} | r["roles"] for p, r in zip(jsonl, rows, strict=True)
    ]


@anything
@given(
    suffix=st.sampled_from([".jsonl", ".csv", ".parquet"]),
    content=st.binary(max_size=40)
    | st.lists(st.sampled_from([*'{}[],:"\n\r\0', "text", "roles", "1", '""', "null"])).map(
        lambda parts: "".join(parts).encode()
    ),
)
def test_any_bytes_make_a_clear_error_or_prompts(
    tmp_path: Path, gpt2_like: Tokenizer, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"any{suffix}"
    path.write_bytes(content)
    try:
        check_valid(load(path, gpt2_like), gpt2_like)
    except SvtError as error:
        assert f"dataset.path {path}" in str(error)


@anything
@given(at=st.integers(0, 10**4), byte=st.integers(0, 255))
def test_a_damaged_parquet_file(tmp_path: Path, gpt2_like: Tokenizer, at: int, byte: int) -> None:
    path = write(tmp_path / "p.parquet", [FULL])
    content = bytearray(path.read_bytes())
    content[at % len(content)] = byte
    path.write_bytes(content)
    try:
        check_valid(load(path, gpt2_like), gpt2_like)
    except SvtError as error:
        assert f"dataset.path {path}" in str(error)


def eap_rows(tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """Rows as EAP-IG's tables have them: prompts in pairs, answers as token ids."""
    (mary,), (john,), (tom,) = (tokenizer.encode(f" {name}") for name in ("Mary", "John", "Tom"))
    text = "When Mary and John went to the store, John gave a ring to"
    row = {"clean": text, "corrupted": "no", "corrupted_hard": "no"}
    return [
        row | {"correct_idx": mary, "incorrect_idx": john},
        row | {"correct_idx": mary, "incorrect_idx": [john, tom]},
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_tables_in_the_format_of_eap(tmp_path: Path, gpt2_like: Tokenizer, suffix: str) -> None:
    dataset = load(write(tmp_path / f"p{suffix}", eap_rows(gpt2_like)), gpt2_like)
    one, two = dataset.prompts
    assert one.text == "When Mary and John went to the store, John gave a ring to"
    assert one.tokens == tuple(gpt2_like.encode(one.text))
    assert (one.answer_texts, one.distractor_texts) == ((" Mary",), (" John",))
    assert two.distractor_texts == (" John", " Tom")
    assert dataset.notes[-1] == (
        "read in the format of EAP; columns left out: 'corrupted', 'corrupted_hard'; in this model "
        "the token ids of the first row are ' Mary' (correct) and ' John' (incorrect)"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"correct_idx": 10**6}, "correct_idx has the token id 1000000, which is outside"),
        ({"correct_idx": " Mary"}, "correct_idx must be a token id or a list of them, not ' Mary'"),
        ({"incorrect_idx": []}, "incorrect_idx must be a token id or a list"),
        ({"incorrect_idx": None}, "unknown column 'clean'; known: "),
    ],
)
def test_a_broken_row_for_eap(
    tmp_path: Path, gpt2_like: Tokenizer, change: dict[str, Any], says: str
) -> None:
    row, _ = eap_rows(gpt2_like)
    assert says in load_error(write(tmp_path / "p.jsonl", [row | change]), gpt2_like)


@pytest.mark.parametrize("name", ["", "__index_level_0__", "Unnamed: 0"])
def test_the_index_of_pandas(tmp_path: Path, words: Tokenizer, name: str) -> None:
    message = load_error(write(tmp_path / "p.csv", [{name: 0} | SPARSE]), words)
    assert f"column {name!r} is the index that pandas writes; write the file with index=False" in (
        message
    )


def test_a_column_twice_in_parquet(tmp_path: Path, words: Tokenizer) -> None:
    table = pyarrow.table([["When"], ["to"]], names=["text", "text"])
    pyarrow.parquet.write_table(table, tmp_path / "p.parquet")
    assert "column 'text' is there more than once" in load_error(tmp_path / "p.parquet", words)
