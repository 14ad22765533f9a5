"""The Python API on the finished run of the bundled model: what `help(svt)` shows works."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import polars as pl
import pytest
from hydra.core.global_hydra import GlobalHydra

import svt as api
from svt.api import Run
from tests.conftest import Finished, load_bundled_models_once

HEAVY = ("torch", "transformers", "altair", "duckdb", "polars", "hydra")


@pytest.fixture
def run(finished: Finished) -> Iterator[Run]:
    with api.open(finished.runs[0]) as run:
        yield run


@pytest.fixture
def beside_the_store(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of the test's own, where the store is there already."""
    shutil.copytree(finished.cwd / "outputs" / "stores", tmp_path / "outputs" / "stores")
    monkeypatch.chdir(tmp_path)
    load_bundled_models_once()
    GlobalHydra.instance().clear()
    return tmp_path


def test_importing_svt_loads_nothing_heavy_and_is_quick() -> None:
    code = (
        "import sys, time; start = time.process_time(); import svt; "
        "print(time.process_time() - start); "
        f"assert not set({HEAVY!r}) & set(sys.modules), set({HEAVY!r}) & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 0.5


def test_the_example_of_the_help_runs(beside_the_store: Path) -> None:
    (example,) = re.findall(r"\n\n((?:    .*\n|\n)+)\n\S", str(api.__doc__))
    names: dict[str, object] = {}
    exec(dedent(example), names)
    run = names["run"]
    assert isinstance(run, Run)
    assert run.path.parent == Path("outputs/runs")
    assert len(list((beside_the_store / "outputs" / "stores").glob("*.duckdb"))) == 1
    assert run.query("shown_edges").height > 0


def test_queries_and_sql_give_frames(run: Run) -> None:
    shown = run.query("shown_edges", min_count=12)
    assert shown["n_prompts"].min() == 12
    counted = run.sql("select count(*) as n from graph_edges where n_prompts >= $least", least=12)
    assert counted["n"].to_list() == [shown.height]


def test_queries_and_tables_are_described(run: Run) -> None:
    queries = run.queries()
    ((parameters, purpose),) = (
        queries.filter(query="upstream_of").select("parameters", "purpose").rows()
    )
    assert parameters.startswith("layer INTEGER, head INTEGER, ")
    assert "side VARCHAR{dest,src}" in parameters
    assert purpose
    tables = run.tables()
    assert tables.columns == ["catalog", "table", "comment"]
    assert {("results", "graph_edges"), ("store", "slices")} <= set(
        tables.select("catalog", "table").rows()
    )
    assert tables["comment"].null_count() == 0


def test_a_chart_displays_itself_and_takes_settings(run: Run) -> None:
    chart = run.chart("slice_contributions", heads=[[5, 4]])
    spec = chart.to_dict()
    assert spec["vconcat" if "vconcat" in spec else "concat"]
    assert "5.4 firing" in str(spec)
    assert spec["config"]["style"]["quiet"]  # the styles that marks name
    assert "text/html" in chart._repr_mimebundle_()  # what notebooks ask of it


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("nothing", {}, "no figure 'nothing'; known: graph, "),
        ("graph", {"colour": "red"}, r"chart\.colour: no such setting; known: figures, edges, "),
        (
            "graph",
            {"heads": [[5]]},
            r"chart\.heads=.*must be a list in brackets, each a pair of integers",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    run: Run, name: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(api.SvtError, match=message):
        run.chart(name, **settings)


def test_a_run_says_what_it_is(run: Run, finished: Finished) -> None:
    shown = run.query("shown_edges").height
    assert repr(run) == f"<run {finished.runs[0]}: ioi-mini, 16 prompts, {shown} edges shown>"


def test_a_store_is_opened_alone(finished: Finished) -> None:
    with api.open(str(finished.stores[0])) as store:
        assert repr(store) == f"<store {finished.stores[0]}: ioi-mini, 16 prompts>"
        assert store.query("summary")["prompts"].to_list() == [16]
        with pytest.raises(api.SvtError, match="is a store alone; figures are drawn of a run's"):
            store.chart("graph")


def test_nothing_that_is_opened_is_changed(run: Run) -> None:
    with pytest.raises(api.SvtError, match="is not read-only"):
        run.sql("delete from graph_edges")


def test_what_is_closed_says_so(finished: Finished) -> None:
    run = api.open(finished.runs[0])
    frame = run.query("summary")
    run.close()
    run.close()
    assert isinstance(frame, pl.DataFrame)
    assert repr(run) == f"<closed: {finished.runs[0]}>"
    with pytest.raises(api.SvtError, match=r"was closed; open it once more with svt\.open"):
        run.query("summary")


def test_a_target_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(api.SvtError, match="nowhere does not exist"):
        api.open(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trace.coverage=2"], r"trace\.coverage=2"),
        (["nothing=1"], "nothing"),
        (["trace.coverage=0.5,0.6"], "trace.coverage"),
        (["stages=[reference]"], "leaves no run to open"),
        (["run.path=nowhere"], "nowhere"),
    ],
)
def test_overrides_that_are_wrong_are_refused_and_leave_nothing(
    beside_the_store: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(api.SvtError, match=message):
        api.run(*overrides)
    assert not list((beside_the_store / "outputs").glob("runs/*"))


@pytest.mark.parametrize(
    ("kind", "overrides"),
    [
        (api.ConfigError, ["trace.coverage=2"]),
        (api.ConfigError, ["trace.nothing=2"]),
        (api.ModelError, ["model=local", "model.path=nowhere"]),
        (api.DataError, ["dataset=file", "dataset.path=nowhere.csv"]),
        (api.StoreError, ["store.path=nowhere.duckdb", "stages=[trace]"]),
    ],
)
def test_each_kind_of_error_can_be_caught(
    beside_the_store: Path, kind: type[api.SvtError], overrides: list[str]
) -> None:
    with pytest.raises(api.SvtError) as refused:
        api.run(*overrides)
    assert type(refused.value) is kind


def test_a_wrong_question_is_a_query_error(run: Run) -> None:
    for wrong in (lambda: run.query("nothing"), lambda: run.sql("select nothing")):
        with pytest.raises(api.QueryError):
            wrong()


def test_a_hydra_application_keeps_its_state(beside_the_store: Path) -> None:
    from hydra import compose, initialize_config_dir

    from svt.paths import conf_dir

    with initialize_config_dir(str(conf_dir() / "trace"), version_base="1.3"):
        api.run("dataset.n_prompts=16", "stages=[trace]", "trace.coverage=0.8").close()
        assert compose("paper").coverage == 0.7
    GlobalHydra.instance().clear()


def test_a_dump_alone_opens_the_store(beside_the_store: Path) -> None:
    start = time.time()
    with api.run("dataset.n_prompts=16", "stages=[dump]") as store:
        assert repr(store).startswith("<store ")
        assert store.path.stat().st_mtime < start
