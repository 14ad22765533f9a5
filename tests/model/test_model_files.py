"""Where a model's files are found, and what is said when they are not."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import huggingface_hub
import pytest
from huggingface_hub import errors

from svt.config import ModelConfig
from svt.errors import SvtError
from svt.model.files import find_weight_files, localise, read_shape

HUB = ModelConfig("some/model", None, "v1", "cpu", "float32")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text("{}")
    return folder


def test_a_folder_is_taken_as_it_is(folder: Path) -> None:
    local = replace(HUB, path=str(folder))
    assert localise(local) == local


@pytest.mark.parametrize(
    ("missing", "message"),
    [("config.json", "has no config.json"), ("model.safetensors", "never unpickles")],
)
def test_what_a_folder_lacks_is_named(folder: Path, missing: str, message: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(SvtError, match=message):
        localise(replace(HUB, path=str(folder)))


def test_pickled_weights_are_named_with_advice(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    message = r"no model\.safetensors, only pytorch_model\.bin; .*AutoModel.*save_pretrained.*=NEW"
    with pytest.raises(SvtError, match=message):
        localise(replace(HUB, path=str(folder)))


def test_a_model_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SvtError, match=r"model\.path=.*none: no such folder"):
        localise(replace(HUB, path=str(tmp_path / "none")))


def indexed(folder: Path, *names: object, there: tuple[str, ...] = ()) -> Path:
    """The folder with an index that names these files; `there` are made."""
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {f"w{i}": name for i, name in enumerate(names)}})
    )
    for name in there:
        (folder / name).write_text("{}")
    return folder


def test_the_weights_are_those_that_an_index_names(folder: Path) -> None:
    names = ("b.safetensors", "a.safetensors", "b.safetensors")
    indexed(folder, *names, there=names)
    assert find_weight_files(folder) == (folder / "a.safetensors", folder / "b.safetensors")
    assert localise(replace(HUB, path=str(folder))).path == str(folder)


def test_without_an_index_they_are_the_one_file(folder: Path) -> None:
    assert find_weight_files(folder) == (folder / "model.safetensors",)


@pytest.mark.parametrize(
    "name",
    [
        "sub/a.safetensors",
        "../a.safetensors",
        "..",
        "/etc/a.safetensors",
        "sub\\a.safetensors",
        "C:a.safetensors",
        "a.bin",
        ".safetensors\n",
        "",
        3,
    ],
)
def test_an_index_names_only_safetensors_of_its_folder(folder: Path, name: object) -> None:
    right = ("a.safetensors",)
    indexed(folder, *right, name, there=right)
    with pytest.raises(SvtError, match=r"index\.json: (names|cannot be read)"):
        localise(replace(HUB, path=str(folder)))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": {}}', '{"weight_map": [1]}'])
def test_an_index_that_is_none(folder: Path, text: str) -> None:
    (indexed(folder) / "model.safetensors.index.json").write_text(text)
    with pytest.raises(SvtError, match=r"index\.json: (names no file|cannot be read)"):
        localise(replace(HUB, path=str(folder)))


def test_weights_that_are_not_there_are_named(folder: Path) -> None:
    indexed(folder, "a.safetensors", "b.safetensors", there=("a.safetensors",))
    with pytest.raises(SvtError, match=r"b\.safetensors: the weights are no regular file, or are"):
        localise(replace(HUB, path=str(folder)))


@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_only_regular_files_are_weights(folder: Path, kind: str) -> None:
    """A device or a pipe would be read for ever."""
    weights = folder / "model.safetensors"
    weights.unlink()
    if kind == "device":
        weights.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(weights)
    else:
        weights.mkdir()
    with pytest.raises(SvtError, match=r"model\.safetensors: the weights are no regular file"):
        localise(replace(HUB, path=str(folder)))


@pytest.mark.parametrize("with_index", [True, False])
def test_weights_that_nothing_names_are_refused(folder: Path, with_index: bool) -> None:
    if with_index:
        indexed(folder, "a.safetensors", there=("a.safetensors",))
    (folder / "consolidated.safetensors").write_text("{}")
    message = r"does not name \(consolidated\.safetensors\); remove them"
    with pytest.raises(SvtError, match=message):
        localise(replace(HUB, path=str(folder)))


def test_consolidated_weights_alone_are_no_model(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "consolidated.safetensors")
    with pytest.raises(SvtError, match=r"no model\.safetensors, only consolidated\.safetensors"):
        localise(replace(HUB, path=str(folder)))


def test_a_folder_that_would_load_other_weights_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text('{"transformers_weights": "other.safetensors"}')
    with pytest.raises(SvtError, match="transformers_weights"):
        localise(replace(HUB, path=str(folder)))
    (folder / "config.json").write_text('{"transformers_weights": null}')
    localise(replace(HUB, path=str(folder)))
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(SvtError, match=r"adapter_config\.json, which changes the weights"):
        localise(replace(HUB, path=str(folder)))


@pytest.mark.parametrize(
    "config",
    [
        {"n_layer": 3, "n_head": 4},
        {"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2},
        {"num_layers": 3, "num_heads": 4},
    ],
)
def test_every_family_says_its_layers_and_heads(folder: Path, config: dict[str, int]) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    assert read_shape(folder) == (3, 4)


def test_a_config_without_heads(folder: Path) -> None:
    (folder / "config.json").write_text('{"n_layer": 3}')
    with pytest.raises(SvtError, match=r"config\.json: does not say how many layers and heads"):
        read_shape(folder)


def refusal(kind: type[errors.HfHubHTTPError], status: int) -> errors.HfHubHTTPError:
    """The hub's answer, as its client raises it."""
    request = httpx.Request("HEAD", "https://huggingface.co/some/model")
    return kind("refused", response=httpx.Response(status, request=request))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (refusal(errors.GatedRepoError, 403), "hf auth login"),
        (refusal(errors.HfHubHTTPError, 401), "hf auth login"),
        (refusal(errors.HfHubHTTPError, 403), "accept it at https://huggingface.co/some/model"),
        (refusal(errors.RepositoryNotFoundError, 401), "check the name"),
        (refusal(errors.HfHubHTTPError, 500), "check the name and the connection"),
    ],
)
def test_a_licence_to_be_accepted_is_said(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def refuses(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuses)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuses)
    with pytest.raises(SvtError) as said:
        localise(HUB)
    assert message in str(said.value)
    assert ("hf auth login" in str(said.value)) == ("check the name" not in message)


@pytest.mark.parametrize(("online", "cached"), [(True, False), (False, True)])
def test_the_hub_answers_or_its_cache_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch, online: bool, cached: bool
) -> None:
    def metadata(url: str) -> None:
        assert "some/model" in url
        assert "v1" in url
        if not online:
            raise ConnectionError("no network")

    def snapshot(name: str, *, local_files_only: bool, allow_patterns: list[str], **_: Any) -> str:
        assert local_files_only == cached
        assert "consolidated*" in _["ignore_patterns"]
        assert not any("bin" in pattern or "py" in pattern for pattern in allow_patterns)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", metadata)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert localise(HUB).path == str(folder)


def test_no_network_and_no_copy_names_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", nothing)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", nothing)
    with pytest.raises(SvtError) as error:
        localise(HUB)
    for message in ("model.name=some/model at revision v1", "no network", "model.path=DIR"):
        assert message in str(error.value)
