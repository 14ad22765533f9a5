"""A planted circuit (tests/planted.py) must come out whole and alone: dump, store, SQL trace."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from svt.compute.decompose import decompose_model
from svt.compute.tables import writer_columns
from svt.compute.writers import list_writers
from svt.config import DumpConfig
from svt.dataset.rows import make_prompt_rows
from svt.query.trace import trace
from svt.store.checks import run_checks
from svt.store.writer import StoreWriter
from svt.words import COMPONENTS
from tests.compute.runs import loaded, parts
from tests.marks import first
from tests.planted import Edge, Planted, planted
from tests.settings import DUMP as SHIPPED
from tests.settings import TRACE
from tests.store_rows import connection

DUMP = replace(SHIPPED, sample=0.0, min_weight=0.5, batch_size=8, effects=False)
ALL_SLICES = replace(DUMP, all_slices=True)


def store_of(circuit: Planted, dump: DumpConfig = DUMP) -> duckdb.DuckDBPyConnection:
    """The dump of a planted circuit's prompts, in a store in memory."""
    model = loaded(circuit.path)
    shape = ("n_layers", "n_heads", "d_model", "d_head", "n_ctx")
    row = {name: getattr(model, name) for name in shape}
    con = connection({"dump": [row | {"config": json.dumps({"dump": asdict(dump)})}]})
    store = StoreWriter(con)
    rows = make_prompt_rows(circuit.prompts)
    svd = decompose_model(model)
    for batch in parts(model, svd, circuit.prompts, dump):
        batch.pop("prompts", None)
        store.append_all(batch)
    chosen = writer_columns(list_writers(model, dump.components))
    store.append_all(rows | {"singular_values": svd.singular_values(), "writers": chosen})
    return con


def traced(con: duckdb.DuckDBPyConnection, circuit: Planted, slices: str) -> set[Edge]:
    """The edges of the shown graph."""
    trace(con, replace(TRACE, roots=(circuit.root,), slices=slices))  # type: ignore[arg-type]
    shown = np.ceil(TRACE.min_share * len(circuit.prompts))
    rows = con.execute(
        "SELECT DISTINCT up_layer, up_head, layer, head, CAST(side AS VARCHAR) "
        "FROM results.graph_edges WHERE n_prompts >= ?",
        [int(shown)],
    )
    return set(rows.fetchall())


def precision_recall(found: set[Edge], wanted: frozenset[Edge]) -> tuple[float, float]:
    hits = len(found & wanted)
    return hits / len(found), hits / len(wanted)


@pytest.mark.parametrize("seed", first(1, range(20)))
def test_the_planted_circuit_comes_out_whole_and_alone(tmp_path: Path, seed: int) -> None:
    circuit = planted(tmp_path, seed)
    con = store_of(circuit, ALL_SLICES)
    found = traced(con, circuit, "signal")
    assert precision_recall(found, circuit.edges) == (1, 1)
    assert {edge[:2] for edge in found} | {edge[2:4] for edge in found} == circuit.heads
    rare = con.execute("SELECT count(*) FROM results.graph_edges WHERE n_prompts < 12")
    assert rare.fetchone() == (0,)  # the same edges into the same roles in every prompt
    precision, _ = precision_recall(traced(con, circuit, "all"), circuit.edges)
    assert precision <= 0.5  # without singular vectors, noise heads drown it


def test_without_noise_the_baseline_finds_it_too(tmp_path: Path) -> None:
    """So it is the noise, and nothing else, that makes it fail above."""
    circuit = planted(tmp_path, seed=0, noise=0.0)
    con = store_of(circuit, ALL_SLICES)
    for slices in ("signal", "all"):
        assert traced(con, circuit, slices) == circuit.edges


@pytest.mark.parametrize("seed", first(1, range(3)))
def test_signal_sets_are_the_planted_slices(tmp_path: Path, seed: int) -> None:
    circuit = planted(tmp_path, seed)
    model = loaded(circuit.path)
    svd = decompose_model(model)
    (tables,) = parts(model, svd, circuit.prompts, replace(DUMP, batch_size=100))
    pairs, slices = tables["pairs"], tables["pair_slices"]
    n_seen = 0
    for i in range(len(pairs["pair_id"])):
        head = int(pairs["layer"][i]), int(pairs["head"][i])
        if head not in circuit.signals or not pairs["eligible"][i]:
            continue
        n_seen += 1
        (k,) = slices["signal"][i].as_py()
        u, v = circuit.signals[head]
        assert abs(svd.u[head][:-1, k].numpy() @ u) > 0.999
        assert abs(svd.v[head][:-1, k].numpy() @ v) > 0.999
    assert n_seen >= len(circuit.signals) * len(circuit.prompts)


def test_the_dump_of_a_planted_circuit_is_sound(tmp_path: Path) -> None:
    circuit = planted(tmp_path, seed=1)
    dump = replace(DUMP, min_weight=0.2, sample=0.1, components=COMPONENTS, effects=True)
    con = store_of(circuit, dump)
    run_checks(con)
    assert con.execute("SELECT max(abs(closure)) < 1e-4 FROM store.sides").fetchone() == (True,)
