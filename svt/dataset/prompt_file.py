"""Read prompts from a file (JSONL, CSV or Parquet, one prompt per row) or one of the settings.

1. Read the rows. Columns are those of COLUMNS; a null equals a missing value. A table with the
   columns of EAP_COLUMNS, the format of EAP and EAP-IG, is accepted too: `clean` is the text,
   answer and distractor are token ids of the model, other columns are left out with a note.
2. Check every row and make its prompt:
   - `tokens` are the prompt, else the tokens of `text`, after the BOS token where dataset.bos adds
     one;
   - `prompt_id` defaults to the row number from 0;
   - `roles` are positions in `tokens`, or in those of `text` without the BOS token; `end` defaults
     to the last position;
   - `answer` and `distractor` are a text each, or a list of equally correct texts. The token of
     each is the one that the text adds after the prompt, or that it adds after a space if the
     space is not part of the token (as where a tokenizer drops spaces).
3. If any row is invalid, raise one error that reports every problem with its rows.
4. Keep the first dataset.n_prompts rows and sort them by prompt_id.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from svt.config import PromptFileConfig, SinglePromptConfig
from svt.dataset.prompt import Dataset, Prompt, build_prompt, note_unknown_words
from svt.dataset.table import Row, drop_nulls, read_rows
from svt.dataset.tokenizer import Tokenizer
from svt.errors import DataError, SvtError
from svt.paths import expand_home

COLUMNS = ("prompt_id", "text", "tokens", "roles", "answer", "distractor", "template", "pattern")
TEXT_COLUMNS = ("text", "template", "pattern")
EAP_COLUMNS = {"answer": "correct_idx", "distractor": "incorrect_idx", "text": "clean"}
PANDAS_INDEX = ("", "__index_level_0__", "Unnamed: 0")
LAST_PROMPT_ID = 2**31 - 1
SHOWN = 10


class InvalidRow(Exception):
    """A row cannot be a prompt, with the reason."""


def read_file_prompts(config: PromptFileConfig, tokenizer: Tokenizer) -> Dataset:
    """Return the prompts of dataset.path; a DataError reports every invalid row."""
    path = expand_home(config.path)
    rows = read_rows(path)  # 1
    if not rows:
        raise DataError(f"dataset.path {path} is empty: it has no prompts")
    prompts: dict[str, Prompt] = {}
    problems: dict[str, list[str]] = {}  # reason -> places
    first_with: dict[int, str] = {}
    for index, row in enumerate(rows):  # 2
        try:
            if row.problem:
                raise InvalidRow(row.problem)
            prompt = make_prompt(row.values, index, tokenizer)
            earlier = first_with.setdefault(prompt.prompt_id, row.where)
            if earlier != row.where:
                raise InvalidRow(f"prompt_id {prompt.prompt_id} is also that of {earlier}")
            prompts[row.where] = prompt
        except InvalidRow as error:
            problems.setdefault(str(error), []).append(row.where)
    if problems:  # 3
        raise DataError(_describe_problems(path, problems, len(rows)))
    places = dict(islice(prompts.items(), config.n_prompts))  # 4
    kept = list(places.values())
    unknown = note_unknown_words(places, tokenizer)
    notes = tuple(f"{path}: {note}" for note in unknown)
    notes += _note_spacing(kept, tokenizer) + _note_eap(rows, kept)
    if tokenizer.prefix and any({"text", "roles"} <= row.values.keys() for row in rows):
        notes += ("a BOS token is before each text; the roles of the file do not count it",)
    if config.n_prompts is not None and len(kept) < config.n_prompts:
        notes += (f"{path} has {len(kept)} prompts, fewer than n_prompts={config.n_prompts}",)
    return Dataset(tuple(sorted(kept, key=lambda prompt: prompt.prompt_id)), notes)


def make_single_prompt(config: SinglePromptConfig, tokenizer: Tokenizer) -> Dataset:
    """Return the prompt of dataset=prompt, with prompt_id 0; a DataError names the invalid value.

    Its values are checked like those of a row. Its only role is `end`.
    """
    values = drop_nulls({key: getattr(config, key) for key in ("text", "answer", "distractor")})
    lists = {key: list(value) for key, value in values.items() if isinstance(value, tuple)}
    try:
        return Dataset((make_prompt(values | lists, 0, tokenizer),))
    except InvalidRow as error:
        raise DataError(f"dataset=prompt: {error}") from None


def _describe_problems(path: Path, problems: Mapping[str, list[str]], n_rows: int) -> str:
    """Return a message with the first SHOWN problems and the rows that have them."""
    n_invalid = sum(len(rows) for rows in problems.values())
    lines = [f"dataset.path {path}: {n_invalid} of {n_rows} rows are invalid, nothing was done:"]
    for problem, rows in list(problems.items())[:SHOWN]:
        more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
        lines.append(f"{', '.join(rows[:3])}{more}: {problem}")
    if len(problems) > SHOWN:
        lines.append(f"and {len(problems) - SHOWN} more problems")
    return "\n  ".join(lines)


def make_prompt(values: Mapping[str, Any], index: int, tokenizer: Tokenizer) -> Prompt:
    """Return the prompt of row `index`; InvalidRow has the first problem of its values (step 2)."""
    ids: dict[str, list[int]] = {}
    if is_eap(values):
        ids = {name: _read_eap_ids(values, name, tokenizer) for name in ("answer", "distractor")}
        values = {"text": values["clean"]}
    _check_columns(values)
    for name in TEXT_COLUMNS:
        if name in values:
            _check_text(name, values[name])
    text, tokens = _encode_prompt(values, tokenizer)
    n_before = 0 if "tokens" in values else len(tokenizer.prefix)
    answer, distractor = (
        ids[name] if ids else _answer_ids(values, name, text, tokenizer)
        for name in ("answer", "distractor")
    )
    if distractor and not answer:
        raise InvalidRow("a distractor without an answer")
    if both := set(answer) & set(distractor):
        text = repr(tokenizer.token_text(min(both)))
        raise InvalidRow(f"answer and distractor are the same token, {text}")
    return build_prompt(
        _read_prompt_id(values.get("prompt_id", index)),
        text,
        tokens,
        _read_roles(values.get("roles", {}), len(tokens), n_before),
        answer,
        distractor,
        tokenizer,
        values.get("template"),
        values.get("pattern"),
    )


def is_eap(values: Mapping[str, Any]) -> bool:
    """Return whether the values are those of a row in the format of EAP."""
    return set(EAP_COLUMNS.values()) <= values.keys()


def _check_columns(values: Mapping[str, Any]) -> None:
    for name in values:
        if name in PANDAS_INDEX:
            raise InvalidRow(
                f"column {name!r} is the index that pandas writes; write the file with index=False"
            )
        if name not in COLUMNS:
            both = ", or " + ", ".join(EAP_COLUMNS.values()) if "clean" in values else ""
            raise InvalidRow(f"unknown column {name!r}; known: {', '.join(COLUMNS)}{both}")


def _read_eap_ids(values: Mapping[str, Any], name: str, tokenizer: Tokenizer) -> list[int]:
    """Return the token ids of the answers or distractors of a row in the format of EAP."""
    column = EAP_COLUMNS[name]
    value = values[column]
    ids = value if isinstance(value, list) else [value]
    if not ids or not all(type(token) is int for token in ids):
        raise InvalidRow(f"{column} must be a token id or a list of them, not {value!r:.80}")
    for token in ids:
        if not tokenizer.has(token):
            raise InvalidRow(
                f"{column} has the token id {token}, which is outside the vocabulary of "
                f"{tokenizer.vocab_size} tokens; the ids must be those of this model"
            )
    return ids


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise InvalidRow(f"{name} must be a text, not {value!r:.80}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidRow(f"{name} has a lone surrogate, which is no character") from error


def _read_prompt_id(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= LAST_PROMPT_ID:
        raise InvalidRow(
            f"prompt_id must be an integer from 0 to {LAST_PROMPT_ID}, not {value!r:.80}"
        )
    return value


def _encode_prompt(values: Mapping[str, Any], tokenizer: Tokenizer) -> tuple[str, tuple[int, ...]]:
    """Return the prompt's text and token ids; `tokens` take precedence over `text`."""
    text = values.get("text")
    if "tokens" not in values:
        if not text:
            raise InvalidRow("there is no text and there are no tokens")
        try:
            tokens = tuple(tokenizer.encode(text))
        except SvtError as error:
            raise InvalidRow(str(error)) from error
        if tokens == tokenizer.prefix:
            raise InvalidRow(f"the text {text!r:.80} has no tokens")
        if tokenizer.prefix and tokens[len(tokenizer.prefix) :][:1] == tokenizer.prefix[:1]:
            bos = tokenizer.token_text(tokens[0])
            raise InvalidRow(
                f"the text begins with {bos}, which dataset.bos adds, too; remove it from the "
                "text, or set dataset.bos=never"
            )
        return text, tokens
    ids = values["tokens"]
    if not isinstance(ids, list) or not ids or any(type(token) is not int for token in ids):
        raise InvalidRow(f"tokens must be a list of token ids (integers), not {ids!r:.80}")
    for position, token in enumerate(ids):
        if not tokenizer.has(token):
            raise InvalidRow(
                f"token id {token} at position {position} is outside the vocabulary of "
                f"{tokenizer.vocab_size} tokens"
            )
    return tokenizer.decode(ids), tuple(ids)


