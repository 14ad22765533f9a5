"""The one exception that svt raises for people to read, and what its messages suggest."""

from collections.abc import Iterable
from difflib import get_close_matches


class SvtError(Exception):
    """What is wrong, where (file, row, key), and what to do next; shown without traceback."""


def suggestion(word: str, known: Iterable[object]) -> str:
    """Return `; did you mean ...?` with the word of `known` nearest to `word`, empty if none is."""
    near = get_close_matches(word, [str(each) for each in known], n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
