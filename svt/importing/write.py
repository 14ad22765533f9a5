"""A circuit into a folder that looks like a run's: results.duckdb without a store.

1. `imported`, `imported_edges` and `imported_heads` keep what the file tells.
2. `graph_edges` are its edges, added up by heads, side and role.
3. `reference_heads` and `evaluation` hold it against a reference, as they do a trace.
4. The row `run` names the roots and no store. Its configuration has only what the circuit decides;
   later stages fill in the rest.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

import svt
from svt.db.connect import lending
from svt.db.stores import Stores
from svt.errors import DataError, SvtError
from svt.importing.circuit import Circuit, Edge, graph_edges
from svt.query.evaluate import evaluate, model_shape, reference_file
from svt.query.refusals import check_heads
from svt.store.results import NAME, reading_results, writing_results
from svt.words import NO_ROLE

_IMPORTED = "imported"


def write_circuit(
    circuit: Circuit, file: Path, folder: Path, name: str, reference: str, min_count: int
) -> None:
    """Fills `folder`, taking the place of an earlier import there.

    `circuit` was read from `file`; `reference` is what evaluate.reference takes, `min_count` the
    count from which edges are shown. DataError when the folder holds a run, or the circuit a head
    that the reference's model lacks.
    """
    _check_folder(folder)
    known = reference_file(reference, name)
    if known is not None and (shape := model_shape(known)) is not None:
        where = f"{file}: a circuit of another model than --reference {reference} is of"
        check_heads(where, sorted(circuit.heads | {*circuit.roots}), shape)
    rows = graph_edges(circuit)
    with writing_results(folder, Stores(()), keep=False) as con:
        _insert(
            con,
            "imported",
            [
                {
                    "name": name,
                    "file": str(file.resolve()),
                    "format": circuit.format,
                    "left_out": json.dumps(circuit.left_out),
                }
            ],
        )
        _insert(con, "imported_edges", [_told(edge, file) for edge in circuit.edges])  # 1
        _insert(
            con,
            "imported_heads",
            [{"layer": at[0], "head": at[1], "class": c} for at, c in circuit.alone.items()],
        )
        _insert(con, "graph_edges", rows)  # 2
        evaluate(con, known, circuit.roots)  # 3
        given = str(known.resolve()) if known is not None and known.stem != reference else reference
        config = {
            "model": {"name": name},
            "trace": {
                "roots": [list(root) for root in circuit.roots] or "auto",
                "root_dest": _root_dest(circuit),
                "count": circuit.count,
                "min_count": min_count,
            },
            "evaluate": {"reference": given, "edges": "all"},
        }
        _insert(
            con,
            "run",
            [
                {
                    "svt_version": svt.__version__,
                    "config": json.dumps(config),
                    "roots": json.dumps([list(root) for root in circuit.roots]),
                    "warnings": json.dumps(
                        [*(f"left out: {told}" for told in circuit.left_out), *circuit.notes]
                    ),
                    "seconds": "{}",
                    "status": "done",
                }
            ],
        )  # 4


def _check_folder(folder: Path) -> None:
    path = folder / NAME
    if not path.is_file():
        return
    try:
        with reading_results(path) as con:
            if con.execute(f"SELECT 1 FROM {_IMPORTED}").fetchall():
                return
    except SvtError:
        pass
    raise DataError(f"--out={folder} holds the results of a run; give another folder")


def _told(edge: Edge, file: Path) -> dict[str, Any]:
    names = (
        "up_layer", "up_head", "component", "layer", "head", "input", "side", "role", "other_role",
    )  # fmt: skip
    return {
        "place": edge.place.removeprefix(f"{file}, "),
        **{name: getattr(edge, name) for name in names},
        "weight": edge.mean,
    }


def _insert(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        given = pl.DataFrame(rows, infer_schema_length=None)
        with lending(con, given=given.to_arrow()):
            con.execute(f"INSERT INTO results.{table} BY NAME SELECT * FROM given")


def _root_dest(circuit: Circuit) -> str:
    """The role that the roots mostly attend from, so that they are drawn where their edges end."""
    roles = Counter(
        (edge.role if edge.side == "dest" else edge.other_role) or NO_ROLE
        for edge in circuit.edges
        if (edge.layer, edge.head) in circuit.roots
    )
    return roles.most_common(1)[0][0] if roles else "end"
