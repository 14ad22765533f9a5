"""Planted writers (tests/planted_writers.py): whom contributions blame, and who has an effect."""

from collections.abc import Iterator
from dataclasses import replace

import duckdb
import numpy as np
import pytest

from svt.compute.edits import EditMode, Edits
from svt.query.named import run
from svt.query.trace import trace
from tests.compute.edited import effects
from tests.compute.runs import loaded
from tests.marks import first
from tests.planted_writers import PlantedWriters, planted_writers
from tests.settings import TRACE
from tests.test_planted import DUMP, store_of

SEEDS = first(1, range(10))
Stores = tuple[PlantedWriters, dict[str, duckdb.DuckDBPyConnection]]


@pytest.fixture(scope="module", params=SEEDS)
def stores(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stores]:
    circuit = planted_writers(tmp_path_factory.mktemp("planted"), request.param)
    scores = ("raw", "contrast")
    yield (
        circuit,
        {
            score: store_of(circuit, replace(DUMP, score=score, effects=True))  # type: ignore[arg-type]
            for score in scores
        },
    )


def kept(stores: Stores, score: str, reader: str, **rule: object) -> set[tuple[str, str]]:
    """(writer, side) of a reader's edges that are shown; noise heads have no name."""
    circuit, cons = stores
    names = {head: name for name, head in circuit.place.items()}
    settings = replace(TRACE, roots=(circuit.place[reader],), root_src="P", **rule)  # type: ignore[arg-type]
    trace(cons[score], settings)
    rows = cons[score].execute(
        "SELECT up_layer, up_head, side::VARCHAR FROM results.graph_edges "
        "WHERE layer = 2 AND head = ? AND n_prompts >= ?",
        [circuit.place[reader][1], TRACE.min_share * len(circuit.prompts)],
    )
    return {(names.get((layer, head), "noise"), side) for layer, head, side in rows.fetchall()}


def written(stores: Stores, score: str, reader: str) -> dict[tuple[str, str], tuple[float, float]]:
    """Mean contribution and effect of every planted writer, by its name and side."""
    circuit, cons = stores
    names = {head: name for name, head in circuit.place.items()}
    rows = cons[score].execute(
        "SELECT u.up_layer, u.up_head, u.side::VARCHAR, avg(u.contribution), "
        "avg(p.weight - u.weight_without) FROM pairs AS p JOIN upstream AS u USING (pair_id) "
        "JOIN roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest AND d.role = 'end' "
        "JOIN roles AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src AND s.role = 'P' "
        "WHERE p.layer = ? AND p.head = ? GROUP BY ALL",
        list(circuit.place[reader]),
    )
    return {
        (names[layer, head], side): (contribution, effect)
        for layer, head, side, contribution, effect in rows.fetchall()
        if (layer, head) in names
    }


def test_the_raw_rule_blames_a_writer_that_raises_every_score(stores: Stores) -> None:
    """`alike` at dest, `same` at every source: each gives as much as a writer of the signal."""
    found = kept(stores, "raw", "even")
    assert {("alike", "dest"), ("same", "src"), ("P", "src")} <= found
    given = written(stores, "raw", "even")
    assert given["alike", "dest"][0] > 0.8 * given["lone", "dest"][0]
    assert given["same", "src"][0] > 0.7 * given["P", "src"][0]


def test_contrast_blames_neither(stores: Stores) -> None:
    assert kept(stores, "contrast", "even") == {("lone", "dest"), ("P", "src")}
    given = written(stores, "contrast", "even")
    signal = given["lone", "dest"][0]
    assert abs(given["alike", "dest"][0]) < 0.05 * signal
    assert abs(given["same", "src"][0]) < 0.05 * signal


@pytest.mark.parametrize("score", ["raw", "contrast"])
def test_without_one_source_of_the_same_attention_moves(stores: Stores, score: str) -> None:
    """Away from the row, `alike` moves nothing; `same` does, away from one source alone."""
    given = written(stores, score, "even")
    assert abs(given["alike", "dest"][1]) < 0.001
    assert given["same", "src"][1] > 0.9
    shown = {("lone", "dest"), ("P", "src"), ("same", "src")}
    assert kept(stores, score, "even", rule="effect") == shown


def test_redundant_writers_have_no_effect(stores: Stores) -> None:
    """E1 and E2 contribute, and coverage keeps both; alone neither matters. Without both the
    weight is gone, as the intervention engine shows.
    """
    given = written(stores, "raw", "doubled")
    assert max(given[name, "dest"][1] for name in ("E1", "E2")) < 0.01
    assert {("E1", "dest"), ("E2", "dest")} <= kept(stores, "raw", "doubled")
    assert kept(stores, "raw", "doubled", rule="effect") == {("P", "src")}
    weight, one, other, both = removed(stores, "doubled", ["E1"], ["E2"], ["E1", "E2"])
    assert min(weight, one, other) > 0.95
    assert both < 0.05


def test_a_suppressor_has_its_effect_in_the_query(stores: Stores) -> None:
    """Without `against` the weight of `torn` rises to 1, and nobody else's removal raises it."""
    circuit, cons = stores
    layer, head = circuit.place["torn"]
    at = {"layer": layer, "head": head, "min_rise": 0.05, "min_firings": 3}
    frame = run(cons["raw"], "suppressors", **at).filter(role="end", side="dest")
    assert frame.select("up_layer", "up_head").rows() == [circuit.place["against"]]
    contribution, effect = written(stores, "raw", "torn")["against", "dest"]
    assert frame["effect"].item() == pytest.approx(effect, abs=1e-3)
    assert contribution < 0
    assert ("against", "dest") not in kept(stores, "raw", "torn", rule="effect")
    assert ("E3", "dest") in kept(stores, "raw", "torn", rule="effect")


def removed(stores: Stores, reader: str, *sets: list[str]) -> list[float]:
    """Mean weight of a reader from end to P: as it is, and without what each set writes at dest."""
    circuit, _ = stores
    model = loaded(circuit.path, "float64")
    layer, head = circuit.place[reader]
    rows = []
    for i, prompt in enumerate(circuit.prompts):
        dest, src = prompt.roles["end"], prompt.roles["P"]
        at = (prompt.prompt_id * model.n_layers + layer) * model.n_heads + head
        pair_id = (at * model.n_ctx + dest) * model.n_ctx + src
        for j, names in enumerate(sets):
            for up in sorted(circuit.place[name] for name in names):
                rows.append((i * len(sets) + j, i, pair_id, layer, head, dest, src, 0, *up))
    edits = Edits(*np.array(rows, np.int64).T)
    every = np.ones((len(edits), model.d_head), bool)
    (found,) = effects(model, circuit.prompts, edits, [EditMode("local_qk", -1.0, every)])
    after = [found["weight_after"][found["run"] % len(sets) == j].mean() for j in range(len(sets))]
    return [float(found["weight"].mean()), *map(float, after)]
