"""What a stage must not leave beside its results: what others said of something else."""

import re
from pathlib import Path

import duckdb
import polars as pl
import pytest

from svt.config import from_mapping
from svt.stages import intervene as stage
from svt.stages import run as pipeline
from svt.store.results import NAME, load_config
from svt.store.resumable import Units
from svt.system.shell import find_command
from tests.conftest import Svt

FEW = (
    "intervene.edges='select * from graph_edges order by total desc limit 1'",
    "intervene.sets=null",
    "intervene.repeats=1",
    "intervene.faithfulness=none",
    "intervene.kinds=[ablate]",
)


def count(run: Path, table: str) -> int:
    with duckdb.connect(str(run / NAME), read_only=True) as con:
        ((n,),) = con.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(n)


def test_a_new_evaluation_removes_its_interventions(svt: Svt, traced: Path) -> None:
    again = (f"run.path={traced}", *FEW, "intervene.scopes=[global,global]")
    assert svt(*again, "stages=[intervene,evaluate]", "evaluate.edges=validated").code == 0
    assert count(traced, "evaluation") > 0
    assert count(traced, "interventions") == 2  # a scope given twice is one
    assert svt(*again, "stages=[intervene]", "intervene.seed=1").code == 0
    assert count(traced, "evaluation") == 0


@pytest.mark.long
def test_an_evaluation_over_all_edges_stays(svt: Svt, traced: Path) -> None:
    before = count(traced, "evaluation")
    one = (*FEW, "intervene.scopes=[local_qk]")
    assert svt(f"run.path={traced}", *one, "stages=[intervene]").code == 0
    assert count(traced, "evaluation") == before > 0


def test_no_older_picture_outlives_a_stopped_stage(
    svt: Svt, traced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run_interventions", stopped)
    (traced / "charts").mkdir(exist_ok=True)
    again = (f"run.path={traced}", "run.overwrite=true")
    assert svt(*again, "stages=[trace,intervene]", "trace.coverage=0.3").code == 130
    assert load_config(traced)["trace"]["coverage"] == 0.3
    assert not (traced / "charts").exists()


def test_stopped_interventions_say_how_to_go_on(
    svt: Svt, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    add = Units.add

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Units, "add", stopped)
    small = ("dataset.n_prompts=2", "dump.sample=0", "intervene.scopes=[local_qk]")
    run = svt(*small, *FEW, "stages=[dump,trace,intervene,evaluate]")
    assert run.code == 130
    monkeypatch.chdir(run.cwd)  # from where the script is named
    message = f'{find_command("svt")} run.path={run.runs[0]} "stages=[intervene,evaluate]"'
    assert f"go on: {message}" in capfd.readouterr().err
    again = [word.strip('"') for word in message.split()[1:]]
    assert svt(*again).code == 130
    message = capfd.readouterr().err
    assert re.search(r"interventions: 0 of [1-9]\d* parts are kept\n", message)
    assert "the same command goes on" in message
    monkeypatch.setattr(Units, "add", add)
    assert svt(*again).code == 0
    assert count(run.runs[0], "interventions") == 2


def test_a_new_trace_cannot_be_validated_without_interventions(
    svt: Svt, traced: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (traced / NAME).read_bytes()
    again = (f"run.path={traced}", "stages=[trace,evaluate]", "evaluate.edges=validated")
    assert svt(*again).code == 1
    assert "a new trace has no interventions" in capfd.readouterr().err
    assert (traced / NAME).read_bytes() == before


@pytest.mark.parametrize("name", ["UNIT_RUNS", "MEMORY", "VERSION"])
def test_units_of_another_size_are_not_resumed(
    traced: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    settings = from_mapping(load_config(traced)).intervene
    plan = stage.Plan((), (), pl.DataFrame({"pair_id": [1]}))
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS store; CREATE TABLE store.dump AS SELECT 'x' AS identity")
        before = stage._hash_request(con, settings, plan)
        assert stage._hash_request(con, settings, plan) == before
        monkeypatch.setattr(stage, name, 7)
        assert stage._hash_request(con, settings, plan) != before


def test_a_new_trace_says_that_interventions_go(
    svt: Svt, traced: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    again = (f"run.path={traced}", "run.overwrite=true", "stages=[trace]")
    assert svt(*again).code == 0
    assert "interventions" not in capfd.readouterr().err
    one = (*FEW, "intervene.scopes=[local_qk]")
    for n_before in range(2):
        assert svt(f"run.path={traced}", *one, "stages=[intervene]").code == 0
        err = capfd.readouterr().err
        assert "changed runs in" in err
        assert ("the new interventions replace those" in err) == bool(n_before)
    assert svt(*again).code == 0
    assert "a new trace replaces" in capfd.readouterr().err
    assert count(traced, "interventions") == 0
