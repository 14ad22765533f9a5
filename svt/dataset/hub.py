"""An IOI set of the Hugging Face hub, or a folder of files laid out as one.

1. The library `datasets` finds dataset.path (OWNER/NAME, or a folder), dataset.split and
   dataset.revision; its local cache where the hub cannot be reached. It runs no code of the set.
2. The columns tell how its rows are laid out:
   - prompt, choices, answerKey, as in mib-bench/ioi: choices[answerKey] is the answer and the other
     choice the distractor, each with or without a space before it; the key is a number, its text,
     or the text of the choice;
   - ioi_sentences, as in fahamu/ioi: a whole sentence, whose last word is the answer; the
     distractor is the one capitalised word that stands in it twice;
   - text or tokens: those of a prompt file (prompt_file.py), but for prompt_id.
3. The names' places in the text are the roles, where a name may be another token than later on;
   answer and distractor are the tokens that follow the text. The first dataset.n_prompts rows that
   are of use are the prompts; a row's number is its prompt_id. Rows with a name that is no single
   token, or that is not said as often as it should be, are left out with a note.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from svt.config import HubConfig
from svt.dataset.prompt import Dataset, Prompt, name_roles
from svt.dataset.prompt_file import COLUMNS, Wrong, make_prompt
from svt.dataset.table import given
from svt.dataset.tokenizer import Encoding, Tokenizer
from svt.errors import DataError
from svt.paths import expanded

Values = dict[str, Any]


def hub_prompts(config: HubConfig, tokenizer: Tokenizer) -> Dataset:
    """The prompts of a set; DataError when it cannot be had, or has none that are of use."""
    prompts: list[Prompt] = []
    problems, n_read = Counter[str](), 0
    for index, row in enumerate(_rows(config)):
        if len(prompts) == config.n_prompts:
            break
        n_read += 1
        try:
            prompts.append(_prompt(row, index, config, tokenizer))
        except Wrong as wrong:
            problems[str(wrong)] += 1
    told = "; ".join(f"{problem} ({n})" for problem, n in problems.most_common(3))
    if not prompts:
        raise DataError(f"dataset.path={config.path} has no prompt of use: {told or 'it is empty'}")
    notes: tuple[str, ...] = ()
    if problems:
        notes += (f"{problems.total()} of {n_read} rows left out: {told}",)
    if config.n_prompts is not None and len(prompts) < config.n_prompts:
        few = f"{config.path} has {len(prompts)} prompts of use"
        notes += (f"{few}, fewer than n_prompts={config.n_prompts}",)
    return Dataset(tuple(prompts), notes)


def _rows(config: HubConfig) -> Iterator[Mapping[str, Any]]:
    """Step 1."""
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
    path, unreached = expanded(config.path), None
    quiet = are_progress_bars_disabled()
    disable_progress_bars()
    if not path.is_dir():
        unreached = _unreached(config)
        library.HF_HUB_OFFLINE = unreached is not None
    try:
        found = load_dataset(
            str(path) if path.is_dir() else config.path,
            split=config.split,
            revision=config.revision,
        )
    except Exception as error:  # what a network, a hub and files can do has no common base
        reason = " ".join(str(unreached or error).split())[:300]
        raise DataError(
            f"dataset.path={config.path}, split {config.split}: {reason}. Without a network, fetch "
            "the set's files where there is one and give their folder: dataset.path=DIR"
        ) from error
    finally:
        if not quiet:
            enable_progress_bars()
    yield from found


def _unreached(config: HubConfig) -> Exception | None:
    """Why the hub does not answer; asked once, where the library would ask for minutes."""
    import huggingface_hub as hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        url = hub.hf_hub_url(
            config.path, "README.md", repo_type="dataset", revision=config.revision
        )
        hub.get_hf_file_metadata(url)
    except HfHubHTTPError:  # an answer, too, of which the library says more
        return None
    except Exception as error:  # the client and the network raise many kinds
        return error
    return None


def _prompt(row: Mapping[str, Any], index: int, config: HubConfig, tokenizer: Tokenizer) -> Prompt:
    """Step 2: the row as its columns tell; Wrong says why it is of no use."""
    if {"prompt", "choices", "answerKey"} <= row.keys():
        text, choices = row["prompt"], row["choices"]
        told = [text, *choices] if isinstance(choices, list) else []
        names = [word.strip() for word in told[1:] if isinstance(word, str)]
        key = _key(row["answerKey"], names)
        if [type(word) for word in told] != [str] * 3 or key is None:
            raise Wrong("there must be a prompt, two choices, and answerKey 0 or 1")
        io, subject = names[key], names[1 - key]
        return _ioi(
            given({"text": text, "template": row.get("template")}), io, subject, index, tokenizer
        )
    if "ioi_sentences" in row:
        text, _, answer = str(row["ioi_sentences"]).strip().rstrip(".").rpartition(" ")
        said = Counter(re.findall(r"\b[A-Z]\w*", text))
        twice = [word for word, n in said.items() if n == 2 and word != answer]
        if len(twice) != 1:
            raise Wrong("not one name stands in it twice")
        return _ioi({"text": text}, answer, twice[0], index, tokenizer)
    if {"text", "tokens"} & row.keys():
        values = given({name: row.get(name) for name in COLUMNS if name != "prompt_id"})
        if isinstance(values.get("roles"), Mapping):  # as a struct, it has every role of the set
            values["roles"] = given(values["roles"])
        return make_prompt(values, index, tokenizer)
    raise DataError(
        f"dataset.path={config.path} has the columns {', '.join(row)}, which are not those of an "
        "IOI set: prompt, choices and answerKey, or ioi_sentences, or those of a prompt file"
    )


def _key(given: Any, names: Sequence[str]) -> int | None:
    """The number of the choice that a row's key names, if it names one."""
    said = str(given).strip()
    if said in names:
        return names.index(said)
    return {"0": 0, "1": 1}.get(said)


