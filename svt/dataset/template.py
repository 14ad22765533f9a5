"""Sentences with slots, as the templates file has them, one a line.

1. A line is cut at its placeholders into pieces: plain text, `{...}` slots and one `<verb>`. The
   slots of names come as {A} (the indirect object), {B} (the subject), {B}; the others are kinds
   of noun.
2. Filling puts the pieces together again and notes the characters of the names and of the verb.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from svt.dataset.files import listed_lines
from svt.errors import SvtError

NAME_SLOTS = ("{A}", "{B}", "{B}")
_CUTS = re.compile(r"(\{[^{}<>]*\}|<[^{}<>]*>)")


@dataclass(frozen=True)
class Template:
    """A line of the templates file, which `where` tells, and its pieces."""

    text: str
    where: str
    pieces: tuple[str, ...]

    @property
    def nouns(self) -> tuple[str, ...]:
        """The kinds of noun it needs, in order of first use."""
        keys = (p[1:-1] for p in self.pieces if p[0] == "{" and p not in NAME_SLOTS)
        return tuple(dict.fromkeys(keys))

    def fill(
        self, names: Sequence[tuple[str, str]], nouns: Mapping[str, str]
    ) -> tuple[str, dict[str, tuple[int, int]]]:
        """Step 2: the text, and the characters [start, end) of each role's word.

        `names` are (role, name) in the order in which they are said.
        """
        upcoming = iter(names)
        text = ""
        spans: dict[str, tuple[int, int]] = {}
        for piece in self.pieces:
            role, word = None, piece
            if piece in NAME_SLOTS:
                role, word = next(upcoming)
            elif piece[0] == "<":
                role, word = "verb", piece[1:-1]
            elif piece[0] == "{":
                word = nouns[piece[1:-1]]
            if role is not None:
                spans[role] = (len(text), len(text) + len(word))
            text += word
        return text, spans


def read_templates(path: Path, kinds: Collection[str]) -> list[Template]:
    """Step 1; `kinds` are the kinds of noun there are. SvtError gives the line that is wrong."""
    templates: dict[str, Template] = {}
    for number, line in listed_lines(path, "dataset.templates"):
        where = f"{path}:{number}"
        pieces = tuple(piece for piece in _CUTS.split(line) if piece)
        wrong = "this template was there before" if line in templates else _wrong(pieces, kinds)
        if wrong:
            raise SvtError(f"{where}: {wrong}: {line}")
        templates[line] = Template(line, where, pieces)
    if not templates:
        raise SvtError(f"dataset.templates {path} has no template")
    return list(templates.values())


def _wrong(pieces: Sequence[str], kinds: Collection[str]) -> str | None:
    """How the pieces break the scheme, if they do."""
    slots = [piece for piece in pieces if piece[0] == "{"]
    names = tuple(slot for slot in slots if slot in NAME_SLOTS)
    verbs = [piece[1:-1] for piece in pieces if piece[0] == "<"]
    unknown = [slot for slot in slots if slot not in names and slot[1:-1] not in kinds]
    if any(set(piece) & set("{}<>") for piece in pieces if not _CUTS.fullmatch(piece)):
        return "a bracket of {...} or <...> has no partner"
    if unknown:
        return f"unknown placeholder {unknown[0]}; the kinds of noun are {', '.join(kinds)}"
    if names != NAME_SLOTS:
        said = ", ".join(names) or "none"
        return f"the names must be {{A}}, {{B}}, {{B}} in this order, not {said}"
    if len(verbs) != 1:
        return f"one verb must stand in <...>, there are {len(verbs)}"
    if not verbs[0] or verbs[0] != verbs[0].strip():
        return "the verb in <...> is empty or has spaces around it"
    if pieces[0] in NAME_SLOTS:
        return "a name is the first word, where it is another token than later on"
    return None
