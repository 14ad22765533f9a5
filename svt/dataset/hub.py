"""An IOI set of the Hugging Face hub, or a folder of files laid out as one.

1. The library `datasets` loads dataset.path (OWNER/NAME, or a folder), dataset.split and
   dataset.revision, from its local cache where the hub is unreachable. It runs no code of the set.
2. The columns determine the layout of the rows:
   - prompt, choices, answerKey, as in mib-bench/ioi: choices[answerKey] is the answer and the other
     choice the distractor, each with or without a space before it; the key is a number, its text,
     or the text of the choice;
   - ioi_sentences, as in fahamu/ioi: a whole sentence, whose last word is the answer; the
     distractor is the one capitalised word that occurs twice;
   - text or tokens: the columns of a prompt file (prompt_file.py), without prompt_id.
3. The positions of the names in the text are the roles (the first word of a text may be another
   token); answer and distractor are the tokens that follow the text. The first dataset.n_prompts
   usable rows are the prompts; the row number is the prompt_id. Rows in which a name is not a
   single token, or does not occur as often as it should, are left out with a note.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from svt.config import HubConfig
from svt.dataset.prompt import Dataset, Prompt, derive_roles
from svt.dataset.prompt_file import COLUMNS, InvalidRow, make_prompt
from svt.dataset.table import drop_nulls
from svt.dataset.tokenizer import Tokenizer
from svt.errors import DataError
from svt.paths import expand_home

Values = dict[str, Any]

MAX_REASONS = 3
"""Reasons for rows being left out in a note."""


def load_hub_prompts(config: HubConfig, tokenizer: Tokenizer) -> Dataset:
    """Return the prompts of a set; DataError when it cannot be loaded or no row is usable."""
    prompts: list[Prompt] = []
    problems: dict[str, list[int]] = {}  # reason -> rows
    n_read = 0
    for index, row in enumerate(_load_rows(config)):
        if len(prompts) == config.n_prompts:
            break
        n_read += 1
        try:
            prompts.append(_make_prompt(row, index, config, tokenizer))
        except InvalidRow as error:
            problems.setdefault(str(error), []).append(index)
    frequent = sorted(problems.items(), key=lambda item: -len(item[1]))[:MAX_REASONS]
    reasons = "; ".join(
        f"{problem} ({f'{len(rows)}, first ' if len(rows) > 1 else ''}row {rows[0]})"
        for problem, rows in frequent
    )
    if not prompts:
        raise DataError(
            f"dataset.path={config.path} has no usable prompt: {reasons or 'it is empty'}"
        )
    notes: tuple[str, ...] = ()
    if problems:
        notes += (f"{sum(map(len, problems.values()))} of {n_read} rows left out: {reasons}",)
    if config.n_prompts is not None and len(prompts) < config.n_prompts:
        few = f"{config.path} has {len(prompts)} usable prompts"
        notes += (f"{few}, fewer than n_prompts={config.n_prompts}",)
    return Dataset(tuple(prompts), notes)


def _load_rows(config: HubConfig) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of the set (step 1)."""
    try:
        from datasets import config as library
        from datasets import load_dataset
        from datasets.utils import (
            are_progress_bars_disabled,
            disable_progress_bars,
            enable_progress_bars,
        )
    except ImportError as error:
        raise DataError("dataset=hub needs the library datasets: pip install datasets") from error
    path, failure = expand_home(config.path), None
    quiet = are_progress_bars_disabled()
    disable_progress_bars()
    if not path.is_dir():
        failure = _check_hub(config)
        library.HF_HUB_OFFLINE = failure is not None
    try:
        rows = load_dataset(
            str(path) if path.is_dir() else config.path,
            split=config.split,
            revision=config.revision,
        )
    except Exception as error:  # errors of the network, hub and files have no common base
        reason = " ".join(str(failure or error).split())[:300]
        raise DataError(
            f"dataset.path={config.path}, split {config.split}: {reason}. Without a network, "
            "download the set's files elsewhere and set their folder: dataset.path=DIR"
        ) from error
    finally:
        if not quiet:
            enable_progress_bars()
    yield from rows


