"""Make texts from outside, such as tokens and roles, safe for a terminal and for XML.

1. Replace an ASCII control character by its picture (the escape by `␛`), other characters by the
   replacement character.
2. For a terminal, replace control characters, except line feeds and tabs, and characters that
   change the direction of writing.
3. For XML 1.0, replace the characters that it forbids: most control characters, lone surrogates,
   U+FFFE and U+FFFF.
"""

import re
from typing import Any

_NOT_TERMINAL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REPLACEMENT = "\ufffd"


def make_visible(text: str) -> str:
    """Return the text with the characters replaced that affect a terminal (steps 1 and 2)."""
    return _NOT_TERMINAL.sub(_picture, text)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def make_drawable(value: Any) -> Any:
    """Return the value with the characters replaced that XML forbids (steps 1 and 3)."""
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