def _ioi(values: Values, io: str, subject: str, index: int, tokenizer: Tokenizer) -> Prompt:
    """Step 3 for a text in `values` that asks for `io`, where `subject` is said twice."""
    text = values["text"]
    found = {
        name: [match.span() for match in re.finditer(rf"\b{re.escape(name)}\b", text)]
        for name in (io, subject)
    }
    if io == subject or [len(found[name]) for name in (io, subject)] != [1, 2]:
        raise Wrong("the answer must be said once and the distractor twice")
    spans = dict(zip(("IO", "S1", "S2"), found[io] + found[subject], strict=True))
    encoding = tokenizer.encode_spans(text)
    covering = {role: encoding.covering(*span) for role, span in spans.items()}
    after = [tokenizer.following(text, f" {name}") for name in (io, subject)]
    whole = (
        _is_name(text, encoding, covering[role], span, tokenizer.unknown_id)
        for role, span in spans.items()
    )
    if None in after or not all(whole):
        raise Wrong("a name is not one token of this model")
    at = {role: position for role, (position,) in covering.items()}
    pattern = "ABBA" if at["IO"] < at["S1"] else "BABA"
    said = {"answer": f" {io}", "distractor": f" {subject}", "pattern": pattern}
    prompt = make_prompt(values | said, index, tokenizer)
    return replace(prompt, roles=name_roles(at, len(encoding.ids) - 1))


def _is_name(
    text: str,
    encoding: Encoding,
    positions: Sequence[int],
    span: tuple[int, int],
    unknown: int | None,
) -> bool:
    """Return whether the name at a span is one known token with nothing else in it."""
    if len(positions) != 1 or encoding.ids[positions[0]] == unknown:
        return False
    return text[slice(*encoding.spans[positions[0]])].strip() == text[slice(*span)]
