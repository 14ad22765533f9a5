"""Write a circuit into a folder like that of a run: results.duckdb without a store.

1. `imported`, `imported_edges` and `imported_heads` hold the contents of the file.
2. `graph_edges` holds the edges, merged by heads, side and role.
3. `reference_heads` and `evaluation` compare the circuit with a reference, as they do a trace.
4. The row `run` has the roots and no store. Its configuration has only the keys that the circuit
   determines; later stages add the defaults.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from svt.db.catalog import insert_rows
from svt.db.stores import Stores
from svt.errors import DataError, SvtError
from svt.importing.circuit import Circuit, Edge, merge_edges
from svt.query.evaluate import evaluate, find_named, read_model_shape
from svt.query.refusals import check_heads
from svt.store.results import NAME, create_results, open_results
from svt.version import VERSION
from svt.words import NO_ROLE


def write_circuit(
    circuit: Circuit, file: Path, folder: Path, name: str, reference: str, min_count: int
) -> None:
    """Write the circuit, read from `file`, into `folder`, replacing an earlier import there.

    `reference` is a value of evaluate.reference, `min_count` the smallest count of shown edges.
    DataError when the folder holds a run, or the circuit a head that the reference's model lacks.
    """
    _check_folder(folder)
    known = find_named(reference, name)
    if known is not None and (shape := read_model_shape(known)) is not None:
        where = f"{file}: a circuit of another model than --reference {reference} is of"
        check_heads(where, sorted(circuit.heads | {*circuit.roots}), shape)
    rows = merge_edges(circuit)
    with create_results(folder, Stores(()), keep=False) as con:
        imported = {
            "name": name,
            "file": str(file.resolve()),
            "format": circuit.format,
            "left_out": json.dumps(circuit.left_out),
        }
        _insert(con, "imported", [imported])
        _insert(con, "imported_edges", [_imported_row(edge, file) for edge in circuit.edges])  # 1
        lone_heads = [
            {"layer": at[0], "head": at[1], "class": c} for at, c in circuit.alone.items()
        ]
        _insert(con, "imported_heads", lone_heads)
        _insert(con, "graph_edges", rows)  # 2
        evaluate(con, known, circuit.roots)  # 3
        resolved = (
            str(known.resolve()) if known is not None and known.stem != reference else reference
        )
        roots = [list(root) for root in circuit.roots]
        config = {
            "model": {"name": name},
            "trace": {
                "roots": roots or "auto",
                "root_dest": _root_dest(circuit),
                "count": circuit.count,
                "min_count": min_count,
            },
            "evaluate": {"reference": resolved, "edges": "all"},
        }
        warnings = [*(f"left out: {text}" for text in circuit.left_out), *circuit.notes]
        run = {
            "svt_version": VERSION,
            "config": json.dumps(config),
            "roots": json.dumps(roots),
            "warnings": json.dumps(warnings),
            "seconds": "{}",
            "status": "done",
        }
        _insert(con, "run", [run])  # 4


def _check_folder(folder: Path) -> None:
    path = folder / NAME
    if not path.is_file():
        return
    with suppress(SvtError), open_results(path) as con:
        if con.execute("SELECT 1 FROM imported").fetchall():
            return
    raise DataError(f"--out={folder} holds the results of a run; choose another folder")


def _imported_row(edge: Edge, file: Path) -> dict[str, Any]:
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
        insert_rows(con, f"results.{table}", pl.DataFrame(rows, infer_schema_length=None))


def _root_dest(circuit: Circuit) -> str:
    """Return the role of the token that the roots mostly attend from."""
    roles = Counter(
        (edge.role if edge.side == "dest" else edge.other_role) or NO_ROLE
        for edge in circuit.edges
        if (edge.layer, edge.head) in circuit.roots
    )
    return roles.most_common(1)[0][0] if roles else "end"
