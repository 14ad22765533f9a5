"""Shards, files, rows, and prompts that do not fit a model."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from svt.config import DatasetConfig
from svt.dataset import (
    ROLE_PRECEDENCE,
    Dataset,
    Prompt,
    Tokenizer,
    check_fit,
    files,
    list_dataset_files,
    load_prompts,
    make_prompt_rows,
    role_labels,
)
from svt.errors import SvtError
from svt.paths import conf_dir
from tests.dataset.samples import few
from tests.settings import dataset


@pytest.mark.parametrize("n_shards", [1, 2, 5, 24])
def test_shards_together_are_the_whole(
    config: DatasetConfig, words: Tokenizer, tmp_path: Path, n_shards: int
) -> None:
    lines = [f"When Mary gave {'a ' * i}ring" for i in range(24)]
    (tmp_path / "t.txt").write_text("\n".join(lines))
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps({"text": line}) for line in lines))
    for one in (
        config,
        few("text", path=str(tmp_path / "t.txt")),
        few("file", path=str(tmp_path / "p.jsonl")),
    ):
        whole = load_prompts(one, words).prompts
        shards = [
            load_prompts(replace(one, shard=shard, n_shards=n_shards), words).prompts
            for shard in range(n_shards)
        ]
        assert sum(shards, ()) == whole
        assert max(map(len, shards)) - min(map(len, shards)) <= 1
        assert [p.prompt_id for p in whole] == list(range(24))


def test_an_empty_shard_is_refused(config: DatasetConfig, words: Tokenizer) -> None:
    with pytest.raises(SvtError, match=r"shard=0 of dataset\.n_shards=25 is empty: .* 24 prompts"):
        load_prompts(replace(config, n_shards=25), words)


@pytest.mark.parametrize(("ids", "says"), [((0, 4, 2), "2 after prompt 4"), ((3, 3), "3 after")])
def test_prompts_out_of_order_are_refused(
    words: Tokenizer, ids: tuple[int, ...], says: str
) -> None:
    stored = Dataset(tuple(Prompt(i, "a", (1,), ("a",)) for i in ids))
    with pytest.raises(SvtError, match=f"dataset=store has prompt {says}"):
        load_prompts(dataset("store", path="any"), words, stored)


def test_the_files_that_determine_the_prompts(config: DatasetConfig) -> None:
    named = (config.templates, config.names, config.nouns)
    assert list_dataset_files(config) == tuple(Path(name) for name in named)
    shipped = list_dataset_files(few())
    assert [file.name for file in shipped] == ["templates.txt", "names.txt", "nouns.yaml"]
    assert all(file.is_file() for file in shipped)
    assert list_dataset_files(few("file", path="p.csv")) == (Path("p.csv"),)
    assert list_dataset_files(few("text", path="t.txt")) == (Path("t.txt"),)
    text = conf_dir() / "dataset" / "text" / "ioi-mini.txt"
    assert list_dataset_files(few("text")) == (text,)


def test_a_copy_beside_a_shipped_file_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "dataset" / "ioi"
    folder.mkdir(parents=True)
    for name in ("templates.txt", "names.bak", "names.txt", "nouns.bak", "nouns.yaml"):
        (folder / name).touch()
    monkeypatch.setattr(files, "conf_dir", lambda: tmp_path)
    read = [path.name for path in list_dataset_files(few())]
    assert read == ["templates.txt", "names.txt", "nouns.yaml"]


def test_prompts_too_long_or_with_foreign_tokens() -> None:
    prompts = [Prompt(i, "", (1,) * n, ("a",) * n) for i, n in enumerate((3, 5, 4))]
    check_fit(prompts, 5, 2)
    with pytest.raises(SvtError, match=r"^prompt 1 is longer .* of 4 tokens \(up to 5\)"):
        check_fit(prompts, 4, 2)
    with pytest.raises(SvtError, match=r"^prompts 0, 1, 2 are longer "):
        check_fit(prompts, 2, 2)
    with pytest.raises(SvtError, match=r"^prompts 0, 1, 2 are not all .* of 1 tokens"):
        check_fit(prompts, 5, 1)
    with pytest.raises(SvtError, match=r"^prompt 0 is not all in the model's vocabulary"):
        check_fit([replace(prompts[0], answer=(7,)), *prompts[1:]], 5, 2)
    many = [replace(prompts[0], prompt_id=i) for i in range(12)]
    with pytest.raises(SvtError, match="8, 9 and 2 more are longer"):
        check_fit(many, 2, 2)


def test_a_position_has_the_first_of_its_roles() -> None:
    assert ROLE_PRECEDENCE[:5] == ("end", "IO", "S1", "S2", "S1+1")
    roles = {"mine": 4, "S1-1": 2, "IO+1": 2, "S2": 4, "other": 0, "more": 0, "end": 4}
    prompt = Prompt(0, "", (1,) * 5, ("a",) * 5, roles)
    assert role_labels(prompt) == {4: "end", 2: "IO+1", 0: "other"}


def test_rows_for_the_store() -> None:
    one = Prompt(
        3,
        "ab",
        (7, 9),
        ("a", "b"),
        {"S1": 1, "end": 1, "IO": 0},
        (7, 6),
        (9,),
        ("a", "d"),
        ("b",),
        "t",
        "ABBA",
        2,
        "ba",
        "swapped",
    )
    two = Prompt(5, "c", (8,), ("c",))
    rows = make_prompt_rows([one, two])
    plain = {
        table: {name: list(column) for name, column in columns.items()}
        for table, columns in rows.items()
    }
    assert plain == {
        "prompts": {
            "prompt_id": [3, 5],
            "text": ["ab", "c"],
            "n_tokens": [2, 1],
            "template": ["t", None],
            "pattern": ["ABBA", None],
            "answer": ["a|d", None],
            "distractor": ["b", None],
            "original_id": [2, np.ma.masked],
            "original": ["ba", None],
            "counterfactual": ["swapped", None],
        },
        "tokens": {
            "prompt_id": [3, 3, 5],
            "pos": [0, 1, 0],
            "token_id": [7, 9, 8],
            "token": ["a", "b", "c"],
        },
        "roles": {"prompt_id": [3, 3], "role": ["IO", "end"], "pos": [0, 1]},
        "answers": {
            "prompt_id": [3, 3, 3],
            "kind": ["answer", "answer", "distractor"],
            "token_id": [7, 6, 9],
            "token": ["a", "d", "b"],
        },
    }
    assert rows["tokens"]["pos"].dtype == "uint16"
    assert rows["roles"]["prompt_id"].dtype == "int32"
    assert make_prompt_rows([two])["roles"]["pos"].dtype == "uint16"


def test_prompts_need_no_model_library() -> None:
    code = (
        "import sys, svt.dataset; "
        "print({'torch', 'transformers', 'polars', 'huggingface_hub', 'duckdb'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
