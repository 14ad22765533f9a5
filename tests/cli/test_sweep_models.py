"""A sweep over models: their circuits stand side by side by the roles of their heads."""

import json
from pathlib import Path

from tests.answers import answer
from tests.conftest import Svt


def test_a_sweep_over_models_sets_their_circuits_side_by_side(svt: Svt, tmp_path: Path) -> None:
    few = (
        "dataset.n_prompts=4",
        "dump.sample=0",
        "chart.format=[json]",
        "stages=[dump,trace,evaluate]",
    )
    done = svt("-m", *few, "model=ioi-mini,ioi-mini-1")
    assert done.code == 0
    assert len(done.stores) == 2  # so that there is none beside the sweep
    (at,) = done.sweeps
    roles = answer(at, "sweep_roles", [])
    assert set(roles["job"]) == {0, 1}
    assert roles.filter(head_role="end->IO")["n_heads"].min() > 1  # type: ignore[operator]
    (overlap,) = answer(at, "sweep_overlap", []).to_dicts()
    assert overlap["n_edges_a"] > overlap["n_shared"] > 0
    heads = answer(at, "sweep_heads", [])
    assert heads["similarity"].drop_nulls().len() == overlap["n_matched"]
    spec = json.loads((at / "sweep_roles.json").read_text())
    drawn = {row["name"] for rows in spec["datasets"].values() for row in rows if "name" in row}
    assert drawn == {"ioi-mini", "ioi-mini-1"}
    references = answer(at, "select distinct job, reference from reference_heads order by 1", [])
    assert references.rows() == [(0, "ioi-mini"), (1, "ioi-mini-1")]