def _read_roles(roles: Any, n_tokens: int, n_before: int) -> dict[str, int]:
    """Return the position of each role and `end`; `roles` do not count the first `n_before`."""
    n_counted = n_tokens - n_before
    if not isinstance(roles, dict):
        raise InvalidRow(f"roles must map role names to positions, not {roles!r:.80}")
    for role, position in roles.items():
        _check_text("a role's name", role)
        if not role or role != role.strip() or not role.isprintable():
            raise InvalidRow(f"{role!r:.80} is no name for a role")
        if role == "any":
            raise InvalidRow(
                "a role cannot be named any, which trace.root_src uses for every token"
            )
        if type(position) is not int:
            raise InvalidRow(
                f"role {role} must be at a position (an integer), not {position!r:.80}"
            )
        if not 0 <= position < n_counted:
            raise InvalidRow(
                f"role {role} is at position {position}, but the prompt has {n_counted} tokens "
                f"(positions 0 to {n_counted - 1}{', BOS not counted' if n_before else ''})"
            )
    shifted = {role: position + n_before for role, position in roles.items()}
    return {"end": n_tokens - 1} | shifted


def _answer_ids(values: Mapping[str, Any], name: str, text: str, tokenizer: Tokenizer) -> list[int]:
    """Return the ids of the answers or distractors, if there are any."""
    if name not in values:
        return []
    words = values[name]
    if not isinstance(words, list):
        return [_answer_id(words, name, text, tokenizer)]
    ids = [_answer_id(word, name, text, tokenizer) for word in words]
    if not ids:
        raise InvalidRow(f"{name} is an empty list")
    for index, token_id in enumerate(ids):
        if token_id in ids[:index]:
            raise InvalidRow(f"{name} has the token {tokenizer.token_text(token_id)!r} twice")
    return ids


