"""Conversion of a GGUF file to a folder in Hugging Face format, dequantised, in the cache.

1. The folder's name is the SHA-256 of the file and the version of this conversion. A folder that
   exists is complete; only the file's digest is read.
2. Otherwise one process writes it, under a lock and a temporary name, and renames it at the end; a
   second process waits and uses the same folder.
3. transformers reads weights and tokenizer from the file, as float32. Missing tensors, and settings
   of the file that transformers ignores, are refused: another model would be traced.
4. transformers refuses to save a model read from GGUF, which counts as quantised. So a model of the
   same class is built from the configuration without quantization and the weights.
"""

import io
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from svt.errors import ModelError
from svt.paths import cache_dir
from svt.system.atomic import temporary_folder, wait_for_lock
from svt.system.digests import Digests
from svt.system.shell import python_command

logger = logging.getLogger(__name__)

CONVERSION = 1  # increase it when the same file gives another folder
_MAGIC = b"GGUF"
_INSTALL = "-m pip install gguf"
_ROPE_TENSORS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")


def convert(file: Path) -> Path:
    """Return the folder with the model of a GGUF file; write it if it does not exist.

    ModelError when the file is damaged or no GGUF file, transformers does not know its model, or
    the folder cannot be written.
    """
    with file.open("rb") as opened:
        if opened.read(len(_MAGIC)) != _MAGIC:
            raise ModelError(
                f"model.path={file} is not a GGUF file; give another, or download it again"
            )
    digests = Digests(cache_dir() / "digests.json")
    folder = cache_dir() / "models" / f"{digests.of(file)}-{CONVERSION}"  # 1
    digests.save()
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with wait_for_lock(folder.with_name(f".{folder.name}.lock"), f"converting into {folder}"):
            if not folder.is_dir():
                with temporary_folder(folder) as temporary:  # 2
                    logger.info(f"{file.name}: converting it to float32 safetensors, once")
                    _write_folder(file, temporary)
                    logger.info(f"{file.name}: converted, in {folder}")
    except OSError as error:
        raise ModelError(
            f"cannot write the converted model to {folder.parent} ({error.strerror or error}); "
            "make room there, or name another cache folder in XDG_CACHE_HOME"
        ) from error
    return folder


def _write_folder(file: Path, folder: Path) -> None:
    """Write the model and tokenizer of a GGUF file to a folder (steps 3 and 4)."""
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"model.path={file}: reading GGUF needs the package gguf; bring it with: "
            f"{python_command()} {_INSTALL}"
        ) from error
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as alone:  # so that no other file of its folder is read
        link = Path(alone) / "model.gguf"
        link.symlink_to(file.resolve())
        try:
            model = _load_model(link)
            _check_settings(model.config, link)
            with _quiet():
                tokenizer = AutoTokenizer.from_pretrained(
                    alone, gguf_file=link.name, trust_remote_code=False, local_files_only=True
                )
        except Exception as error:  # a damaged file makes the libraries raise any class
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ModelError(
                f"model.path={file} cannot be read as GGUF: {reason}. If it is whole, take the "
                "model's folder in Hugging Face format instead (config.json, *.safetensors)"
            ) from error
    with _quiet():
        _rebuild(model).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _load_model(link: Path) -> Any:
    """Return the model as transformers reads it; ValueError when weights are missing."""
    import torch
    from transformers import AutoModelForCausalLM

    with _quiet():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            link.parent,
            gguf_file=link.name,
            dtype=torch.float32,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    model, report = loaded
    wrong = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    if wrong:
        raise ValueError(
            f"weights are missing or not of their shape: {', '.join(sorted(wrong)[:5])}"
        )
    return model


def _check_settings(config: Any, link: Path) -> None:
    """Raise ValueError when rotation, caps or windows of the file are not those of the model."""
    from gguf import GGUFReader

    reader = GGUFReader(link)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    tensors = {tensor.name for tensor in reader.tensors}
    wrong = [name for name in _ROPE_TENSORS if name in tensors]
    for key, value in _settings(config).items():
        name = f"{fields['general.architecture']}.{key}"
        if fields.get(name, value) not in (value, 0):
            wrong.append(name)
    if wrong:
        raise ValueError(
            f"transformers leaves out {', '.join(wrong)}, so it would be another model"
        )


def _settings(config: Any) -> dict[str, Any]:
    """Return the settings of a model, by their names in GGUF without the architecture's prefix."""
    rotary: Mapping[str, Any] = getattr(config, "rope_parameters", None) or {}
    rope_type = rotary.get("rope_type")
    head_dim = getattr(config, "head_dim", None)
    head_dim = head_dim or config.hidden_size // config.num_attention_heads
    return {
        "rope.scaling.type": "none" if rope_type in (None, "default") else rope_type,
        "rope.dimension_count": int(head_dim * rotary.get("partial_rotary_factor", 1)),
        "attention.key_length": head_dim,
        "attention.sliding_window": getattr(config, "sliding_window", None),
        "attn_logit_softcapping": getattr(config, "attn_logit_softcapping", None),
        "final_logit_softcapping": getattr(config, "final_logit_softcapping", None),
    }


def _rebuild(model: Any) -> Any:
    """Return a model with the same configuration and weights that is not quantised (step 4)."""
    import torch

    config = model.config
    with suppress(AttributeError):
        del config.quantization_config
    with torch.device("meta"):
        rebuilt = type(model)(config)
    rebuilt.load_state_dict(model.state_dict(), assign=True)
    rebuilt.tie_weights()
    return rebuilt


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the libraries' output to the terminal."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield
