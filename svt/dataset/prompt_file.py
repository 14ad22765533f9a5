"""Prompts from a file: JSONL, CSV or Parquet, one row a prompt.

1. Read the rows. A column is one of COLUMNS; a null is the same as no value. A table with the
   columns of EAP_COLUMNS, as EAP and EAP-IG read them, is taken as it is: `clean` is the text,
   answer and distractor are token ids of the model, other columns are left out with a note.
2. Check every row and make its prompt:
   - `tokens` are the prompt, or else `text` as the tokenizer encodes it, with a BOS token before it
     where dataset.bos says so;
   - `prompt_id` is the row's number from 0 where it is not given;
   - `roles` are positions in the tokens or in those of the text, without the BOS token before it;
     `end` is the last one where it is not given;
   - `answer` and `distractor` are a text each, or a list of texts that are right alike. The token
     of each is the one that follows when the text is written after the prompt as it is, or after a
     space if that is no part of the token (as where a tokenizer drops the spaces).
3. If any row is wrong, none counts: the error lists what is wrong with which row.
4. Keep the first dataset.n_prompts rows and sort them by prompt_id.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from svt.config import PromptFileConfig
from svt.dataset.prompt import Dataset, Prompt, token_set
from svt.dataset.table import Row, read_rows
from svt.dataset.tokenizer import Tokenizer
from svt.errors import DataError, SvtError
from svt.paths import expanded

COLUMNS = (
    "prompt_id",
    "text",
    "tokens",
    "roles",
    "answer",
    "distractor",
    "template",
    "pattern",
)
TEXT_COLUMNS = ("text", "template", "pattern")
EAP_COLUMNS = {"answer": "correct_idx", "distractor": "incorrect_idx", "text": "clean"}
PANDAS_INDEX = ("", "__index_level_0__", "Unnamed: 0")
LAST_PROMPT_ID = 2**31 - 1
SHOWN = 10


class Wrong(Exception):
    """What is wrong with a row."""


def file_prompts(config: PromptFileConfig, tokenizer: Tokenizer) -> Dataset:
    """The prompts of dataset.path; DataError lists every row that is wrong."""
    path = expanded(config.path)
    rows = read_rows(path)  # 1
    if not rows:
        raise DataError(f"dataset.path {path} is empty: it has no prompts")
    prompts: list[Prompt] = []
    problems: dict[str, list[str]] = {}  # what is wrong -> where
    first_with: dict[int, str] = {}
    for index, row in enumerate(rows):  # 2
        try:
            if row.problem:
                raise Wrong(row.problem)
            prompt = make_prompt(row.values, index, tokenizer)
            earlier = first_with.setdefault(prompt.prompt_id, row.where)
            if earlier != row.where:
                raise Wrong(f"prompt_id {prompt.prompt_id} is that of {earlier} already")
            prompts.append(prompt)
        except Wrong as wrong:
            problems.setdefault(str(wrong), []).append(row.where)
    if problems:  # 3
        raise DataError(_told(path, problems, len(rows)))
    kept = prompts[: config.n_prompts]  # 4
    notes = _notes(kept, tokenizer) + _eap_notes(rows, kept)
    if tokenizer.prefix and any({"text", "roles"} <= row.values.keys() for row in rows):
        notes += ("a BOS token stands before each text; the roles of the file are counted without",)
    if config.n_prompts is not None and len(kept) < config.n_prompts:
        notes += (f"{path} has {len(kept)} prompts, fewer than n_prompts={config.n_prompts}",)
    return Dataset(tuple(sorted(kept, key=lambda prompt: prompt.prompt_id)), notes)


def _told(path: Path, problems: Mapping[str, list[str]], n_rows: int) -> str:
    """Every problem with the rows that have it, as far as a reader would read on."""
    n_wrong = sum(len(rows) for rows in problems.values())
    lines = [f"dataset.path {path}: {n_wrong} of {n_rows} rows are wrong, nothing was done:"]
    for problem, rows in list(problems.items())[:SHOWN]:
        more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
        lines.append(f"{', '.join(rows[:3])}{more}: {problem}")
    if len(problems) > SHOWN:
        lines.append(f"and {len(problems) - SHOWN} problems more")
    return "\n  ".join(lines)


def make_prompt(values: Mapping[str, Any], index: int, tokenizer: Tokenizer) -> Prompt:
    """Step 2 for the values of row `index`; Wrong says the first thing that is wrong with them."""
    ids: dict[str, list[int]] = {}
    if is_eap(values):
        ids = {name: _given_ids(values, name, tokenizer) for name in ("answer", "distractor")}
        values = {"text": values["clean"]}
    _check_columns(values)
    for name in TEXT_COLUMNS:
        if name in values:
            _check_text(name, values[name])
    text, tokens = _tokens(values, tokenizer)
    answer, distractor = (
        ids[name] if ids else _token_ids(values, name, text, tokenizer)
        for name in ("answer", "distractor")
    )
    if distractor and not answer:
        raise Wrong("a distractor without an answer")
    if both := set(answer) & set(distractor):
        told = repr(tokenizer.token_text(min(both)))
        raise Wrong(f"answer and distractor are the same token, {told}")
    answer_ids, answer_texts = token_set(answer, tokenizer.token_text)
    distractor_ids, distractor_texts = token_set(distractor, tokenizer.token_text)
    return Prompt(
        _prompt_id(values.get("prompt_id", index)),
        text,
        tokens,
        tokenizer.texts(tokens),
        _roles(
            values.get("roles", {}), len(tokens), 0 if "tokens" in values else len(tokenizer.prefix)
        ),
        answer_ids,
        distractor_ids,
        answer_texts,
        distractor_texts,
        values.get("template"),
        values.get("pattern"),
    )


def is_eap(values: Mapping[str, Any]) -> bool:
    """Return whether the values are those of a row for EAP."""
    return set(EAP_COLUMNS.values()) <= values.keys()


def _check_columns(values: Mapping[str, Any]) -> None:
    for name in values:
        if name in PANDAS_INDEX:
            raise Wrong(
                f"column {name!r} is the index that pandas writes; write the file with index=False"
            )
        if name not in COLUMNS:
            both = ", or " + ", ".join(EAP_COLUMNS.values()) if "clean" in values else ""
            raise Wrong(f"unknown column {name!r}; known: {', '.join(COLUMNS)}{both}")


def _given_ids(values: Mapping[str, Any], name: str, tokenizer: Tokenizer) -> list[int]:
    """The token ids of the answers or distractors of a row for EAP."""
    column = EAP_COLUMNS[name]
    given = values[column]
    ids = given if isinstance(given, list) else [given]
    if not ids or not all(_is_int(token) for token in ids):
        raise Wrong(f"{column} must be a token id or a list of them, not {given!r:.80}")
    for token in ids:
        if not tokenizer.has(token):
            raise Wrong(
                f"{column} has the token id {token}, which is outside the vocabulary of "
                f"{tokenizer.vocab_size} tokens; the ids must be those of this model"
            )
    return ids


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise Wrong(f"{name} must be a text, not {value!r:.80}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Wrong(f"{name} has a lone surrogate, which is no character") from error


def _prompt_id(value: Any) -> int:
    if not _is_int(value) or not 0 <= value <= LAST_PROMPT_ID:
        raise Wrong(f"prompt_id must be an integer from 0 to {LAST_PROMPT_ID}, not {value!r:.80}")
    return int(value)


def _tokens(values: Mapping[str, Any], tokenizer: Tokenizer) -> tuple[str, tuple[int, ...]]:
    """The prompt's text and token ids; `tokens` wins over `text`."""
    text = values.get("text")
    if "tokens" not in values:
        if not text:
            raise Wrong("there is no text and there are no tokens")
        try:
            tokens = tuple(tokenizer.encode(text))
        except SvtError as error:
            raise Wrong(str(error)) from error
        if tokens == tokenizer.prefix:
            raise Wrong(f"the text {text!r:.80} has no tokens")
        if tokenizer.prefix and tokens[len(tokenizer.prefix) :][:1] == tokenizer.prefix[:1]:
            bos = tokenizer.token_text(tokens[0])
            raise Wrong(
                f"the text begins with {bos}, which dataset.bos puts there, too; leave it out of "
                "the text, or say dataset.bos=never"
            )
        return text, tokens
    given = values["tokens"]
    if not isinstance(given, list) or not given or not all(_is_int(token) for token in given):
        raise Wrong(f"tokens must be a list of token ids (integers), not {given!r:.80}")
    for position, token in enumerate(given):
        if not tokenizer.has(token):
            raise Wrong(
                f"token id {token} at position {position} is outside the vocabulary of "
                f"{tokenizer.vocab_size} tokens"
            )
    return tokenizer.decode(given), tuple(given)


def _roles(given: Any, n_tokens: int, n_before: int) -> dict[str, int]:
    """Role -> position, with `end`; those given are counted without the `n_before` first tokens."""
    n_counted = n_tokens - n_before
    if not isinstance(given, dict):
        raise Wrong(f"roles must map role names to positions, not {given!r:.80}")
    for role, position in given.items():
        _check_text("a role's name", role)
        if not role or role != role.strip() or not role.isprintable():
            raise Wrong(f"{role!r:.80} is no name for a role")
        if role == "any":
            raise Wrong("a role cannot be named any, which trace.root_src uses for every token")
        if not _is_int(position):
            raise Wrong(f"role {role} must be at a position (an integer), not {position!r:.80}")
        if not 0 <= position < n_counted:
            raise Wrong(
                f"role {role} is at position {position}, but the prompt has {n_counted} tokens "
                f"(positions 0 to {n_counted - 1}{', BOS not counted' if n_before else ''})"
            )
    shifted = {role: position + n_before for role, position in given.items()}
    return {"end": n_tokens - 1} | shifted


def _token_ids(values: Mapping[str, Any], name: str, text: str, tokenizer: Tokenizer) -> list[int]:
    """The ids of the answers or distractors, if there are any."""
    if name not in values:
        return []
    given = values[name]
    if not isinstance(given, list):
        return [_token_id(given, name, text, tokenizer)]
    ids = [_token_id(word, name, text, tokenizer) for word in given]
    if not ids:
        raise Wrong(f"{name} is an empty list")
    for index, token_id in enumerate(ids):
        if token_id in ids[:index]:
            raise Wrong(f"{name} has the token {tokenizer.token_text(token_id)!r} twice")
    return ids


