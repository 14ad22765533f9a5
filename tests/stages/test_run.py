"""`svt` from end to end: what a run leaves, what it reuses, what it refuses."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from svt.config import from_mapping
from svt.errors import DataError, SvtError
from svt.stages.inputs import Inputs
from svt.system.shell import format_override
from tests.answers import answer
from tests.conftest import SMALL, Finished, Svt, svt_in
from tests.settings import composed

ALL = "dump.components=[head,mlp,embed,pos_embed,bias]"


def test_a_run_leaves_everything(finished: Finished) -> None:
    (run,), (store,) = finished.runs, finished.stores
    left = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert left == {
        "results.duckdb",
        "report.html",
        "charts/contribution_vs_effect.json",
        "charts/firing_rates.json",
        "charts/graph.graphml",
        "charts/graph.json",
        "charts/graph_skeleton.json",
        "charts/precision_recall.json",
        "charts/prompt_families.json",
        "charts/prompt_graph.json",
        "charts/slice_contributions.json",
        "charts/slice_counts.json",
        "charts/slice_usage.json",
        "charts/upstream_heatmap.json",
    }
    assert re.fullmatch(r"ioi-mini-ioi-[0-9a-f]{16}\.duckdb", store.name)
    row = answer(run, "from run", []).to_dicts()[0]
    assert row["status"] == "done"
    assert Path(row["store_path"]) == store.resolve()
    assert answer(run, "from dump", []).to_dicts()[0]["identity"] == row["store_identity"]


def test_the_trace_finds_a_circuit(finished: Finished) -> None:
    reached = answer(finished.runs[0], "trace_summary", [])
    assert reached["deepest"].max() >= 3
    evaluated = answer(finished.runs[0], "precision_recall", ["min_count=4"]).to_dicts()[0]
    assert evaluated["reference"] == "ioi-mini"
    assert evaluated["tp"] > 0


def test_a_second_run_reuses_the_store_without_torch(finished: Finished, tmp_path: Path) -> None:
    stamp = finished.stores[0].stat().st_mtime_ns
    code = (
        "import sys; sys.argv = ['svt', *sys.argv[1:]]\n"
        "from svt.cli.main import main\n"
        "try: main()\n"
        "finally: assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *SMALL, beside(finished), "stages=[dump,trace]"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nothing to dump" in done.stderr
    assert finished.stores[0].stat().st_mtime_ns == stamp


def beside(finished: Finished) -> str:
    """The folder in which the store that is asked for stands already."""
    return f"store.dir={finished.stores[0].parent}"


def test_an_existing_run_is_worked_on(svt: Svt, traced: Path) -> None:
    run, before = traced, _edges(traced)
    again = (f"run.path={run}", "run.overwrite=true")
    assert svt(*again, "stages=[trace,evaluate]", "trace.coverage=0.3").code == 0
    after = _edges(run)
    assert 0 < after < before
    config = json.loads(answer(run, "from run", [])["config"][0])
    assert config["trace"]["coverage"] == 0.3
    assert config["dataset"]["n_prompts"] == 16
    assert svt(f"run.path={run}", "stages=[chart]", "chart.figures=[slice_counts]").code == 0
    drawn = {path.name for path in (run / "charts").iterdir()}
    assert drawn == {"slice_counts.json", "graph.graphml"}
    assert svt(*again, "stages=[trace]", "trace.coverage=0.5").code == 0
    assert not (run / "charts").exists()  # it showed the trace before
    assert list(run.parent.iterdir()) == [run]


def _edges(run: Path) -> int:
    return int(answer(run, "select count(*) as n from trace_edges", [])["n"][0])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trace.firing_weight=0.05"], "lies below dump.min_weight=0.1"),
        (["trace.roots=[[99,0]]"], "there is no head 99.0; the model has layers 0 to 7"),
        (["dump.coordinates=[[20,1]]"], "there is no head 20.1"),
        (["evaluate.reference=wang2023"], "there is no head 9.9"),
        (["dump.components=[mlp]"], "make a new dump with head among dump.components"),
        (["trace.root_src=S1-1", "dataset.pattern=ABBA"], "no such role"),
        (["dataset=text"], "trace.root_dest=end: the prompts have no roles"),
        (["trace.root_dest=nowhere"], "nowhere"),
        (["evaluate.reference=wang2032"], "wang2023"),
        (["evaluate.reference=none.csv"], "none.csv"),
        (["chart.figures=[grahp]"], "known: graph"),
        (["model=local", "model.path=no/such"], "no such folder"),
        (["model=local"], "model.path has no value yet"),
        (["dataset=file"], "dataset.path=FILE"),
        (["run.path=no/such", "stages=[chart]"], "no results.duckdb there"),
        (["stages=[trace]"], "add dump to the stages"),
        (["stages=[chart]"], "add trace to the stages"),
        (["trace.coverage=high"], "trace.coverage=high: must be a number"),
        (["trace.coverage=${dataset.n_prompts}"], "trace.coverage=16: must lie in [0, 1]"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_one_message(
    svt: Svt, capfd: pytest.CaptureFixture[str], overrides: list[str], message: str
) -> None:
    small = [o for o in SMALL if not o.startswith("dataset") or "dataset=file" not in overrides]
    done = svt(*small, *overrides)
    err = capfd.readouterr().err
    assert done.code == 1
    assert message in err
    assert "Traceback" not in err
    assert done.runs == []
    assert done.stores == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "trace.coverrage=0.5",
            "unknown key trace.coverrage; known here: firing_weight, rule, min_effect, coverage,",
        ),
        ("trace.coverrage=0.5", "; did you mean coverage?\n"),
        ("modle=smollm2", "; did you mean model?\n"),
        ("+dataset.patern=ABBA", "; did you mean pattern?\n"),
        ("model=smolm2", "; did you mean smollm2?\n"),
        ("evaluate.reference=wang203", "; did you mean wang2023?\n"),
        ("chart.figures=[grahp]", "; did you mean graph?\n"),
        ("dataset.split=x", "unknown key dataset.split; known here: name, n_prompts, bos, seed,"),
        ("model=gpt3", "gpt3"),
        ("trace.roots=[[9,6]", "trace.roots"),
        ("hydra.run.dir=/dev/null", "/dev/null"),
        ("+extra=1", "unknown key extra"),
        ("~trace.coverage", "trace.coverage is missing"),
        ("dump.seed=${no}", "svt: dump.seed: Interpolation key 'no' not found"),
    ],
)
def test_what_hydra_cannot_compose_is_one_line(
    svt: Svt, capfd: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    done = svt(override)
    err = capfd.readouterr().err
    assert done.code == 1
    assert message in err
    assert err.count("\n") == 1
    assert "HYDRA_FULL_ERROR" not in err
    assert done.runs == []


def test_overrides_that_run_path_cannot_keep_are_refused(
    svt: Svt, traced: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = traced
    assert svt(f"run.path={run}", "dump.min_weight=0.3").code == 1
    assert "start a new run" in capfd.readouterr().err
    assert svt(f"run.path={run}", "stages=[chart]", "trace.coverage=0.3").code == 1
    assert "add trace to the stages" in capfd.readouterr().err
    assert svt(f"run.path={run}", "stages=[chart]", "chart.heads=[[99,0]]").code == 1
    assert "chart.heads: there is no head 99.0; the model has" in capfd.readouterr().err
    assert svt(f"run.path={run}", "stages=[trace]", "~trace.coverage").code == 1
    assert "Traceback" not in capfd.readouterr().err
    assert svt("-m", f"run.path={run}", "stages=[chart]", "chart.format=[json],[svg]").code == 1
    assert "alone, not in a sweep" in capfd.readouterr().err


def test_a_folder_may_be_called_like_an_interpolation(traced: Path) -> None:
    cwd = traced.parent / "${here}"
    cwd.mkdir()
    run = traced.rename(cwd / "a ${run}")
    (word,) = shlex.split(format_override("run.path", run.relative_to(cwd)))
    assert svt_in(cwd, word, "stages=[evaluate]").code == 0
    assert answer(run, "from evaluation", []).height > 0


def test_a_prompt_file_that_is_gone_is_named() -> None:
    config = from_mapping(composed("dataset=file", "dataset.path=none.jsonl"))
    with pytest.raises(DataError, match=r"cannot read none\.jsonl: No such file in /.*run svt th"):
        _ = Inputs(config).identity


def test_a_silent_root_is_a_warning_and_only_silent_an_error(
    svt: Svt, finished: Finished, capfd: pytest.CaptureFixture[str]
) -> None:
    small = (*SMALL, beside(finished), "stages=[dump,trace]")
    done = finished
    (layer, head), *_ = json.loads(answer(done.runs[0], "from run", [])["roots"][0])
    firing = answer(
        done.runs[0],
        "select distinct layer, head from pairs join roles on "
        "roles.prompt_id = pairs.prompt_id and roles.pos = pairs.dest "
        "where eligible and weight >= 0.5 and role = 'end'",
        [],
    ).rows()
    silent = next((0, h) for h in range(8) if (0, h) not in firing)
    both = f"trace.roots=[[{layer},{head}],[{silent[0]},{silent[1]}]]"
    capfd.readouterr()
    assert svt(*small, both).code == 0
    assert f"warning: root {silent[0]}.{silent[1]} never fires" in capfd.readouterr().err
    assert svt(*small, f"trace.roots=[[{silent[0]},{silent[1]}]]").code == 1
    assert "no root fires" in capfd.readouterr().err


def test_all_components_close(svt: Svt) -> None:
    done = svt("dataset.n_prompts=1", "stages=[dump]", ALL)
    with duckdb.connect(str(done.stores[0]), read_only=True) as con:
        worst, largest = con.execute(
            "SELECT (SELECT worst_closure FROM dump), max(abs(total)) FROM sides"
        ).fetchall()[0]
    assert 0 < worst < 1e-4 * max(1, largest)


def test_min_weight_zero_stores_every_causal_pair(svt: Svt) -> None:
    done = svt("dataset.n_prompts=1", "stages=[dump]", "dump.min_weight=0")
    with duckdb.connect(str(done.stores[0]), read_only=True) as con:
        stored, wanted = con.execute(
            "SELECT (SELECT count(*) FROM pairs), "
            "(SELECT sum(n_tokens * (n_tokens + 1) / 2) * any_value(n_layers * n_heads) "
            "FROM prompts, dump)"
        ).fetchall()[0]
    assert stored == wanted


def test_a_dump_alone_leaves_no_run_and_no_answer_is_null(svt: Svt) -> None:
    done = svt("dataset=text", "dataset.n_prompts=4", "stages=[dump]")
    assert (done.code, done.runs) == (0, [])
    with duckdb.connect(str(done.stores[0]), read_only=True) as con:
        unknown = "logit_diff IS NULL AND correct IS NULL AND answer IS NULL"
        rows = con.execute(f"SELECT count(*) FROM prompts WHERE {unknown}").fetchall()
    assert rows == [(4,)]


def test_a_contrasted_store_is_another_and_is_traced(svt: Svt, finished: Finished) -> None:
    """Its checks have passed; the same pairs fire, through signals of fewer slices."""
    done = svt(*SMALL, "dump.score=contrast", "stages=[dump,trace]")
    assert done.code == 0
    assert done.stores[0].name != finished.stores[0].name
    fires = "select count(*) n, sum(n_slices) size from pairs where eligible and weight >= 0.5"
    raw, contrast = (answer(at.runs[0], fires, []).to_dicts()[0] for at in (finished, done))
    assert raw["n"] == contrast["n"] > 0
    assert contrast["size"] < raw["size"]
    assert answer(done.runs[0], "trace_summary", [])["deepest"].max() >= 2


def test_graphs_of_signal_and_of_all_slices_differ(all_slices: Finished) -> None:
    (run,) = all_slices.runs
    rows: pl.DataFrame = answer(run, "baseline_without_svd", [])
    assert rows["slices"].to_list() == ["signal", "all"]
    assert rows["n_edges"].n_unique() == 2
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "With and without singular vectors" in page
    assert "The trace without singular vectors is not shown" not in page


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["trace.slices=all"],
            "trace.slices=all needs contributions through all slices, which "
            "dump.all_slices=false does not store",
        ),
        (
            ["chart.figures=[graph,graph_all_slices]"],
            "chart.figures: graph_all_slices needs contributions through all slices, which "
            "dump.all_slices=false does not store",
        ),
        (
            ["trace.rule=effect", "dump.effects=false"],
            "trace.rule=effect needs the attention weight without each upstream component, which "
            "dump.effects=false does not store; make a new run with dump.effects=true",
        ),
        (
            ["chart.edges=effect", "dump.effects=false"],
            "chart.edges=effect needs the attention weight without each upstream component, which "
            "dump.effects=false does not store; make a new run with dump.effects=true",
        ),
    ],
)
def test_what_the_dump_will_not_store_is_refused_before_work(
    svt: Svt, capfd: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    done = svt(*SMALL, *more)
    assert (done.code, done.stores) == (1, [])
    assert message in capfd.readouterr().err


def test_a_store_without_all_slices_has_no_such_trace(
    svt: Svt, finished: Finished, traced: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert svt(f"run.path={traced}", "stages=[trace]", "trace.slices=all").code == 1
    assert "dump.all_slices=true" in capfd.readouterr().err
    message = "query {} needs contributions through all slices, which dump.all_slices=false"
    for query, *params in (
        ("baseline_without_svd",),
        ("graph_links_all_slices",),
        ("significant", "slices=all"),
        ("offset_size", "slices=all"),
        ("edges_by_mode", "slices=all"),
    ):
        with pytest.raises(SvtError, match=message.format(query)):
            answer(finished.runs[0], query, params)
    heads = answer(finished.runs[0], "upstream_heatmap", ["layer=6", "head=2"])
    assert heads.height > 0 and heads["contribution_all"].is_null().all()


class OutOfMemoryError(RuntimeError):
    """As torch's, which is a RuntimeError too."""


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has 0 free"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        MemoryError(),
    ],
)
def test_memory_that_runs_out_is_one_line(
    svt: Svt, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: Exception
) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr("svt.cli.main.run_stages", full)
    assert svt(*SMALL).code == 1
    err = capfd.readouterr().err
    assert "svt: out of memory (" in err
    assert "lower dump.batch_size or dump.memory_gb" in err
    assert err.count("\n") == 1
