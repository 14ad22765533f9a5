"""The traced circuit held against a list of heads that somebody else found.

1. A reference is a CSV file: lines that begin with # are remarks, then a header with `layer` and
   `head` (and `class`, where known), then a row for each head. conf/evaluate holds the named ones,
   whose remark `# model: 12 layers of 12 heads` says of which shape their model is.
2. A reference head is reachable when it is a root or lies below the lowest root's layer; of a
   circuit without roots, which was imported, every one is.
3. The circuit is made of all edges of the graph, or of those whose ablation goes beyond its random
   control, whether they help the answer or hinder it (the query `validated_edges`).
4. Precision and recall at every threshold come from one query (sql/macros/evaluated.sql). Heads
   that an imported circuit holds without an edge are in it at every threshold, as are roots.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from svt.config import Head
from svt.errors import ConfigError, DataError, suggestion
from svt.paths import conf_dir, sql_dir
from svt.query.csv_rows import read_rows
from svt.query.named import run
from svt.query.refusals import check_heads
from svt.words import EdgeChoice

_OWN = {  # by model name; without an entry the reference of that name
    "gpt2": "wang2023",
    "openai-community/gpt2": "wang2023",
}

_MODEL = re.compile(r"^# model: (\d{1,3}) layers of (\d{1,3}) heads$", re.M)
_ABOVE_ALL = 256  # layers are stored in a byte


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

    ConfigError when it is neither `auto`, `none`, a named reference nor an existing CSV file.
    """
    if reference == "none":
        return None
    if reference == "auto":
        own = _OWN.get(model_name, model_name)
        return _folder() / f"{own}.csv" if own in known_references() else None
    if reference in known_references():
        return _folder() / f"{reference}.csv"
    if Path(reference).is_file():
        return Path(reference)
    raise ConfigError(
        f"evaluate.reference={reference}: no such reference or file; "
        f"known are auto, none, {', '.join(known_references())}, or give a CSV file"
        f"{suggestion(reference, known_references())}"
    )


def load_reference(file: Path) -> tuple[ReferenceHead, ...]:
    """The heads of a reference file (step 1); ConfigError names the row that is wrong."""
    heads: dict[Head, ReferenceHead] = {}
    for number, values in read_rows(file, ("layer", "head")):
        if not (_small(values["layer"]) and _small(values["head"])):
            raise DataError(
                f"{file}, row {number}: layer and head must be counts from 0 to {_ABOVE_ALL - 1}, "
                f"not {values['layer']},{values['head']}"
            )
        at = (int(values["layer"]), int(values["head"]))
        if at in heads:
            raise DataError(
                f"{file}, row {number}: head {at[0]}.{at[1]} stands in row {heads[at].row}"
            )
        heads[at] = ReferenceHead(*at, values.get("class") or None, number)
    if not heads:
        raise DataError(f"{file}: names no head; add a row for each, layer,head")
    return tuple(heads.values())


def model_shape(file: Path) -> tuple[int, int] | None:
    """Return layers and heads of the model that a reference file is of; None if it does not say."""
    match = _MODEL.search(file.read_text(encoding="utf-8", errors="replace"))
    return (int(match[1]), int(match[2])) if match else None


def _small(text: str) -> bool:
    return text.isdecimal() and len(text) <= 3 and int(text) < _ABOVE_ALL


def evaluate(
    con: duckdb.DuckDBPyConnection,
    file: Path | None,
    roots: Sequence[Head],
    edges: EdgeChoice = "all",
) -> None:
    """Fills reference_heads and evaluation of `results` anew; without a file they stay empty.

    `roots` are those of the trace, `edges` those that take part. ConfigError when the reference
    names a head that the model lacks, or no edge can be validated for want of interventions.
    """
    heads = load_reference(file) if file is not None else ()
    _check_shape(con, file, heads)
    for table in ("reference_heads", "evaluation"):
        con.execute(f"DELETE FROM results.{table}")
    if file is None:
        return
    lowest = min((layer for layer, _ in roots), default=_ABOVE_ALL)
    rows = [
        (file.stem, h.layer, h.head, h.kind, h.layer < lowest or (h.layer, h.head) in roots)  # 2
        for h in heads
    ]
    con.executemany("INSERT INTO results.reference_heads VALUES (?, ?, ?, ?, ?)", rows)
    if edges == "all":
        con.execute(_sql("edges_all"))  # 3
    else:
        con.register("validated", _validated(con).to_arrow())
        con.execute(_sql("edges_validated"))
        con.unregister("validated")
    alone = con.execute("SELECT layer, head FROM results.imported_heads").fetchall()
    kept = [list(head) for head in dict.fromkeys([*roots, *alone])]
    con.execute(_sql("evaluation"), {"roots": kept})  # 4
    con.execute("DROP TABLE circuit_edges")


def _check_shape(
    con: duckdb.DuckDBPyConnection, file: Path | None, heads: Sequence[ReferenceHead]
) -> None:
    """ConfigError for a head that the model lacks; without a store its shape is not known."""
    for shape in con.execute("SELECT n_layers, n_heads FROM store.dump").fetchall():
        for head in heads:
            check_heads(f"{file}, row {head.row}", [(head.layer, head.head)], shape)


def _validated(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The rows of `validated_edges` that are; ConfigError when there was nothing to validate by."""
    found = run(con, "validated_edges")
    if found.is_empty():
        raise ConfigError(
            "evaluate.edges=validated: the results hold no global ablation of an edge; add "
            "intervene to the stages (scopes with global, kinds with ablate)"
        )
    if found["random_low"].is_null().all():
        raise ConfigError(
            f"evaluate.edges=validated: none of {found.height} changed edges has a random control "
            "to go beyond; intervene again with intervene.repeats of 1 or more, on prompts with "
            "answers"
        )
    if found.drop_nulls("random_low")["validated"].is_null().all():
        raise ConfigError(
            "evaluate.edges=validated: every changed edge was measured in too few prompts for a "
            "verdict; take more prompts, or evaluate.edges=all"
        )
    return found.filter("validated")


def _sql(name: str) -> str:
    return (sql_dir() / "evaluate" / f"{name}.sql").read_text(encoding="utf-8")


def _folder() -> Path:
    return conf_dir() / "evaluate"
