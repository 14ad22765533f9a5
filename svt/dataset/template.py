"""Sentences with slots, as the templates file has them, one a line.

1. A line is cut at its placeholders into pieces: plain text, `{...}` slots and `<verb>`s. Some
   slots have an order of their own, as ioi's {A} (the indirect object), {B} (the subject), {B}; the
   others are kinds of noun.
2. Filling puts the pieces together again and notes the characters of each slot and of the verb.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from svt.dataset.files import listed_lines
from svt.dataset.tokenizer import Encoding, Tokenizer
from svt.errors import DataError

_CUTS = re.compile(r"(\{[^{}<>]*\}|<[^{}<>]*>)")


@dataclass(frozen=True)
class Template:
    """A line of the templates file, which `where` tells, its pieces and its slots in order."""

    text: str
    where: str
    pieces: tuple[str, ...]
    slots: tuple[str, ...]

    @property
    def nouns(self) -> tuple[str, ...]:
        """The kinds of noun it needs, in order of first use."""
        keys = (p[1:-1] for p in self.pieces if p[0] == "{" and p not in self.slots)
        return tuple(dict.fromkeys(keys))

    def fill(
        self, said: Sequence[tuple[str, str]], nouns: Mapping[str, str]
    ) -> tuple[str, dict[str, tuple[int, int]]]:
        """Step 2: the text, and the characters [start, end) of each role's word.

        `said` are (role, word) for the slots, in the order in which they are said; the role of a
        noun is its kind, that of a verb is verb.
        """
        upcoming = iter(said)
        text = ""
        spans: dict[str, tuple[int, int]] = {}
        for piece in self.pieces:
            role, word = None, piece
            if piece in self.slots:
                role, word = next(upcoming)
            elif piece[0] == "<":
                role, word = "verb", piece[1:-1]
            elif piece[0] == "{":
                role, word = piece[1:-1], nouns[piece[1:-1]]
            if role is not None:
                spans[role] = (len(text), len(text) + len(word))
            text += word
        return text, spans

    def position(
        self, text: str, encoding: Encoding, span: tuple[int, int], token_id: int | None = None
    ) -> int:
        """Return where a span's word begins; DataError unless it is `token_id`, if that is set."""
        positions = encoding.covering(*span)
        word = text[slice(*span)]
        if token_id is not None and [encoding.ids[i] for i in positions] != [token_id]:
            raise DataError(
                f"{self.where}: {word} is not a token of its own in: {text}; put spaces around it"
            )
        if not positions:
            raise DataError(f"{self.where}: the model's tokenizer drops {word} of: {text}")
        return positions[0]

    def following(self, text: str, word: str, tokenizer: Tokenizer) -> int:
        """The token of `word`, with its leading space, after the filled text; DataError if none."""
        token_id = tokenizer.following(text, word)
        if token_id is None:
            raise DataError(
                f"{self.where}: {word!r} is not one token of this model after: {text}; end the "
                "template in a word"
            )
        return token_id


def read_templates(
    path: Path, kinds: Collection[str], slots: tuple[str, ...], n_verbs: int = 0
) -> list[Template]:
    """Step 1; DataError gives the line that is wrong.

    `kinds` are the kinds of noun there are, `slots` the other slots, as each line must have them.
    """
    templates: dict[str, Template] = {}
    for number, line in listed_lines(path, "dataset.templates"):
        where = f"{path}:{number}"
        pieces = tuple(piece for piece in _CUTS.split(line) if piece)
        wrong = (
            "this template was there before"
            if line in templates
            else _wrong(pieces, kinds, slots, n_verbs)
        )
        if wrong:
            raise DataError(f"{where}: {wrong}: {line}")
        templates[line] = Template(line, where, pieces, slots)
    if not templates:
        raise DataError(f"dataset.templates {path} has no template")
    return list(templates.values())


def _wrong(
    pieces: Sequence[str], kinds: Collection[str], slots: tuple[str, ...], n_verbs: int
) -> str | None:
    """How the pieces break the scheme, if they do."""
    braced = [piece for piece in pieces if piece[0] == "{"]
    found = tuple(slot for slot in braced if slot in slots)
    verbs = [piece[1:-1] for piece in pieces if piece[0] == "<"]
    unknown = [slot for slot in braced if slot not in slots and slot[1:-1] not in kinds]
    if any(set(piece) & set("{}<>") for piece in pieces if not _CUTS.fullmatch(piece)):
        return "a bracket of {...} or <...> has no partner"
    if unknown:
        return f"unknown placeholder {unknown[0]}; the kinds of noun are {', '.join(kinds)}"
    if found != slots:
        said = ", ".join(found) or "none"
        return f"the slots must be {', '.join(slots)} in this order, not {said}"
    if len(verbs) != n_verbs:
        wanted = "one verb must stand in <...>" if n_verbs else "nothing stands in <...> here"
        return f"{wanted}, there are {len(verbs)}"
    if any(not verb or verb != verb.strip() for verb in verbs):
        return "the verb in <...> is empty or has spaces around it"
    if pieces[0] in slots:
        return f"{pieces[0]} is the first word, where it is another token than later on"
    return None
