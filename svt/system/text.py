"""Texts of others, such as tokens and roles, as they may stand on a terminal or in XML.

1. A control character below a space is shown as its picture (the escape as `␛`), what has none as
   the replacement character.
2. On a terminal no control character acts, nor any that turns the direction of writing; line breaks
   and tabs stay.
3. XML 1.0 forbids other characters: most control characters, halves of pairs, U+FFFE and U+FFFF.
"""

import re
from typing import Any

_ACTS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REPLACEMENT = "\ufffd"


def make_visible(text: str) -> str:
    """Return the text without characters that act on a terminal (steps 1 and 2)."""
    return _ACTS.sub(_picture, text)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def make_drawable(value: Any) -> Any:
    """Return the value with every text in it as XML may hold it (steps 1 and 3)."""
    if isinstance(value, str):
        return _NOT_XML.sub(_picture, value)
    if isinstance(value, dict):
        return {make_drawable(key): make_drawable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [make_drawable(each) for each in value]
    return value


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code == 0x7F:
        return "\u2421"
    return chr(0x2400 + code) if code < 0x20 else _REPLACEMENT
