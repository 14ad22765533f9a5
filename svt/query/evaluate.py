"""Evaluate the traced circuit against a reference, a published list of heads.

1. A reference is a CSV file with a row for each head: columns `layer` and `head`, optionally
   `class`. Named references are in conf/evaluate; their comment `# model: 12 layers of 12 heads`
   states the shape of their model.
2. A reference head is reachable when it is a root or its layer lies below the lowest root's. In an
   imported circuit without roots, every head is reachable.
3. The circuit consists of all edges of the graph, or of the edges whose ablation exceeds its random
   control in either direction (the query `validated_edges`).
4. One query computes precision and recall at every threshold (sql/macros/evaluated.sql). Roots, and
   heads of an imported circuit that have no edge, belong to the circuit at every threshold.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from svt.config import Config, Head
from svt.db.catalog import register_tables
from svt.errors import ConfigError, DataError, suggestion
from svt.paths import conf_dir, read_sql
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


def list_references() -> dict[str, Path]:
    """Return the files of the named references, ordered by name."""
    return {file.stem: file for file in sorted((conf_dir() / "evaluate").glob("*.csv"))}


def find_reference(config: Config) -> Path | None:
    """Return the file that `evaluate.reference` selects, None for no evaluation.

    The models' own references are heads of the task `ioi`, so `auto` selects none for others.
    ConfigError as `find_named`.
    """
    reference = config.evaluate.reference
    if reference == "auto" and config.dataset.name != "ioi":
        return None
    return find_named(reference, config.model.name)


def find_named(reference: str, model_name: str) -> Path | None:
    """Return the file of a reference for a model, None for `none` and where `auto` finds none.

    ConfigError when it is neither `auto`, `none`, a named reference nor an existing CSV file.
    """
    known = list_references()
    if reference == "none":
        return None
    if reference == "auto":
        return known.get(_OWN.get(model_name, model_name))
    if reference in known:
        return known[reference]
    if Path(reference).is_file():
        return Path(reference)
    raise ConfigError(
        f"evaluate.reference={reference}: no such reference or file; "
        f"known are auto, none, {', '.join(known)}, or give a CSV file"
        f"{suggestion(reference, known)}"
    )


def load_reference(file: Path) -> tuple[ReferenceHead, ...]:
    """Return the heads of a reference file (step 1); DataError names the row that is wrong."""
    heads: dict[Head, ReferenceHead] = {}
    for number, values in read_rows(file, ("layer", "head")):
        layer, head = values["layer"], values["head"]
        if not all(n.isdecimal() and len(n) <= 3 and int(n) < _ABOVE_ALL for n in (layer, head)):
            raise DataError(
                f"{file}, row {number}: layer and head must be counts from 0 to {_ABOVE_ALL - 1}, "
                f"not {layer},{head}"
            )
        at = int(layer), int(head)
        if at in heads:
            raise DataError(
                f"{file}, row {number}: head {at[0]}.{at[1]} repeats row {heads[at].row}"
            )
        heads[at] = ReferenceHead(*at, values.get("class") or None, number)
    if not heads:
        raise DataError(f"{file}: names no head; add a row for each, layer,head")
    return tuple(heads.values())


def read_model_shape(file: Path) -> tuple[int, int] | None:
    """Return (layers, heads) of the model that a reference file states, else None."""
    match = _MODEL.search(file.read_text(encoding="utf-8", errors="replace"))
    return (int(match[1]), int(match[2])) if match else None


def evaluate(
    con: duckdb.DuckDBPyConnection,
    file: Path | None,
    roots: Sequence[Head],
    edges: EdgeChoice = "all",
) -> None:
    """Replace reference_heads and evaluation of `results`; both are empty without a file.

    `roots` are the roots of the trace; `edges` selects the edges of the circuit. ConfigError when
    the reference has a head that the model lacks, or interventions to validate edges are missing.
    """
    heads = load_reference(file) if file is not None else ()
    for shape in con.execute("SELECT n_layers, n_heads FROM store.dump").fetchall():
        for head in heads:
            check_heads(f"{file}, row {head.row}", [(head.layer, head.head)], shape)
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
        con.execute(read_sql("evaluate/edges_all"))  # 3
    else:
        with register_tables(con, validated=_select_validated(con)):
            con.execute(read_sql("evaluate/edges_validated"))
    alone = con.execute("SELECT layer, head FROM results.imported_heads").fetchall()
    always = [list(head) for head in dict.fromkeys([*roots, *alone])]
    con.execute(read_sql("evaluate/evaluation"), {"roots": always})  # 4
    con.execute("DROP TABLE circuit_edges")


def _select_validated(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return the validated rows of `validated_edges`; ConfigError when none could be tested."""
    edges = run(con, "validated_edges")
    if edges.is_empty():
        raise ConfigError(
            "evaluate.edges=validated: the results hold no global ablation of an edge; add "
            "intervene to the stages (scopes with global, kinds with ablate)"
        )
    if edges["random_low"].is_null().all():
        raise ConfigError(
            f"evaluate.edges=validated: none of {edges.height} changed edges has a random control; "
            "repeat the stage intervene with intervene.repeats of 1 or more, on prompts with "
            "answers"
        )
    if edges.drop_nulls("random_low")["validated"].is_null().all():
        raise ConfigError(
            "evaluate.edges=validated: every changed edge was measured in too few prompts for a "
            "verdict; take more prompts, or evaluate.edges=all"
        )
    return edges.filter("validated")