def _token_id(word: Any, name: str, text: str, tokenizer: Tokenizer) -> int:
    """The id of an answer or distractor after the prompt's text."""
    _check_text(name, word)
    if not word:
        raise Wrong(f"{name} is an empty text")
    spaced = f" {word.lstrip()}"
    try:
        token_id = tokenizer.following(text, word)
        if token_id is not None:
            return token_id
        if text[-1:].isspace() and tokenizer.following(text.rstrip(), spaced) is not None:
            raise Wrong(
                f"{name} {word!r:.80} is not one token after the prompt, whose last space belongs "
                f"to it; end the prompt before the space and write {spaced!r:.80}"
            )
        token_id = tokenizer.following(text, spaced)
        if token_id is not None and not tokenizer.token_text(token_id)[:1].isspace():
            return token_id
        if token_id is not None:
            raise Wrong(
                f"{name} {word!r:.80} is not one token after the prompt, but {spaced!r:.80} is; "
                "write it with the space"
            )
        n_tokens = len(tokenizer.encode(word)) - len(tokenizer.prefix)
    except SvtError as error:
        raise Wrong(str(error)) from error
    how = "is not a token it knows" if n_tokens < 2 else f"has {n_tokens} of its tokens"
    raise Wrong(f"{name} {word!r:.80} must be one token of the model, but {how}")


def _notes(prompts: list[Prompt], tokenizer: Tokenizer) -> tuple[str, ...]:
    """A word written without its space is often another token than the one that follows a text."""
    inside = 0
    for prompt in prompts:
        answer = prompt.answer_texts[0] if prompt.answer_texts else " "
        spaced = None if answer[:1].isspace() else tokenizer.following(prompt.text, f" {answer}")
        inside += spaced not in (None, *prompt.answer) and not prompt.text[-1:].isspace()
    if not inside:
        return ()
    return (
        f"{inside} of {len(prompts)} answers are tokens without a leading space; "
        'if a word follows, write it as " word"',
    )


def _eap_notes(rows: Sequence[Row], kept: Sequence[Prompt]) -> tuple[str, ...]:
    """What a reader must know of a table for EAP: ids of another model give other words."""
    columns = dict.fromkeys(name for row in rows if is_eap(row.values) for name in row.values)
    if not columns or not kept:
        return ()
    others = [repr(name) for name in columns if name not in EAP_COLUMNS.values()]
    left_out = f"; columns left out: {', '.join(others)}" if others else ""
    answer, distractor = (
        "|".join(map(repr, texts)) for texts in (kept[0].answer_texts, kept[0].distractor_texts)
    )
    return (
        f"read as a table for EAP{left_out}; in this model the token ids of its first row are "
        f"{answer} (correct) and {distractor} (incorrect)",
    )


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
