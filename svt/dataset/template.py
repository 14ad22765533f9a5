"""Templates: sentences with slots, one on each line of the templates file.

1. Split a line into pieces: plain text, `{...}` slots and `<verb>`s. Some slots have a fixed order,
   as ioi's {A} (the indirect object), {B} (the subject), {B}; the others are kinds of noun.
2. Fill the slots, join the pieces and record the characters of each slot and of the verb.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from svt.dataset.files import read_lines
from svt.dataset.tokenizer import Encoding, Tokenizer
from svt.errors import DataError

_CUTS = re.compile(r"(\{[^{}<>]*\}|<[^{}<>]*>)")


@dataclass(frozen=True)
class Template:
    """A line of the templates file, its place, its pieces and its ordered slots."""

    text: str
    where: str
    pieces: tuple[str, ...]
    slots: tuple[str, ...]

    @property
    def nouns(self) -> tuple[str, ...]:
        """The kinds of noun that it has, in order of first use."""
        keys = (p[1:-1] for p in self.pieces if p[0] == "{" and p not in self.slots)
        return tuple(dict.fromkeys(keys))

    def fill(
        self, words: Sequence[tuple[str, str]], nouns: Mapping[str, str]
    ) -> tuple[str, dict[str, tuple[int, int]]]:
        """Return the text, and the characters [start, end) of each role's word (step 2).

        `words` are the (role, word) of the ordered slots; the role of a noun is its kind, that of a
        verb is verb.
        """
        remaining = iter(words)
        text = ""
        spans: dict[str, tuple[int, int]] = {}
        for piece in self.pieces:
            role, word = None, piece
            if piece in self.slots:
                role, word = next(remaining)
            elif piece[0] == "<":
                role, word = "verb", piece[1:-1]
            elif piece[0] == "{":
                role, word = piece[1:-1], nouns[piece[1:-1]]
            if role is not None:
                spans[role] = (len(text), len(text) + len(word))
            text += word
        return text, spans

    def find_position(
        self, text: str, encoding: Encoding, span: tuple[int, int], token_id: int | None = None
    ) -> int:
        """Return the first token of a span; DataError unless it is `token_id`, if that is set."""
        positions = encoding.covering(*span)
        word = text[slice(*span)]
        if token_id is not None and [encoding.ids[i] for i in positions] != [token_id]:
            raise DataError(
                f"{self.where}: {word} is not a token of its own in: {text}; put spaces around it"
            )
        if not positions:
            raise DataError(f"{self.where}: the model's tokenizer drops {word} of: {text}")
        return positions[0]

    def next_token(self, text: str, word: str, tokenizer: Tokenizer) -> int:
        """Return the one token of `word` after the filled text; DataError if it is not one."""
        token_id = tokenizer.next_token(text, word)
        if token_id is None:
            raise DataError(
                f"{self.where}: {word!r} is not one token of this model after: {text}; end the "
                "template with a word"
            )
        return token_id


def read_templates(
    path: Path, kinds: Collection[str], slots: tuple[str, ...], n_verbs: int = 0
) -> list[Template]:
    """Return the templates of a file; a DataError names the invalid line (step 1).

    `kinds` are the known kinds of noun, `slots` the ordered slots that each line must have.
    """
    templates: dict[str, Template] = {}
    for number, line in read_lines(path, "dataset.templates"):
        where = f"{path}:{number}"
        pieces = tuple(piece for piece in _CUTS.split(line) if piece)
        problem = _find_problem(pieces, kinds, slots, n_verbs)
        if line in templates:
            problem = "this template is a duplicate"
        if problem:
            raise DataError(f"{where}: {problem}: {line}")
        templates[line] = Template(line, where, pieces, slots)
    if not templates:
        raise DataError(f"dataset.templates {path} has no template")
    return list(templates.values())


def _find_problem(
    pieces: Sequence[str], kinds: Collection[str], slots: tuple[str, ...], n_verbs: int
) -> str | None:
    """Return how the pieces violate the format, None if they do not."""
    braced = [piece for piece in pieces if piece[0] == "{"]
    ordered = tuple(slot for slot in braced if slot in slots)
    verbs = [piece[1:-1] for piece in pieces if piece[0] == "<"]
    unknown = [slot for slot in braced if slot not in slots and slot[1:-1] not in kinds]
    if any(set(piece) & set("{}<>") for piece in pieces if not _CUTS.fullmatch(piece)):
        return "a bracket of {...} or <...> has no partner"
    if unknown:
        return f"unknown placeholder {unknown[0]}; the kinds of noun are {', '.join(kinds)}"
    if ordered != slots:
        actual = ", ".join(ordered) or "none"
        return f"the slots must be {', '.join(slots)} in this order, not {actual}"
    if len(verbs) != n_verbs:
        return f"there must be {n_verbs} verbs in <...>, not {len(verbs)}"
    if any(not verb or verb != verb.strip() for verb in verbs):
        return "the verb in <...> is empty or has spaces around it"
    if pieces[0] in slots:
        return f"{pieces[0]} is the first word, where its token differs from that after a space"
    return None