def _answer_id(word: Any, name: str, text: str, tokenizer: Tokenizer) -> int:
    """Return the id of an answer or distractor after the prompt's text."""
    _check_text(name, word)
    if not word:
        raise InvalidRow(f"{name} is an empty text")
    spaced = f" {word.lstrip()}"
    try:
        token_id = tokenizer.next_token(text, word)
        if token_id is not None:
            return token_id
        if text[-1:].isspace() and tokenizer.next_token(text.rstrip(), spaced) is not None:
            raise InvalidRow(
                f"{name} {word!r:.80} is not one token after the prompt, whose last space belongs "
                f"to it; end the prompt before the space and write {spaced!r:.80}"
            )
        token_id = tokenizer.next_token(text, spaced)
        if token_id is not None and not tokenizer.token_text(token_id)[:1].isspace():
            return token_id
        if token_id is not None:
            raise InvalidRow(
                f"{name} {word!r:.80} is not one token after the prompt, but {spaced!r:.80} is; "
                "write it with the space"
            )
        n_tokens = len(tokenizer.encode(word)) - len(tokenizer.prefix)
    except SvtError as error:
        raise InvalidRow(str(error)) from error
    how = "is not a token it knows" if n_tokens < 2 else f"has {n_tokens} of its tokens"
    raise InvalidRow(f"{name} {word!r:.80} must be one token of the model, but {how}")


def _note_spacing(prompts: list[Prompt], tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return a note on answers without a leading space where a token with one would follow."""
    n_without = 0
    for prompt in prompts:
        answer = prompt.answer_texts[0] if prompt.answer_texts else " "
        spaced = None if answer[:1].isspace() else tokenizer.next_token(prompt.text, f" {answer}")
        n_without += spaced not in (None, *prompt.answer) and not prompt.text[-1:].isspace()
    if not n_without:
        return ()
    return (
        f"{n_without} of {len(prompts)} answers are tokens without a leading space; "
        'if a word follows, write it as " word"',
    )


def _note_eap(rows: Sequence[Row], kept: Sequence[Prompt]) -> tuple[str, ...]:
    """Return a note on a table in the format of EAP, whose token ids may be of another model."""
    columns = dict.fromkeys(name for row in rows if is_eap(row.values) for name in row.values)
    if not columns or not kept:
        return ()
    others = [repr(name) for name in columns if name not in EAP_COLUMNS.values()]
    left_out = f"; columns left out: {', '.join(others)}" if others else ""
    answer, distractor = (
        "|".join(map(repr, texts)) for texts in (kept[0].answer_texts, kept[0].distractor_texts)
    )
    return (
        f"read in the format of EAP{left_out}; in this model the token ids of the first row are "
        f"{answer} (correct) and {distractor} (incorrect)",
    )
