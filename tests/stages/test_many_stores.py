"""Four shards equal one store: all that is traced, queried and drawn, and what is refused."""

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from svt.db.catalog import list_tables
from svt.db.connect import connect
from svt.db.stores import Stores
from svt.db.target import open_target
from svt.query.named import list_queries, run
from tests.conftest import SMALL, Finished, Svt, svt_in
from tests.cut_store import cut

GIVEN = {"layer": 5, "head": 4, "side": "dest"}  # to queries that ask for a head
# What else is in a batch changes the last bits. All slices, so that every query has rows.
ALONE = ("dump.batch_size=1", "dump.all_slices=true")
WORK = ("stages=[trace,evaluate,chart]", "chart.format=[json]")
WORK = (*WORK, "chart.figures=[graph,upstream_heatmap]")
QUICK = "chart.figures=[slice_counts]"


@pytest.fixture(scope="module")
def parts(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The finished run's store, cut into four."""
    return cut(finished.stores[0], tmp_path_factory.mktemp("parts") / "cut", 4)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The finished run's prompts, dumped in two shards."""
    return in_shards(tmp_path_factory.mktemp("shards"), "0,1")


def in_shards(cwd: Path, numbers: str, *more: str) -> Finished:
    n = len(numbers.split(","))
    shards = ("stages=[dump]", f"dataset.n_shards={n}", f"dataset.shard={numbers}")
    done = svt_in(cwd, "-m", *SMALL, *shards, *more)
    assert done.code == 0
    return done


@pytest.mark.long
def test_shards_of_prompts_run_alone_are_the_whole_bit_by_bit(svt: Svt, tmp_path: Path) -> None:
    (tmp_path / "cut").mkdir()
    shards = in_shards(tmp_path / "cut", "0,1,2,3", *ALONE)
    whole = svt(*SMALL, *ALONE, "stages=[dump,trace]")
    pattern = f"store.path='{shards.cwd}/outputs/stores/*-of-4-*.duckdb'"
    assert svt(pattern, "stages=[trace]").code == 0
    one, other = whole.runs
    assert_same_answers(one, other)


def assert_same_answers(one: Path, other: Path) -> None:
    """Every table of results and every query has the same rows, to the last bit, in their order."""
    with open_target(one) as a, open_target(other) as b:
        for table in sorted(list_tables(a, "results") - {"run"}):
            assert a.sql(f"FROM results.{table}").pl().equals(b.sql(f"FROM results.{table}").pl())
        ((pair_id,),) = a.execute("SELECT min(pair_id) FROM pairs WHERE eligible").fetchall()
        ((n_all,),) = a.execute("SELECT count(dest_offset_all) FROM pairs").fetchall()
        n_queries = 0
        for query in list_queries():
            needed = [param.name for param in query.params if param.default is None]
            given = {name: {**GIVEN, "pair_id": pair_id}[name] for name in needed}
            if "other_" in query.text or query.name.startswith("sweep"):
                continue
            if "dump.all_slices" in query.needs and not n_all:
                continue
            assert run(a, query.name, **given).equals(run(b, query.name, **given)), query.name
            n_queries += 1
        assert n_queries > 30


@pytest.mark.long
def test_a_store_cut_in_four_gives_the_same_run(
    svt: Svt, finished: Finished, parts: list[Path]
) -> None:
    done = svt(f"store.path='{parts[0].parent}/part-*.duckdb'", *WORK)
    assert done.code == 0
    assert_same_answers(finished.runs[0], done.runs[0])
    charts = sorted((done.runs[0] / "charts").iterdir())
    assert len(charts) == 3  # one of them GraphML
    for chart in charts:
        assert chart.read_bytes() == (finished.runs[0] / "charts" / chart.name).read_bytes()


def test_the_run_names_its_stores(svt: Svt, parts: list[Path]) -> None:
    done = svt(f"store.path=[{','.join(map(str, parts[::-1]))}]", "stages=[trace]")
    (run_folder,) = done.runs
    with open_target(run_folder) as con:
        ((paths, identity, n_prompts, held),) = con.execute(
            "SELECT store_path, store_identity, n_prompts, identity FROM run, dump"
        ).fetchall()
    assert json.loads(paths) == [str(path) for path in parts[::-1]]
    assert identity == held
    assert n_prompts == 16
    assert svt(f"run.path={run_folder}", "stages=[trace]", "trace.coverage=0.4").code == 0
    parts_elsewhere = parts[0].rename(parts[0].with_suffix(".away"))
    try:
        assert svt(f"run.path={run_folder}", "stages=[trace]").code == 1
    finally:
        parts_elsewhere.rename(parts[0])


def test_shards_hold_what_the_whole_holds(finished: Finished, shards: Finished) -> None:
    """No pair_id, sampled pair or role hangs on the shard; numbers agree as far as batches let."""
    assert [path.name[:26] for path in shards.stores] == [
        f"ioi-mini-ioi-shard-{i}-of-2-" for i in range(2)
    ]
    with (
        connect(Stores.of(finished.stores[0])) as whole,
        connect(Stores.of(shards.stores)) as union,
    ):
        for select in (
            "pair_id, prompt_id, layer, head, dest, src, eligible, sampled FROM pairs",
            "* FROM roles",
            "* FROM tokens",
            "* EXCLUDE (logit_diff) FROM prompts",
            "* FROM singular_values",
            "pair_id, side, component, up_layer, up_head FROM upstream",
        ):
            one, other = (c.sql(f"SELECT {select} ORDER BY ALL").pl() for c in (whole, union))
            assert one.height > 0
            assert one.equals(other), select
        for table, key, column in (
            ("upstream", "pair_id, side, component, up_layer, up_head", "contribution"),
            ("slices", "pair_id, k", "contribution"),
            ("pairs", "pair_id", "weight"),
        ):
            a, b = (
                c.sql(f"SELECT {column}::DOUBLE AS x FROM {table} ORDER BY {key}").pl()["x"]
                for c in (whole, union)
            )
            assert (a - b).abs().max() <= 1e-4 * (1 + a.abs().max())


@pytest.mark.long
def test_a_run_over_shards_runs_the_model_again(svt: Svt, shards: Finished) -> None:
    pattern = f"store.path='{shards.cwd}/outputs/stores/*-of-2-*.duckdb'"
    done = svt(pattern, "stages=[trace]")
    assert done.code == 0
    (run_folder,) = done.runs
    few = "intervene.edges='select * from graph_edges order by total desc limit 2'"
    more = ("intervene.sets=null", "intervene.repeats=0", "intervene.scopes=[global]")
    more = (*more, "intervene.kinds=[ablate]", "intervene.faithfulness=none")
    again = (f"run.path={run_folder}", "stages=[intervene]", few, *more)
    assert svt(*again, "model.device=cpu").code == 0
    with open_target(run_folder) as con:
        prompts = con.execute("SELECT count(DISTINCT prompt_id) FROM intervention_effects")
        assert prompts.fetchall()[0][0] > 8


def test_a_shard_that_is_missing_is_a_warning(
    svt: Svt, parts: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    some = [parts[0], parts[1], parts[3]]
    done = svt(f"store.path=[{','.join(map(str, some))}]", "stages=[trace,report]", QUICK)
    assert done.code == 0
    message = "3 of 4 shards are here, dataset.shard=2 is not"
    assert message in capfd.readouterr().err
    assert message in (done.runs[0] / "report.html").read_text()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dump.min_weight=0.2", "dump.min_weight=0.2: store.path names stores with dump.min_weig"),
        ("model=gpt2-small", "store.path names stores with model.name=ioi-mini"),
        ("dataset.seed=3", "dataset.seed=3: store.path names stores with dataset.seed=0"),
        ("experiment=paper", "store.path names stores with model.name=ioi-mini"),
        ("trace.coverage=2", "must lie in [0, 1]"),
    ],
)
def test_what_the_stores_have_decided_is_not_overridden(
    svt: Svt, parts: list[Path], capfd: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    done = svt(f"store.path='{parts[0].parent}/*.duckdb'", override)
    assert done.code == 1
    assert message in capfd.readouterr().err
    assert done.runs == []


def test_what_the_stores_have_decided_may_be_repeated(svt: Svt, parts: list[Path]) -> None:
    pattern = f"store.path='{parts[0].parent}/*.duckdb'"
    same = ("model=ioi-mini", "dataset=ioi", "dump.min_weight=0.1", "dataset.n_prompts=16")
    assert svt("--dry-run", pattern, *same, "stages=[trace]").code == 0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("'nothing*.duckdb'", "nothing*.duckdb: no store matches this pattern"),
        ("[]", "store.path=[]: must not be empty"),
        ("[3]", "store.path=[3]: must be a text"),
        ("[no/such.duckdb]", "no/such.duckdb: no such store file"),
    ],
)
def test_stores_that_are_not_there_are_one_message(
    svt: Svt, capfd: pytest.CaptureFixture[str], path: str, message: str
) -> None:
    done = svt(f"store.path={path}")
    err = capfd.readouterr().err
    assert done.code == 1
    assert message in err
    assert "Traceback" not in err
    assert done.runs == []


def test_the_device_of_a_run_may_be_another(
    svt: Svt, traced: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    again = (f"run.path={traced}", "model.device=nowhere")
    assert svt(*again, "stages=[intervene]").code == 1
    assert "nowhere cannot be used" in capfd.readouterr().err
    assert svt(*again, "stages=[trace]").code == 1
    assert "model.device: changes nothing unless you add intervene" in capfd.readouterr().err


def test_results_of_an_earlier_svt_say_what_they_lack(
    svt: Svt, traced: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with duckdb.connect(str(traced / "results.duckdb")) as con:
        con.execute("ALTER TABLE evaluation DROP COLUMN recall_reachable")
        con.execute("DROP TABLE faithfulness")
    assert svt(f"run.path={traced}", "stages=[chart]").code == 1
    message = "it has no evaluation.recall_reachable, faithfulness; add trace to the stages"
    assert message in capfd.readouterr().err
    shutil.rmtree(traced / "charts")
    assert svt(f"run.path={traced}", "run.overwrite=true", "stages=[trace,chart]", QUICK).code == 0
