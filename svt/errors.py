"""The exceptions for users: `SvtError` and its subclasses.

A message says what is wrong, where (file, row, key), and what to do next; the command line prints
it without a traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class SvtError(Exception):
    """An error for users; raised itself where no subclass fits, such as for a full disk."""


class ConfigError(SvtError):
    """A setting is unknown, out of range, or does not fit the model, the prompts or a store."""


class ModelError(SvtError):
    """A model is missing, cannot be read, or cannot be decomposed."""


class DataError(SvtError):
    """A file of prompts, heads, edges or a circuit is missing or has invalid content."""


class StoreError(SvtError):
    """A store, a run folder or their files are missing, damaged, foreign, or not writable."""


class QueryError(SvtError):
    """A named query, one of its parameters, or a text of SQL is invalid."""


def suggestion(word: str, known: Iterable[object]) -> str:
    """Return `; did you mean ...?` with the most similar known word, empty without one."""
    near = get_close_matches(word, [str(each) for each in known], n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
