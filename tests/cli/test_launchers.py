"""Hydra's launchers run the jobs of a sweep in other processes; what is left is the same."""

import json
from importlib.util import find_spec

import pytest

from tests.answers import answer
from tests.conftest import Finished, Svt
from tests.marks import first


def launcher(name: str) -> str:
    """The override for a launcher; without its extra the test is skipped."""
    plugin = {"submitit_local": "submitit"}.get(name, name)
    if find_spec(f"hydra_plugins.hydra_{plugin}_launcher") is None:
        pytest.skip(f"needs hydra-{plugin}-launcher, which is not installed")
    return f"hydra/launcher={name}"


@pytest.mark.long
def test_joblib_dumps_shards_and_names_the_one_that_fails(
    svt: Svt, capfd: pytest.CaptureFixture[str]
) -> None:
    shards = ("dataset.n_prompts=8", "dataset.n_shards=2", "dataset.shard=0,1,2")
    at_once = (launcher("joblib"), "hydra.launcher.n_jobs=2")
    done = svt("-m", "stages=[dump]", *shards, *at_once)
    err = capfd.readouterr().err
    assert done.code == 1
    (at,) = done.sweeps
    rows = answer(at, "select job, status, dataset_shard from run order by job", []).rows()
    message = "dataset.shard=2: shards count from 0, so the last of dataset.n_shards=2 is 1"
    assert rows == [(0, "done", 0), (1, "done", 1), (2, message, 2)]
    assert "2 of 3 jobs done" in err
    pattern = "outputs/stores/ioi-mini-ioi-shard-*-of-2-*.duckdb"
    assert f"svt \"store.path='{pattern}'\"\n" in err.split("next: ")[1]
    done = svt(f"store.path='{pattern}'", "stages=[trace]")
    assert done.code == 0
    assert answer(done.runs[0], "select n_prompts from run", []).item() == 8


@pytest.mark.parametrize("name", first(1, ["joblib", "submitit_local", "ray"]))
def test_jobs_in_other_processes_are_collected(svt: Svt, finished: Finished, name: str) -> None:
    store = finished.stores[0].resolve()
    wanted = (f"store.path=['{store}']", "stages=[trace,evaluate]", "chart.format=[json]")
    done = svt("-m", *wanted, "trace.coverage=0.5,0.7", launcher(name))
    assert done.code == 0
    (at,) = done.sweeps
    rows = answer(at, "select job, status, trace_coverage from run order by job", []).rows()
    assert rows == [(0, "done", 0.5), (1, "done", 0.7)]
    edges = dict(answer(at, "select job, count(*) from trace_edges group by job", []).iter_rows())
    assert 0 < edges[0] < edges[1]
    stores = [json.loads(path.read_text())["stores"] for path in at.glob("[01]/job.json")]
    assert stores == [[str(store)]] * 2
    assert (at / "sweep.json").exists()
