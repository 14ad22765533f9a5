"""A model's tokenizer: the tokens of a text, their characters, and the next token of a text.

1. Encode a text without the tokenizer's special tokens, truncation and padding.
2. Prepend what dataset.bos selects: auto, what the tokenizer adds by default, or the BOS token
   where tokenizer_config.json has add_bos_token; always, the BOS token; never, nothing.
3. Map every token to the characters of the text that it covers: none for the prefix of step 2, and
   none for the mark of a space that is not in the text (SentencePiece adds one before the first
   word).
4. The next token for a word is the one that the word adds at the end of a text; the tokens of the
   text must not change. In another context the same word may be another token.
"""

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path

import tokenizers

from svt.errors import DataError, SvtError
from svt.words import BosChoice

_METASPACE = "\u2581"
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Encoding:
    """Token ids and, for each, the characters [start, end) of the text that it covers."""

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]

    def covering(self, start: int, end: int) -> list[int]:
        """Return the positions of the tokens that cover a character in [start, end)."""
        return [i for i, (s, e) in enumerate(self.spans) if s < end and e > start and e > s]


@dataclass(frozen=True)
class Bos:
    """The BOS token of a model's folder: its text or id, and `where`, the file and key.

    `added` is true if the model's texts begin with it by default.
    """

    token: str | int | None = None
    where: str = ""
    added: bool = False


class Tokenizer:
    """Text to token ids and back; `files` are the files that it was read from.

    `prefix` are the tokens before every text, empty unless `with_bos` sets them.
    """

    def __init__(
        self, inner: tokenizers.Tokenizer, files: tuple[Path, ...] = (), bos: Bos | None = None
    ) -> None:
        inner.no_truncation()
        inner.no_padding()
        self._inner = inner
        self._bos = bos or Bos()
        self.files = files
        self.prefix: tuple[int, ...] = ()
        self.token_text = lru_cache(maxsize=None)(self._token_text)

    @property
    def vocab_size(self) -> int:
        return self._inner.get_vocab_size(with_added_tokens=True)

    @cached_property
    def unknown_id(self) -> int | None:
        """The id of unknown words, None if the tokenizer has no such token."""
        model = json.loads(self._inner.to_str())["model"]
        if model.get("unk_id") is not None:
            return int(model["unk_id"])
        token = model.get("unk_token")
        return None if token is None else self._inner.token_to_id(token)

    def with_bos(self, bos: BosChoice) -> "Tokenizer":
        """Return a copy with the prefix of dataset.bos; DataError without a BOS token (step 2)."""
        other = copy(self)
        other.prefix = ()
        if bos != "never":
            other.prefix = self._default_prefix()
            if not other.prefix and (bos == "always" or self._bos.added):
                other.prefix = (self._bos_id(bos),)
        return other

    def encode(self, text: str) -> list[int]:
        return list(self.encode_spans(text).ids)

    def encode_spans(self, text: str) -> Encoding:
        """Return the ids and their characters; DataError if the text cannot be encoded."""
        encoding = self._encode(text)
        spans = [(0, 0)] * len(self.prefix)
        for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):  # 3
            space_in_text = any(map(str.isspace, text[start:end]))
            covers = space_in_text or not self.token_text(token_id).isspace()
            spans.append((start, end if covers else start))
        return Encoding((*self.prefix, *encoding.ids), tuple(spans))

    def next_token(self, text: str, word: str) -> int | None:
        """Return the one known token that `word`, with its leading space, adds; else None (4)."""
        before = self.encode(text)
        try:
            after = self.encode(text + word)
        except DataError:  # a tokenizer without a token for unknown words
            return None
        if after[:-1] != before or after[-1] == self.unknown_id:
            return None
        return after[-1]

    def unknown_words(self, text: str, ids: Sequence[int]) -> list[str]:
        """Return the words of a text that the tokenizer does not know, each once.

        `ids` are the tokens of the text. If they differ from its encoding, the text of the unknown
        token is returned.
        """
        n_bos = len(self.prefix) if tuple(ids[: len(self.prefix)]) == self.prefix else 0
        unknown = [i for i, token in enumerate(ids) if i >= n_bos and token == self.unknown_id]
        if not unknown:
            return []
        encoding = self.encode_spans(text)
        if encoding.ids != tuple(ids):
            return list(self.texts({ids[i] for i in unknown}))
        return list(dict.fromkeys(_whole_word(text, *encoding.spans[i]) for i in unknown))

    def decode(self, ids: Sequence[int]) -> str:
        return self._inner.decode(list(ids), skip_special_tokens=False)

    def has(self, token_id: int) -> bool:
        """Return whether the id is in the vocabulary."""
        return 0 <= token_id < 2**32 and self._inner.id_to_token(token_id) is not None

    def texts(self, ids: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.token_text(token_id) for token_id in ids)

    def _token_text(self, token_id: int) -> str:
        """Return the readable text of a token, " Mary" if it includes the space before the word."""
        raw = self._inner.id_to_token(token_id) or ""
        if _METASPACE in raw:
            return raw.replace(_METASPACE, " ")
        return self.decode([token_id]) or raw

    def _encode(self, text: str, special: bool = False) -> tokenizers.Encoding:
        """Encode a text, with `special` including the tokenizer's special tokens (step 1)."""
        try:
            return self._inner.encode(text, add_special_tokens=special)
        except Exception as error:  # the library raises plain Exceptions
            word = next((word for word in _WORD.findall(text) if not self._can_encode(word)), text)
            raise DataError(f"the tokenizer cannot encode {word!r:.80}: {error}") from error

    def _can_encode(self, word: str) -> bool:
        try:
            self._inner.encode(word)
        except Exception:  # as above
            return False
        return True

    def _default_prefix(self) -> tuple[int, ...]:
        """Return the tokens that the tokenizer adds before a text, tried with one that it knows."""
        for text in chain("a", map(self.token_text, range(self.vocab_size))):
            with suppress(SvtError):
                plain = self._encode(text).ids
                if plain and self.unknown_id not in plain:
                    ids = self._encode(text, special=True).ids
                    places = (i for i in range(len(ids)) if ids[i : i + len(plain)] == plain)
                    return tuple(ids[: next(places, 0)])
        return ()

    def _bos_id(self, bos: str) -> int:
        """Return the id of the folder's token; DataError if the vocabulary does not have it."""
        token = self._bos.token
        if token is None:
            raise DataError(
                f"dataset.bos={bos}: the model has no BOS token; set bos_token in its "
                "tokenizer_config.json or bos_token_id in its config.json, or dataset.bos=never"
            )
        token_id = self._inner.token_to_id(token) if isinstance(token, str) else token
        if token_id is None or not self.has(token_id):
            raise DataError(
                f"dataset.bos={bos}: {self._bos.where} is {token!r}, which is not in the "
                f"vocabulary of {self.vocab_size} tokens; correct it or set dataset.bos=never"
            )
        return token_id


def _whole_word(text: str, start: int, end: int) -> str:
    """Return the characters [start, end) with the rest of the word that they are a part of."""
    while start > 0 and text[start - 1 : start + 1].isalnum():
        start -= 1
    while end < len(text) and text[end - 1 : end + 1].isalnum():
        end += 1
    return text[start:end].strip()
