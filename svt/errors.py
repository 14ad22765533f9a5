"""The exceptions that svt raises for people to read: `SvtError` and its few subclasses.

The message says what is wrong, where (file, row, key), and what to do next; the command line shows
it without a traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class SvtError(Exception):
    """What is wrong; raised as it is where none of the subclasses fits, such as a full disk."""


class ConfigError(SvtError):
    """A setting is unknown, out of range, or does not go with the model, the prompts or a store."""


class ModelError(SvtError):
    """A model is not there, cannot be read, or cannot be decomposed."""


class DataError(SvtError):
    """A file of prompts, heads, edges or a circuit is not there, or holds what cannot be used."""


class StoreError(SvtError):
    """A store, a run folder or their files are not there, damaged, foreign, or not writable."""


class QueryError(SvtError):
    """A named query, one of its parameters, or a text of SQL is wrong."""


def suggestion(word: str, known: Iterable[object]) -> str:
    """Return `; did you mean ...?` with the word of `known` nearest to `word`, empty if none is."""
    near = get_close_matches(word, [str(each) for each in known], n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
