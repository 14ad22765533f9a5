"""The traced circuit held against a list of heads that somebody else found.

1. A reference is a CSV file: lines that begin with # are remarks, then a header with `layer` and
   `head` (and `class`, where known), then a row for each head. conf/evaluate holds the named ones.
2. A reference head is reachable when it is a root or lies below the lowest root's layer.
3. Precision and recall at every threshold come from one query (sql/macros/evaluated.sql).
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from svt.config import Head
from svt.errors import SvtError
from svt.paths import conf_dir, sql_dir

_OWN = {  # by model name
    "ioi-mini": "ioi-mini",
    "gpt2": "wang2023",
    "openai-community/gpt2": "wang2023",
}


@dataclass(frozen=True)
class ReferenceHead:
    """One head of a reference; `row` is its line in the file, from 1."""

    layer: int
    head: int
    kind: str | None
    row: int


def known_references() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in _folder().glob("*.csv")))


def reference_file(reference: str, model_name: str) -> Path | None:
    """The file that `evaluate.reference` means for this model, None for no evaluation.

    SvtError when it is neither `auto`, `none`, a named reference nor an existing CSV file.
    """
    if reference == "none":
        return None
    if reference == "auto":
        own = _OWN.get(model_name)
        return _folder() / f"{own}.csv" if own in known_references() else None
    if reference in known_references():
        return _folder() / f"{reference}.csv"
    if Path(reference).is_file():
        return Path(reference)
    raise SvtError(
        f"evaluate.reference={reference}: no such reference or file; "
        f"known are auto, none, {', '.join(known_references())}, or give a CSV file"
    )


def load_reference(file: Path) -> tuple[ReferenceHead, ...]:
    """The heads of a reference file (step 1); SvtError names the row that is wrong."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SvtError(
            f"{file}: cannot be read as UTF-8 text ({error}); give a CSV file"
        ) from error
    numbered = [
        (number, line)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    rows = list(csv.reader(line for _, line in numbered))
    if not rows:
        raise SvtError(
            f"{file}: is empty; it needs a header with layer,head and a row for each head"
        )
    header = [name.strip() for name in rows[0]]
    missing = [name for name in ("layer", "head") if name not in header]
    if missing:
        raise SvtError(f"{file}, row {numbered[0][0]}: the header lacks {', '.join(missing)}")
    heads: dict[Head, ReferenceHead] = {}
    for (number, line), row in zip(numbered[1:], rows[1:], strict=True):
        if len(row) != len(header):
            raise SvtError(f"{file}, row {number}: has {len(row)} fields, the header {len(header)}")
        values = dict(zip(header, (value.strip() for value in row), strict=True))
        if not (values["layer"].isdecimal() and values["head"].isdecimal()):
            raise SvtError(
                f"{file}, row {number}: layer and head must be counts from 0, not {line}"
            )
        at = (int(values["layer"]), int(values["head"]))
        if at in heads:
            raise SvtError(
                f"{file}, row {number}: head {at[0]}.{at[1]} stands in row {heads[at].row}"
            )
        heads[at] = ReferenceHead(*at, values.get("class") or None, number)
    if not heads:
        raise SvtError(f"{file}: names no head; add a row for each, layer,head")
    return tuple(heads.values())


def evaluate(con: duckdb.DuckDBPyConnection, file: Path | None, roots: Sequence[Head]) -> None:
    """Fills reference_heads and evaluation of `results` anew; without a file they stay empty.

    `roots` are those of the trace. SvtError when the reference names a head that the model lacks.
    """
    heads = load_reference(file) if file is not None else ()
    ((n_layers, n_heads),) = con.execute("SELECT n_layers, n_heads FROM store.dump").fetchall()
    for head in heads:
        if head.layer >= n_layers or head.head >= n_heads:
            raise SvtError(
                f"{file}, row {head.row}: there is no head {head.layer}.{head.head}; the model has "
                f"layers 0 to {n_layers - 1} and heads 0 to {n_heads - 1}"
            )
    for table in ("reference_heads", "evaluation"):
        con.execute(f"DELETE FROM results.{table}")
    if file is None:
        return
    lowest = min((layer for layer, _ in roots), default=0)
    rows = [
        (file.stem, h.layer, h.head, h.kind, h.layer < lowest or (h.layer, h.head) in roots)  # 2
        for h in heads
    ]
    con.executemany("INSERT INTO results.reference_heads VALUES (?, ?, ?, ?, ?)", rows)
    text = (sql_dir() / "evaluate" / "evaluation.sql").read_text(encoding="utf-8")
    con.execute(text, {"roots": [list(root) for root in roots]})  # 3


def _folder() -> Path:
    return conf_dir() / "evaluate"
