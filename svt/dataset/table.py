"""Read the rows of a JSONL, CSV or Parquet file as Python values, each with its place.

In CSV every cell is text: an empty one is no value, `tokens` and `roles` are JSON (a list, an
object), `answer` and `distractor` may be JSON lists of texts, and `prompt_id`, `correct_idx` and
`incorrect_idx` are integers (the last two may be lists). Parquet may have lists, structs and maps,
or the same JSON.
"""

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from svt.dataset.files import number_lines, read_bytes, read_text
from svt.errors import DataError, SvtError

INTEGER_COLUMNS = ("prompt_id", "correct_idx", "incorrect_idx")
JSON_PREFIXES = {
    **dict.fromkeys(("tokens", "roles"), ""),
    **dict.fromkeys(("answer", "distractor"), '["'),
    **dict.fromkeys(INTEGER_COLUMNS, "["),
}
"""The prefix by which a text in a column is JSON."""


@dataclass(frozen=True)
class Row:
    """One row; `problem` is the reason where `values` could not be read."""

    where: str
    values: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


def read_rows(path: Path) -> list[Row]:
    """Return all rows in the file's order; DataError for a file of another format."""
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    readers |= dict.fromkeys((".jsonl", ".ndjson"), _read_jsonl)
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"dataset.path {path}: unknown format; a prompt file ends in .jsonl, .csv or .parquet"
        )
    return reader(path)


def _read_jsonl(path: Path) -> list[Row]:
    rows = []
    for number, line in number_lines(read_text(path, "dataset.path")):
        where = f"line {number}"
        try:
            values = load_json(line)
        except ValueError as error:
            rows.append(Row(where, problem=str(error)))
            continue
        if isinstance(values, dict):
            rows.append(Row(where, drop_nulls(values)))
        else:
            rows.append(Row(where, problem="a row must be a JSON object"))
    return rows


def _read_csv(path: Path) -> list[Row]:
    source = io.StringIO(read_text(path, "dataset.path"), newline="")
    rows: list[Row] = []
    reader = csv.reader(source, strict=True)
    try:
        header = next(reader, [])
        _check_columns(path, header)
        for cells in reader:
            where = f"line {reader.line_num}"
            if not cells:
                continue
            if len(cells) != len(header):
                problem = f"{len(cells)} cells, but the header names {len(header)}"
                rows.append(Row(where, problem=problem))
                continue
            rows.append(_parse_row(where, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise DataError(f"dataset.path {path}: line {reader.line_num}: {error}") from error
    return rows


def _read_parquet(path: Path) -> list[Row]:
    from pyarrow import parquet

    content = io.BytesIO(read_bytes(path, "dataset.path"))
    try:
        file = parquet.ParquetFile(content)
        _check_columns(path, file.schema_arrow.names)
        records = file.read().to_pylist(maps_as_pydicts="strict")
    except SvtError:
        raise
    except Exception as error:  # errors of a damaged file have no common base
        raise DataError(f"dataset.path {path} is not a valid Parquet file: {error}") from error
    return [_parse_row(f"row {i}", record) for i, record in enumerate(records, 1)]


def _check_columns(path: Path, columns: list[str]) -> None:
    repeated = {name for name in columns if columns.count(name) > 1}
    if repeated:
        raise DataError(f"dataset.path {path}: column {min(repeated)!r} is there more than once")


def _parse_row(where: str, values: dict[str, Any]) -> Row:
    """Return the row with its texts of JSON and integers parsed."""
    parsed = drop_nulls({name: None if value == "" else value for name, value in values.items()})
    for name, prefix in JSON_PREFIXES.items():
        text = parsed.get(name)
        if isinstance(text, str) and text.startswith(prefix):
            try:
                parsed[name] = load_json(text)
            except ValueError as error:
                return Row(where, problem=f"{name}: {error}")
    if isinstance(parsed.get("roles"), dict):  # a struct has every role of the file
        parsed["roles"] = drop_nulls(parsed["roles"])
    for name in INTEGER_COLUMNS:
        if isinstance(parsed.get(name), str) and re.fullmatch("[0-9]{1,20}", parsed[name]):
            parsed[name] = int(parsed[name])
    return Row(where, parsed)


def drop_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are not null."""
    return {name: value for name, value in values.items() if value is not None}


def load_json(text: str) -> Any:
    """Return the parsed value; ValueError with the reason, also for a duplicate key."""
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("not JSON: too deep") from error


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of a JSON file; ValueError for a duplicate key."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {max(names, key=names.count)!r} is there more than once")
    return values
