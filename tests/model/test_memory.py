"""What a model needs to be loaded, and what is said when there is not enough."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from svt.errors import SvtError
from svt.model import memory
from svt.model.memory import MemoryNeeds, check_memory, estimate_needs
from svt.system import memory as system_memory
from svt.system.memory import Limits, read_limits
from tests.checkpoints import tiny_gpt2
from tests.compute.runs import loaded
from tests.families import FAMILIES, tiny_model
from tests.marks import families

CONFIG: dict[str, Any] = {"hidden_size": 10, "vocab_size": 7}
GPT2 = {"n_embd": 10, "vocab_size": 7}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """100 numbers in a file: 400 bytes and its header."""
    save_file(
        {"wte.weight": torch.zeros(7, 10), "b": torch.zeros(30)}, tmp_path / "model.safetensors"
    )
    return tmp_path


@pytest.mark.parametrize("config", [CONFIG, GPT2])
def test_needs_are_those_of_the_files(folder: Path, config: dict[str, Any]) -> None:
    """100 in the file and an unembedding of 7 * 10."""
    size = (folder / "model.safetensors").stat().st_size
    assert estimate_needs(folder, config, 4) == MemoryNeeds(stays=4 * (100 + 70), mapped=size)
    assert estimate_needs(folder, config, 8).stays == 8 * 170


@pytest.mark.parametrize("name", ["lm_head.weight", "embed_out.weight"])
def test_an_unembedding_of_its_own_is_no_copy(folder: Path, name: str) -> None:
    save_file({name: torch.zeros(100)}, folder / "model.safetensors")
    assert estimate_needs(folder, CONFIG, 4).stays == 4 * 100


@pytest.mark.parametrize("name", ["attn.c_attn", "attention.query_key_value", "attn.qkv_proj"])
def test_fused_weights_are_counted_twice(folder: Path, name: str) -> None:
    fused = {f"h.0.{name}.weight": torch.zeros(10, 30), f"h.0.{name}.bias": torch.zeros(30)}
    save_file(fused | {"h.0.attn.c_proj.weight": torch.zeros(5)}, folder / "model.safetensors")
    assert estimate_needs(folder, CONFIG, 4).stays == 4 * (2 * 330 + 5 + 70)


def test_the_causal_masks_of_the_hubs_files_do_not_stay(folder: Path) -> None:
    weights = {"wte.weight": torch.zeros(100), "h.0.ln_1.bias": torch.zeros(8)}
    masks = {"h.0.attn.bias": torch.zeros(1, 1, 4, 4), "h.0.attn.masked_bias": torch.zeros(1)}
    save_file(weights | masks, folder / "model.safetensors")
    assert estimate_needs(folder, CONFIG, 4).stays == 4 * (100 + 8 + 70)


def test_the_parts_that_an_index_names_add_up(folder: Path) -> None:
    before = estimate_needs(folder, CONFIG, 4)
    save_file({"c": torch.zeros(5)}, folder / "b.safetensors")
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    index = {"weight_map": {"wte.weight": "a.safetensors", "c": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert estimate_needs(folder, CONFIG, 4).stays == before.stays + 20


@pytest.mark.parametrize("family", families(FAMILIES))
def test_what_stays_is_what_a_loaded_model_holds(tmp_path: Path, family: str) -> None:
    folder = tiny_model(family, tmp_path)
    held = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for _, tensor in loaded(folder).bridge.named_parameters()
    }
    needs = estimate_needs(folder, json.loads((folder / "config.json").read_text()), 4)
    assert needs.stays == pytest.approx(sum(held.values()), rel=0.02)


@pytest.mark.parametrize("content", [b"", b"\x05", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b"x" * 99])
def test_a_broken_file_is_left_to_its_reader(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    assert estimate_needs(folder, {"vocab_size": None}, 4).stays == 0


@pytest.mark.parametrize(
    ("has", "refused", "message"),
    [
        (Limits(total=1359, free=1359), "at least 0.0 GB", ""),  # 2 * 4 * 170 = 1360
        (Limits(total=1360, free=1360), "", "warning: loading is expected to need 0.5 GB"),
        (Limits(total=10**12, free=450_000_000), "", "0.5 GB are free"),
        (Limits(total=10**12, free=10**12), "", ""),
    ],
)
def test_only_the_impossible_is_refused(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    has: Limits | None,
    refused: str,
    message: str,
) -> None:
    monkeypatch.setattr(memory, "read_limits", lambda: has)
    if refused:
        with pytest.raises(SvtError, match=refused):
            check_memory(folder, CONFIG, 4)
    else:
        check_memory(folder, CONFIG, 4)
    assert message in caplog.text if message else not caplog.messages


def test_a_model_too_large_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "read_limits", lambda: Limits(1, 1))
    with pytest.raises(SvtError, match="smaller model"):
        loaded(tiny_gpt2(tmp_path))


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/a/b", {"a/memory.max": "3000000", "a/b/memory.max": "max"}, 3000000),
        ("0::/", {"memory.max": "2000000"}, 2000000),
        ("4:memory:/x\n0::/", {"memory/x/memory.limit_in_bytes": "1000000"}, 1000000),
        ("4:cpu,memory:/", {"memory/memory.limit_in_bytes": "9223372036854771712"}, 4096000),
        ("0::/gone", {}, 4096000),
    ],
)
def test_limits_of_the_system_and_its_groups(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    groups: str,
    files: dict[str, str],
    expected: int,
) -> None:
    """3000 KiB and 1000 KiB of swap, 2000 + 1000 free; a group's limit comes before swap."""
    for name, content in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    kib = 1024
    has = SimpleNamespace(total=3000 * kib, available=2000 * kib, free=1000 * kib)
    swap = SimpleNamespace(total=1000 * kib, free=1000 * kib)
    monkeypatch.setattr(system_memory.psutil, "virtual_memory", lambda: has)
    monkeypatch.setattr(system_memory.psutil, "swap_memory", lambda: swap)
    read = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, **how: groups if str(self) == "/proc/self/cgroup" else read(self, **how),
    )
    monkeypatch.setattr(system_memory, "_GROUPS", tmp_path)
    total = min(expected + 1024000 * (expected != 4096000), 4096000)
    assert read_limits() == Limits(total=total, free=min(total, 3072000))
