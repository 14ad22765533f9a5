"""The prompts that a node or an edge of a file over several prompts appeared in.

`prompts_appeared` names them, as a list or as the text of one. Where only nodes carry it, an edge
has the prompts that both its ends have, which are the most that it can have.
"""

import ast
from collections.abc import Mapping
from typing import Any

from svt.errors import DataError

KEY = "prompts_appeared"
NOTE = (
    f"only the nodes carry {KEY}: an edge counts the prompts of both its ends, the most that it "
    "can have"
)
_COUNTS = ("n_appearences", "n_appearances")  # of a node in a graph that accpp-tracer combined


def prompts_of(values: Mapping[str, Any], place: str) -> frozenset[str] | None:
    """Return the prompts that the values name; DataError when the entry is no list of prompts."""
    given = values.get(KEY)
    if given is None:
        return None
    try:
        read = ast.literal_eval(given) if isinstance(given, str) else given
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        read = None
    if not isinstance(read, list) or not read or not all(_is_name(prompt) for prompt in read):
        raise DataError(f"{place}: {KEY} is {given!r:.60}; it must be a list of prompts, [0,1,2]")
    return frozenset(map(str, read))


def of_several(values: Mapping[str, Any]) -> bool:
    """Return whether the values say that the file is over several prompts."""
    return KEY in values or any(str(values.get(name, 1)) != "1" for name in _COUNTS)


def common(up: frozenset[str] | None, down: frozenset[str] | None) -> frozenset[str] | None:
    """Return the prompts of both ends; None where one names none, or they share none."""
    return (up & down or None) if up is not None and down is not None else None


def _is_name(prompt: Any) -> bool:
    return isinstance(prompt, int | str) and not isinstance(prompt, bool)
