"""Read names and nouns for templates and select those that the model's tokenizer knows."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from svt.dataset.files import read_lines, read_text
from svt.dataset.template import Template
from svt.dataset.tokenizer import Tokenizer
from svt.errors import DataError


def read_nouns(path: Path, key: str = "dataset.nouns") -> dict[str, list[str]]:
    """Return the words of each kind of noun; the kinds are placeholders of the templates.

    `key` is the configuration key that names the file. DataError when it is invalid.
    """
    try:
        tree = yaml.load(read_text(path, key), _UniqueKeyLoader)
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


class _UniqueKeyLoader(yaml.SafeLoader):  # type: ignore[misc]
    """A loader that refuses a mapping with a duplicate key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        tree = super().construct_mapping(node, deep)
        if len(tree) < len(node.value):
            names = [name.value for name, _ in node.value]
            raise ValueError(f"{max(names, key=names.count)!r} is twice in one mapping")
        return tree


def select_names(path: Path, tokenizer: Tokenizer) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the token id of each name that is one distinct token, and a note on the others."""
    names: dict[str, None] = {}
    usable: dict[str, int] = {}
    for number, name in read_lines(path, "dataset.names"):
        if name in names:
            raise DataError(f"{path}:{number}: the name {name} is a duplicate")
        names[name] = None
        token_id = find_single_token(name, tokenizer)
        if token_id is not None and token_id not in usable.values():
            usable[name] = token_id
    if len(usable) < 2:
        raise DataError(
            f"dataset.names {path}: {len(usable)} of {len(names)} names are single tokens of this "
            "model, two are needed; set dataset.names=FILE with names from its vocabulary"
        )
    return usable, describe_omitted(list(names), usable, "names", "not one token of this model")


def select_nouns(
    path: Path,
    nouns: Mapping[str, Sequence[str]],
    templates: Iterable[Template],
    tokenizer: Tokenizer,
    single: bool = False,
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Return the known words of each kind of noun in the templates, and notes on the others.

    With `single`, words of more than one token are left out, too.
    """
    usable: dict[str, list[str]] = {}
    notes: tuple[str, ...] = ()
    for kind in dict.fromkeys(kind for template in templates for kind in template.nouns):
        words = nouns[kind]
        known = []
        for word in words:
            encoding = tokenizer.encode_spans(f"and {word}")
            ids = [encoding.ids[i] for i in encoding.covering(4, 4 + len(word))]
            if tokenizer.unknown_id not in ids and (len(ids) == 1 or not single):
                known.append(word)
        if not known:
            what = "has no single token for a" if single else "knows no"
            raise DataError(f"dataset.nouns {path}: this model {what} word of {kind}")
        usable[kind] = known
        why = "not one token of this model" if single else "unknown to this model's tokenizer"
        notes += describe_omitted(words, known, f"nouns ({kind})", why)
    return usable, notes


def find_single_token(word: str, tokenizer: Tokenizer) -> int | None:
    """Return the id of a word that is one known token after another word, else None."""
    return tokenizer.next_token("and", f" {word}")


def describe_omitted(
    words: Sequence[str], usable: Collection[str], what: str, why: str
) -> tuple[str, ...]:
    """Return a note on the words that are not usable, if there are any."""
    omitted = [word for word in words if word not in usable]
    shown = ", ".join(omitted[:5]) + (", ..." if len(omitted) > 5 else "")
    return (f"{len(omitted)} of {len(words)} {what} left out, {why}: {shown}",) if omitted else ()
