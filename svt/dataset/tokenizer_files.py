"""Load the tokenizer of a model's folder without the model.

1. Find the files: `tokenizer.json`, or `vocab.json` and `merges.txt` as in old GPT-2 folders.
2. Read them. To vocab.json and merges.txt, add the tokens of added_tokens.json,
   special_tokens_map.json and tokenizer_config.json with the ids there; refuse a tokenizer that
   splits words differently from GPT-2's.
3. The BOS token is bos_token of tokenizer_config.json or special_tokens_map.json, else bos_token_id
   of config.json.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from svt.dataset.files import read_text
from svt.dataset.tokenizer import Bos, Tokenizer
from svt.errors import DataError
from svt.model.files import CONFIG
from svt.paths import expand_home
from svt.system.text import first_line

FILE_SETS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
SETTINGS, SPECIAL, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
END = "<|endoftext|>"  # special in GPT-2, even if no file declares it
LIKE_GPT2 = ("GPT2Tokenizer", "CodeGenTokenizer")
FLAGS = ("lstrip", "rstrip", "single_word", "normalized", "special")

Json = Mapping[str, Any]
Number = int | None


def load_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a model's folder; DataError if its files are missing or invalid."""
    folder = expand_home(folder)
    files = _find_files(folder)  # 1
    inner = _read(files)  # 2
    names = (SETTINGS, SPECIAL) if len(files) == 1 else (SETTINGS, SPECIAL, ADDED)
    others = {name: folder / name for name in names if (folder / name).is_file()}
    trees = {name: _read_json(path) for name, path in others.items()}
    if len(files) == 2:
        _complete_gpt2(inner, folder, trees)
    return Tokenizer(inner, (*files, *others.values()), _read_bos(folder, trees))  # 3


def _find_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of the vocabulary (step 1)."""
    if not folder.is_dir():
        raise DataError(f"model.path={folder}: no such folder")
    for names in FILE_SETS:
        files = tuple(folder / name for name in names)
        if all(file.is_file() for file in files):
            return files
    if (folder / "tokenizer.model").is_file():
        raise DataError(
            f"model.path={folder} has its tokenizer only as SentencePiece's tokenizer.model; "
            f"{_advise(folder)}"
        )
    raise DataError(
        f"model.path={folder} has no tokenizer: "
        "it needs tokenizer.json, or vocab.json and merges.txt"
    )


def _advise(folder: Path) -> str:
    """Return advice on how to make tokenizer.json."""
    path = repr(str(folder))
    return (
        'write tokenizer.json beside it with transformers: python -c "from transformers import '
        f'AutoTokenizer; AutoTokenizer.from_pretrained({path}).save_pretrained({path})"'
    )


def _read(files: tuple[Path, ...]) -> tokenizers.Tokenizer:
    """Read the files of the vocabulary (step 2)."""
    try:
        if len(files) == 1:
            return tokenizers.Tokenizer.from_file(str(files[0]))
        vocabulary, merges = (str(file) for file in files)
        return tokenizers.Tokenizer(models.BPE.from_file(vocabulary, merges))
    except Exception as error:  # the library raises plain Exceptions
        names = " and ".join(str(file) for file in files)
        raise DataError(f"cannot read the tokenizer {names}: {first_line(error)}") from error


def _complete_gpt2(inner: tokenizers.Tokenizer, folder: Path, trees: Mapping[str, Json]) -> None:
    """Split words as GPT-2 does, and add the tokens of the other files (step 2)."""
    settings = trees.get(SETTINGS, {})
    kind = settings.get("tokenizer_class", LIKE_GPT2[0])
    if str(kind).removesuffix("Fast") not in LIKE_GPT2:
        raise DataError(
            f"{folder / SETTINGS}: tokenizer_class is {kind}, and vocab.json with merges.txt do "
            f"not define how it splits words; {_advise(folder)}"
        )
    prefix = settings.get("add_prefix_space") is True
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    inner.decoder = decoders.ByteLevel()
    if inner.token_to_id(END) is not None:
        inner.add_special_tokens([END])
    for token, token_id, file in _read_added_tokens(folder, trees):
        inner.add_tokens([token])
        if token_id not in (None, inner.token_to_id(token.content)):
            raise DataError(
                f"{folder / file}: the token {token.content!r} has id {token_id}, but with "
                f"vocab.json it gets {inner.token_to_id(token.content)}; {_advise(folder)}"
            )


def _read_added_tokens(
    folder: Path, trees: Mapping[str, Json]
) -> list[tuple[AddedToken, Number, str]]:
    """Return the added tokens, their ids or None, and their files, those with an id first."""
    known: dict[str, tuple[AddedToken, Number, str]] = {}

    def add(token: Any, number: Number, file: str) -> None:
        if (content := _token_content(token)) is not None and content not in known:
            values = token if isinstance(token, dict) else {}
            flags = {"special": True} | {name: values[name] for name in FLAGS if name in values}
            known[content] = AddedToken(content, **flags), number, file

    try:
        for number, token in trees.get(SETTINGS, {}).get("added_tokens_decoder", {}).items():
            add(token, int(number), SETTINGS)
        for token, number in trees.get(ADDED, {}).items():
            add(token, int(number), ADDED)
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"cannot read the added tokens of {folder}: {error}") from error
    for file in (SETTINGS, SPECIAL):
        for key, value in trees.get(file, {}).items():
            if key.endswith(("_token", "_special_tokens")):
                for token in value if isinstance(value, list) else [value]:
                    add(token, None, file)
    return sorted(known.values(), key=lambda added: 2**32 if added[1] is None else added[1])


def _read_bos(folder: Path, trees: Mapping[str, Json]) -> Bos:
    """Return the BOS token of the folder (step 3)."""
    for file in (SETTINGS, SPECIAL):
        if (token := _token_content(trees.get(file, {}).get("bos_token"))) is not None:
            added = trees.get(SETTINGS, {}).get("add_bos_token") is True
            return Bos(token, f"bos_token of {folder / file}", added)
    config = folder / CONFIG
    number = _read_json(config).get("bos_token_id") if config.is_file() else None
    return Bos(number if isinstance(number, int) else None, f"bos_token_id of {config}")


def _token_content(token: Any) -> str | None:
    """Return the text of a token, which is a text or an object with its content."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) and content else None


def _read_json(path: Path) -> Json:
    """Return the object in a file; DataError if there is none."""
    try:
        tree = json.loads(read_text(path, "the tokenizer's"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"cannot read the tokenizer's {path}: not JSON: {error}") from error
    if not isinstance(tree, dict):
        raise DataError(f"cannot read the tokenizer's {path}: it must be a JSON object")
    return tree
