"""Prompts read from a store equal those that were written."""

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from tokenizers import Tokenizer as Inner
from tokenizers import models, pre_tokenizers

from svt.dataset import Dataset, Tokenizer, load_prompts, make_prompt_rows, role_labels
from svt.dataset.stored import read_stored_prompts
from svt.db.catalog import create_tables
from svt.db.identity import SCHEMA_VERSION
from svt.errors import SvtError
from svt.store.writer import arrow_table
from tests.dataset.samples import shipped_words
from tests.settings import dataset
from tests.store_rows import StoreRows, connection

READ = dataset("store", path="any")


def words(*more: str) -> Tokenizer:
    """Token i is t{i}, as StoreRows has it."""
    vocabulary = {text: i for i, text in enumerate([*(f"t{i}" for i in range(16)), *more])}
    inner = Inner(models.WordLevel(vocabulary, unk_token="t0"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Tokenizer(inner)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    rows = StoreRows()
    rows.prompt(
        4,
        {"end": 2, "IO": 1},
        n_tokens=3,
        answer={16: "b", 17: "a"},
        distractor={3: "t3"},
        text="t0 t1 t2",
        template="mine",
        pattern="ABBA",
        original_id=2,
        original="t0 t7 t2",
        counterfactual="swapped",
    )
    rows.prompt(3, n_tokens=2, text="t0 t1")
    tables = rows.tables()
    tables["dump"][0]["notes"] = '["2 names left out"]'
    connection(tables, store_file=tmp_path / "s.duckdb").close()
    return tmp_path / "s.duckdb"


def test_every_column_of_a_prompt(store: Path) -> None:
    dataset = read_stored_prompts(replace(READ, path=str(store)), words("b", "a"))
    assert dataset.notes == ("2 names left out",)
    plain, full = dataset.prompts
    assert (plain.prompt_id, plain.text, plain.tokens) == (3, "t0 t1", (0, 1))
    assert (plain.roles, plain.answer, plain.distractor_texts) == ({}, (), ())
    assert (plain.template, plain.original_id, plain.counterfactual) == (None, None, None)
    assert (full.prompt_id, full.text, full.tokens) == (4, "t0 t1 t2", (0, 1, 2))
    assert full.token_texts == ("t0", "t1", "t2")
    assert full.roles == {"end": 2, "IO": 1}
    assert (full.answer, full.answer_texts) == ((17, 16), ("a", "b"))
    assert (full.distractor, full.distractor_texts) == ((3,), ("t3",))
    assert (full.template, full.pattern) == ("mine", "ABBA")
    assert (full.original_id, full.original) == (2, "t0 t7 t2")
    assert full.counterfactual == "swapped"


def test_the_first_prompts(store: Path) -> None:
    config = replace(READ, path=str(store), n_prompts=1)
    assert [p.prompt_id for p in read_stored_prompts(config, words("b", "a")).prompts] == [3]


def test_another_tokenizer_is_refused(store: Path) -> None:
    config = replace(READ, path=str(store))
    with pytest.raises(SvtError, match="token 17 is 'a' there and 'c' with this model's"):
        read_stored_prompts(config, words("b", "c"))
    with pytest.raises(SvtError, match="token 17 is 'a' there and nothing with this model's"):
        read_stored_prompts(config, words("b"))


def test_what_has_no_prompts_is_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(SvtError, match="does not exist"):
        read_stored_prompts(replace(READ, path=str(tmp_path / "no.duckdb")), words())
    runs = {"run": [{"store_path": str(tmp_path / "gone"), "store_identity": "i"}]}
    connection(results=runs, results_file=tmp_path / "results.duckdb").close()
    with pytest.raises(SvtError, match="has lost its store"):
        read_stored_prompts(replace(READ, path=str(tmp_path)), words())
    connection(store_file=tmp_path / "empty.duckdb").close()
    with pytest.raises(SvtError, match="has no prompts"):
        read_stored_prompts(replace(READ, path=str(tmp_path / "empty.duckdb")), words())


@pytest.mark.parametrize("name", ["greater_than", "gendered_pronoun"])
def test_generated_prompts_are_read_as_they_were_written(tmp_path: Path, name: str) -> None:
    tokenizer = Tokenizer(shipped_words(name))
    kind = "year01" if name == "greater_than" else "swapped"
    config = dataset(name, n_prompts=20, counterfactual=kind)
    written = load_prompts(config, tokenizer)
    path = tmp_path / "s.duckdb"
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{path}' AS store")
        create_tables(con, "store", "store")
        dump = StoreRows().tables()["dump"][0] | {
            "schema_version": SCHEMA_VERSION,
            "svt_version": "0",
        }
        rows = make_prompt_rows(written.prompts) | {
            "dump": {column: [value] for column, value in dump.items()}
        }
        rows["dump"] |= {"identity": ["i"], "model_name": ["m"], "weights_fingerprint": ["w"]}
        rows["dump"] |= {"d_model": [8], "d_head": [2], "n_ctx": [32]}
        rows["dump"] |= {"library_versions": ["{}"], "seconds": ["{}"]}
        for table, columns in rows.items():
            con.register("new_rows", arrow_table(columns))
            con.execute(f"INSERT INTO store.{table} BY NAME SELECT * FROM new_rows")
    read = read_stored_prompts(replace(READ, path=str(path)), tokenizer)
    labelled = [
        replace(p, roles={role: pos for pos, role in role_labels(p).items()})
        for p in written.prompts
    ]
    assert list(read.prompts) == labelled
    assert read.digest == Dataset(tuple(labelled)).digest
    other = replace(read.prompts[0], distractor=read.prompts[0].distractor[1:])
    assert Dataset((other, *read.prompts[1:])).digest != read.digest
