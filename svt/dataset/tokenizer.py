"""A model's tokenizer: text to tokens, their places in the text, and the token that follows a text.

1. Encode a text without the special tokens that the tokenizer would add; nothing is cut or padded.
2. Put before it what dataset.bos asks for: auto, what the tokenizer adds by itself, or the BOS
   token where tokenizer_config.json says add_bos_token; always, the BOS token in any case; never,
   nothing.
3. Give every token the characters that it stands for: none for what dataset.bos put there, and none
   for a mark of a space that is not in the text (SentencePiece puts one before the first word).
4. The token that follows a text is the one that a word adds when it is written after it: the
   tokens of the text must stay as they are. The same word may be another token elsewhere.
"""

import json
from collections.abc import Sequence
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


@dataclass(frozen=True)
class Encoding:
    """Token ids and, for each, the characters [start, end) of the text that it stands for."""

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]

    def covering(self, start: int, end: int) -> list[int]:
        """Positions of the tokens that share a character with [start, end) of the text."""
        return [i for i, (s, e) in enumerate(self.spans) if s < end and e > start and e > s]


@dataclass(frozen=True)
class Bos:
    """What a model's folder says of its BOS token: its text or id, and the file and key, `where`.

    `added` says that it stands before a text by default.
    """

    token: str | int | None = None
    where: str = ""
    added: bool = False


class Tokenizer:
    """Text to token ids and back; `files` are the files it was read from.

    `prefix` are the tokens before every text; there are none until `with_bos` asks for them.
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
        """The id that stands for every word the tokenizer does not know, if it has one."""
        model = json.loads(self._inner.to_str())["model"]
        if model.get("unk_id") is not None:
            return int(model["unk_id"])
        token = model.get("unk_token")
        return None if token is None else self._inner.token_to_id(token)

    def with_bos(self, bos: BosChoice) -> "Tokenizer":
        """Step 2: this tokenizer with the prefix of dataset.bos; DataError if there is no token."""
        other = copy(self)
        other.prefix = ()
        if bos != "never":
            other.prefix = self._added()
            if not other.prefix and (bos == "always" or self._bos.added):
                other.prefix = (self._bos_id(bos),)
        return other

    def encode(self, text: str) -> list[int]:
        return list(self.encode_spans(text).ids)

    def encode_spans(self, text: str) -> Encoding:
        """The ids with the characters they stand for; DataError if the text has no encoding."""
        encoding = self._encode(text)
        spans = [(0, 0)] * len(self.prefix)
        for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):  # 3
            said = any(map(str.isspace, text[start:end])) or not self.token_text(token_id).isspace()
            spans.append((start, end if said else start))
        return Encoding((*self.prefix, *encoding.ids), tuple(spans))

    def following(self, text: str, word: str) -> int | None:
        """Step 4: the one known token that `word`, with its leading space, adds; else None."""
        before, after = self.encode(text), self.encode(text + word)
        if after[:-1] != before or after[-1] == self.unknown_id:
            return None
        return after[-1]

    def decode(self, ids: Sequence[int]) -> str:
        return self._inner.decode(list(ids), skip_special_tokens=False)

    def has(self, token_id: int) -> bool:
        """Whether the id is in the vocabulary."""
        return 0 <= token_id < 2**32 and self._inner.id_to_token(token_id) is not None

    def texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.token_text(token_id) for token_id in ids)

    def _token_text(self, token_id: int) -> str:
        """What a reader should see: " Mary" where the token includes the space before the word."""
        raw = self._inner.id_to_token(token_id) or ""
        if _METASPACE in raw:
            return raw.replace(_METASPACE, " ")
        return self.decode([token_id]) or raw

    def _encode(self, text: str, special: bool = False) -> tokenizers.Encoding:
        """Step 1, or with the tokenizer's own special tokens."""
        try:
            return self._inner.encode(text, add_special_tokens=special)
        except Exception as error:  # the library raises plain Exceptions
            raise DataError(f"the tokenizer cannot encode {text!r:.80}: {error}") from error

    def _added(self) -> tuple[int, ...]:
        """The tokens that the tokenizer by itself puts before a text, here one that it knows."""
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
                f"dataset.bos={bos}: the model names no BOS token; give bos_token in its "
                "tokenizer_config.json or bos_token_id in its config.json, or say dataset.bos=never"
            )
        token_id = self._inner.token_to_id(token) if isinstance(token, str) else token
        if token_id is None or not self.has(token_id):
            raise DataError(
                f"dataset.bos={bos}: {self._bos.where} is {token!r}, which is not in the "
                f"vocabulary of {self.vocab_size} tokens; correct it or say dataset.bos=never"
            )
        return token_id
