"""The names and nouns that fill templates, as far as the model's tokenizer can say them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from svt.dataset.files import listed_lines, read_text
from svt.dataset.tokenizer import Tokenizer
from svt.errors import DataError


def read_nouns(path: Path, key: str = "dataset.nouns") -> dict[str, list[str]]:
    """Kind of noun -> words; each kind is a placeholder of the templates. `key` named the file."""
    try:
        tree = yaml.load(read_text(path, key), _Once)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{key} {path} is not YAML: {error}") from error
    if not isinstance(tree, dict) or not tree:
        raise DataError(f"{key} {path} must map each kind to a list of words")
    for kind, words in tree.items():
        if not isinstance(kind, str) or not kind or set(kind) & set("{}<>") or kind in ("A", "B"):
            raise DataError(f"{key} {path}: {kind!r} cannot be a placeholder")
        if not isinstance(words, list) or not words:
            raise DataError(f"{key} {path}: {kind} must be a list of words")
        for word in words:
            if not isinstance(word, str) or not word or word != word.strip():
                raise DataError(f"{key} {path}: {kind} has {word!r}, which is not a word")
            if words.count(word) > 1:
                raise DataError(f"{key} {path}: {kind} has {word} twice")
    return tree


class _Once(yaml.SafeLoader):  # type: ignore[misc]
    """Reads YAML whose mappings have each key once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        tree = super().construct_mapping(node, deep)
        if len(tree) < len(node.value):
            names = [name.value for name, _ in node.value]
            raise ValueError(f"{max(names, key=names.count)!r} stands twice in one mapping")
        return tree


def usable_names(path: Path, tokenizer: Tokenizer) -> tuple[dict[str, int], tuple[str, ...]]:
    """Name -> token id of the names that are one token of their own, and a note on the others."""
    listed: dict[str, None] = {}
    usable: dict[str, int] = {}
    for number, name in listed_lines(path, "dataset.names"):
        if name in listed:
            raise DataError(f"{path}:{number}: the name {name} was there before")
        listed[name] = None
        token_id = one_token(name, tokenizer)
        if token_id is not None and token_id not in usable.values():
            usable[name] = token_id
    if len(usable) < 2:
        raise DataError(
            f"dataset.names {path}: {len(usable)} of {len(listed)} names are single tokens of this "
            "model, two are needed; give dataset.names=FILE with names from its vocabulary"
        )
    return usable, left_out(list(listed), usable, "names", "not one token of this model")


def usable_nouns(
    path: Path,
    nouns: Mapping[str, Sequence[str]],
    kinds: Iterable[str],
    tokenizer: Tokenizer,
    single: bool = False,
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """The words of the kinds that are needed, without unknown ones, and notes on those.

    A noun may be several tokens, unless it is to be a `single` one.
    """
    usable: dict[str, list[str]] = {}
    notes: tuple[str, ...] = ()
    for kind in dict.fromkeys(kinds):
        words = nouns[kind]
        known = []
        for word in words:
            ids = _ids_within_text(word, tokenizer)
            if tokenizer.unknown_id not in ids and (len(ids) == 1 or not single):
                known.append(word)
        if not known:
            what = "has no single token for a" if single else "knows no"
            raise DataError(f"dataset.nouns {path}: this model {what} word of {kind}")
        usable[kind] = known
        why = "not one token of this model" if single else "unknown to this model's tokenizer"
        notes += left_out(words, known, f"nouns ({kind})", why)
    return usable, notes


def one_token(word: str, tokenizer: Tokenizer) -> int | None:
    """The id of a word that is one known token after another word, else None."""
    return tokenizer.following("and", f" {word}")


def _ids_within_text(word: str, tokenizer: Tokenizer) -> list[int]:
    """The ids that a word has after another word and a space."""
    encoding = tokenizer.encode_spans(f"and {word}")
    start = len("and ")
    return [encoding.ids[i] for i in encoding.covering(start, start + len(word))]


def left_out(
    listed: Sequence[str], usable: Collection[str], what: str, why: str
) -> tuple[str, ...]:
    """A note on the words that are not usable, if there are any."""
    out = [word for word in listed if word not in usable]
    shown = ", ".join(out[:5]) + (", ..." if len(out) > 5 else "")
    return (f"{len(out)} of {len(listed)} {what} left out, {why}: {shown}",) if out else ()