def _check_hub(config: HubConfig) -> Exception | None:
    """Return why the hub is unreachable, None if it answers.

    One request only: the library would retry for minutes.
    """
    import huggingface_hub as hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        url = hub.hf_hub_url(
            config.path, "README.md", repo_type="dataset", revision=config.revision
        )
        hub.get_hf_file_metadata(url)
    except HfHubHTTPError:  # also an answer; the library reports it in detail
        return None
    except Exception as error:  # the client and the network raise many types
        return error
    return None


def _make_prompt(
    row: Mapping[str, Any], index: int, config: HubConfig, tokenizer: Tokenizer
) -> Prompt:
    """Return the prompt of a row; InvalidRow when it is not usable (step 2)."""
    if {"prompt", "choices", "answerKey"} <= row.keys():
        text, choices = row["prompt"], row["choices"]
        texts = [text, *choices] if isinstance(choices, list) else []
        names = [word.strip() for word in texts[1:] if isinstance(word, str)]
        key = _parse_key(row["answerKey"], names)
        if [type(word) for word in texts] != [str] * 3 or key is None:
            raise InvalidRow("there must be a prompt, two choices, and answerKey 0 or 1")
        io, subject = names[key], names[1 - key]
        values = drop_nulls({"text": text, "template": row.get("template")})
        return _make_ioi_prompt(values, io, subject, index, tokenizer)
    if "ioi_sentences" in row:
        text, _, answer = str(row["ioi_sentences"]).strip().rstrip(".").rpartition(" ")
        counts = Counter(re.findall(r"\b[A-Z]\w*", text))
        twice = [word for word, n in counts.items() if n == 2 and word != answer]
        if len(twice) != 1:
            raise InvalidRow("there must be exactly one name that occurs twice")
        return _make_ioi_prompt({"text": text}, answer, twice[0], index, tokenizer)
    if {"text", "tokens"} & row.keys():
        values = drop_nulls({name: row.get(name) for name in COLUMNS if name != "prompt_id"})
        if isinstance(values.get("roles"), Mapping):  # a struct has every role of the set
            values["roles"] = drop_nulls(values["roles"])
        return make_prompt(values, index, tokenizer)
    raise DataError(
        f"dataset.path={config.path} has the columns {', '.join(row)}, which are not those of an "
        "IOI set: prompt, choices and answerKey, or ioi_sentences, or those of a prompt file"
    )


def _parse_key(answer_key: Any, names: Sequence[str]) -> int | None:
    """Return the index of the choice that the key selects, None if it is invalid."""
    text = str(answer_key).strip()
    if text in names:
        return names.index(text)
    return {"0": 0, "1": 1}.get(text)


def _make_ioi_prompt(
    values: Values, io: str, subject: str, index: int, tokenizer: Tokenizer
) -> Prompt:
    """Return the prompt with the answer `io`, where `subject` occurs twice (step 3)."""
    text = values["text"]
    places = {
        name: [match.span() for match in re.finditer(rf"\b{re.escape(name)}\b", text)]
        for name in (io, subject)
    }
    if io == subject or [len(places[name]) for name in (io, subject)] != [1, 2]:
        raise InvalidRow("the answer must occur once and the distractor twice")
    spans = dict(zip(("IO", "S1", "S2"), places[io] + places[subject], strict=True))
    encoding = tokenizer.encode_spans(text)
    covering = {role: encoding.covering(*span) for role, span in spans.items()}
    for role, span in spans.items():
        name = text[slice(*span)]
        words = [text[slice(*encoding.spans[at])].strip() for at in covering[role]]
        known = all(encoding.ids[at] != tokenizer.unknown_id for at in covering[role])
        if words != [name] or not known or tokenizer.next_token(text, f" {name}") is None:
            raise InvalidRow(f"the name {name!r} is not one token of this model")
    at = {role: position for role, (position,) in covering.items()}
    pattern = "ABBA" if at["IO"] < at["S1"] else "BABA"
    labels = {"answer": f" {io}", "distractor": f" {subject}", "pattern": pattern}
    prompt = make_prompt(values | labels, index, tokenizer)
    return replace(prompt, roles=derive_roles(at, len(encoding.ids) - 1))
