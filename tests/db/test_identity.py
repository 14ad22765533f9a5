"""A store's name: the same inputs give it, any other input another one."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from svt.config import DatasetConfig, DumpConfig, ModelConfig
from svt.db import identity
from svt.db.identity import Identity, identify
from svt.system import digests
from tests.settings import DATASET, DUMP

MODEL = ModelConfig("a/model", "somewhere", None, "cpu", "float32")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    weights, names = tmp_path / "model.safetensors", tmp_path / "names.txt"
    weights.write_bytes(b"weights")
    names.write_text("Mary\nJohn\n")
    return weights, names


def named(
    files: tuple[Path, Path],
    model: ModelConfig = MODEL,
    dataset: DatasetConfig = DATASET,
    dump: DumpConfig = DUMP,
) -> Identity:
    weights, names = files
    cache = weights.parent / "digests.json"
    return identify(model, dataset, dump, weights=[weights], others=[names], cache=cache)


def test_the_same_inputs_give_the_same_name(files: tuple[Path, Path]) -> None:
    assert named(files) == named(files)


@pytest.mark.parametrize(
    "changed",
    [
        {"dataset": replace(DATASET, seed=1)},
        {"dataset": replace(DATASET, n_prompts=9)},
        {"dataset": replace(DATASET, n_shards=2)},
        {"dump": replace(DUMP, min_weight=0.2)},
        {"dump": replace(DUMP, components=("head", "mlp"))},
        {"dump": replace(DUMP, coordinates=((0, 1),))},
        {"model": replace(MODEL, dtype="float64")},
    ],
    ids=str,
)
def test_another_setting_gives_another_name(
    files: tuple[Path, Path], changed: dict[str, Any]
) -> None:
    assert named(files, **changed).key != named(files).key


@pytest.mark.parametrize("which", [0, 1])
def test_other_content_gives_another_name(files: tuple[Path, Path], which: int) -> None:
    before = named(files)
    files[which].write_bytes(b"other content")
    after = named(files)
    assert after.key != before.key
    assert (after.weights != before.weights) == (which == 0)


def test_what_changes_no_row_does_not_change_the_name(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    copies = tuple(Path(path.rename(moved / path.name)) for path in files)
    before = named((copies[0], copies[1]))
    again = named(
        (copies[0], copies[1]),
        model=replace(MODEL, path="elsewhere", name="called otherwise", device="cuda"),
        dataset=replace(DATASET, names=str(copies[1])),
        dump=replace(DUMP, batch_size=1),
    )
    assert again == before


def test_a_newer_schema_gives_another_name(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = named(files)
    monkeypatch.setattr(identity, "NUMERICS_VERSION", 99)
    assert named(files).key != before.key


def test_known_digests_are_not_taken_again(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = named(files)

    def no_reading(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(digests.hashlib, "file_digest", no_reading)
    assert named(files) == before
    os.utime(files[0], ns=(1, 1))
    with pytest.raises(AssertionError, match="read again"):
        named(files)


@pytest.mark.parametrize("how", ["written", "replaced"])
def test_other_content_of_equal_size_and_time_has_another_name(
    files: tuple[Path, Path], how: str
) -> None:
    before, stat = named(files), files[0].stat()
    if how == "replaced":
        files[0].rename(files[0].with_name("old"))
    files[0].write_bytes(b"thgiews")
    os.utime(files[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert files[0].stat().st_mtime_ns == stat.st_mtime_ns
    assert named(files).weights != before.weights


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    take = digests.hashlib.file_digest

    def changing(file: Any, kind: str) -> Any:
        taken = take(file, kind)
        if Path(file.name) == files[0]:
            files[0].write_bytes(b"more weights")
        return taken

    with monkeypatch.context() as patched:
        patched.setattr(digests.hashlib, "file_digest", changing)
        before = named(files)
    assert named(files).weights != before.weights


def test_a_broken_cache_of_digests_is_ignored(files: tuple[Path, Path]) -> None:
    before = named(files)
    (files[0].parent / "digests.json").write_text("[half")
    assert named(files) == before


def test_the_file_name_says_model_and_dataset() -> None:
    name = Identity("0123456789abcdef99", "").file_name(MODEL, DATASET)
    assert name == "a-model-ioi-0123456789abcdef.duckdb"
