"""The prompts in which a node or an edge of a file over many prompts appeared.

The value `prompts_appeared` holds them, as a list or as the text of a list. Where only nodes carry
it, an edge gets the prompts that its two ends share: an upper bound.
"""

import ast
from collections.abc import Mapping
from typing import Any

from svt.errors import DataError

KEY = "prompts_appeared"
NOTE = (
    f"only the nodes carry {KEY}: each edge counts the prompts that its two ends share, an upper "
    "bound"
)
COUNTS = ("n_appearences", "n_appearances")  # of a node in a graph that accpp-tracer combined


def parse_prompts(values: Mapping[str, Any], place: str) -> frozenset[str] | None:
    """Return the prompts in `values`, None without an entry; DataError when it is not a list."""
    entry = values.get(KEY)
    if entry is None:
        return None
    try:
        prompts = ast.literal_eval(entry) if isinstance(entry, str) else entry
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        prompts = None
    if not isinstance(prompts, list) or not prompts or not all(map(_is_name, prompts)):
        raise DataError(f"{place}: {KEY} is {entry!r:.60}; it must be a list of prompts, [0,1,2]")
    return frozenset(map(str, prompts))


def covers_prompts(values: Mapping[str, Any]) -> bool:
    """Return whether the values show that the file covers more than one prompt."""
    return KEY in values or any(str(values.get(name, 1)) != "1" for name in COUNTS)


def share_prompts(up: frozenset[str] | None, down: frozenset[str] | None) -> frozenset[str] | None:
    """Return the prompts of both ends; None where an end has none or they share none."""
    return (up & down or None) if up is not None and down is not None else None


def _is_name(prompt: Any) -> bool:
    return isinstance(prompt, int | str) and not isinstance(prompt, bool)
