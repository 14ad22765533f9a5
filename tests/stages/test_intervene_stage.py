"""The intervene stage end to end: what it writes, what it refuses, how it goes on after a kill."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from svt.db.connect import connect
from svt.db.stores import Stores
from svt.paths import conf_dir
from svt.stages import intervene as stage
from svt.store.results import NAME
from svt.store.resumable import Units
from tests.conftest import Svt, svt_in

SMALL = ("dataset.n_prompts=6", "dump.sample=0", "stages=[dump,trace]")
TOP = "intervene.edges='select * from graph_edges order by total desc limit 2'"
FEW = (TOP, "intervene.repeats=2", "intervene.faithfulness=none")
LESS = (TOP, "intervene.sets=null", "intervene.repeats=1", "intervene.faithfulness=none")
TABLES = ("interventions", "intervention_edges", "intervention_effects")


def tables(run: Path) -> dict[str, list[tuple[Any, ...]]]:
    with duckdb.connect(str(run / NAME), read_only=True) as con:
        return {table: con.sql(f"FROM {table} ORDER BY ALL").fetchall() for table in TABLES}


def fetch(run: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows over a run's results and its store."""
    with duckdb.connect(str(run / NAME), read_only=True) as con:
        ((store,),) = con.execute("SELECT store_path FROM run").fetchall()
    with connect(Stores.of(Path(store)), run / NAME) as con:
        return con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six prompts, traced; tests leave it as it is."""
    return svt_in(tmp_path_factory.mktemp("traced"), *SMALL).runs[0]


@pytest.fixture
def traced(small: Path, tmp_path: Path) -> Path:
    """A copy of it for a test to work on."""
    return shutil.copytree(small, tmp_path / "run")


def intervened(small: Path, copy: Path, overrides: Sequence[str]) -> Path:
    """The copy of a run, with interventions."""
    shutil.copytree(small, copy)
    assert svt_in(copy.parent, f"run.path={copy}", "stages=[intervene]", *overrides).code == 0
    return copy


@pytest.fixture(scope="module")
def run(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It with interventions on its two strongest edges and on sets."""
    return intervened(small, tmp_path_factory.mktemp("intervened") / "run", FEW)


@pytest.fixture(scope="module")
def less(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It with interventions on its two strongest edges alone."""
    return intervened(small, tmp_path_factory.mktemp("less") / "run", LESS)


def test_every_edge_has_every_scope_kind_and_control(run: Path) -> None:
    rows = fetch(run, "SELECT scope, kind, control, seed, count(*) FROM interventions GROUP BY ALL")
    assert len(rows) == 3 * 2 * (1 + 2)
    n_changes = rows[0][-1]
    assert {row[-1] for row in rows} == {n_changes}
    assert {(row[2], row[3]) for row in rows} == {("signal", None), ("random", 0), ("random", 1)}
    named = fetch(run, "SELECT count(DISTINCT intervention_id) FROM intervention_edges")
    assert named == [(n_changes * len(rows),)]
    sets = fetch(run, "SELECT count(*) FROM interventions WHERE layer IS NULL")[0][0]
    assert 0 < sets < n_changes * len(rows)


def test_before_is_what_the_store_says(run: Path) -> None:
    worst = fetch(
        run,
        "SELECT max(abs(e.logit_diff - q.logit_diff)), max(abs(e.score - p.score)), "
        "max(abs(e.weight - p.weight)), bool_and(e.prompt_id = p.prompt_id) "
        "FROM intervention_effects AS e JOIN pairs AS p USING (pair_id) "
        "JOIN prompts AS q ON q.prompt_id = e.prompt_id",
    )
    assert max(worst[0][:3]) < 1e-3
    assert worst[0][3]


def test_a_change_spans_the_signal_or_as_many_slices_outside(run: Path) -> None:
    wrong = fetch(
        run,
        "SELECT count(*) FROM intervention_effects AS e JOIN pairs AS p USING (pair_id) "
        "JOIN interventions AS i USING (intervention_id) WHERE e.n_slices <> CASE i.control "
        "WHEN 'signal' THEN p.n_slices ELSE least(p.n_slices, (SELECT d_head FROM dump) - "
        "p.n_slices) END",
    )
    assert wrong == [(0,)]
    counted = fetch(
        run,
        "SELECT count(*) FROM interventions AS i WHERE n_pairs <> (SELECT count(*) FROM "
        "intervention_effects AS e WHERE e.intervention_id = i.intervention_id)",
    )
    assert counted == [(0,)]


def test_taking_a_signal_away_lowers_the_score_it_made(run: Path) -> None:
    rows = fetch(
        run,
        "SELECT i.label, i.kind, avg(e.score_after - e.score) FROM intervention_effects AS e "
        "JOIN interventions AS i USING (intervention_id) WHERE i.scope = 'local_qk' "
        "AND i.control = 'signal' AND i.intervention_id < 2 * 3 * 2 * 3 GROUP BY ALL",
    )
    assert len(rows) == 2 * 2  # the two edges that were named
    assert all(change < 0 if kind == "ablate" else change > 0 for _, kind, change in rows)


def test_members_of_sets_are_measured_alone_too(run: Path) -> None:
    edge = "layer, head, side, dest_role, src_role, up_layer, up_head"
    alone = fetch(
        run, f"SELECT DISTINCT {edge} FROM interventions WHERE layer IS NOT NULL ORDER BY ALL"
    )
    members = fetch(run, f"SELECT DISTINCT {edge} FROM intervention_edges ORDER BY ALL")
    assert alone == members


@pytest.mark.long
def test_strength_0_changes_nothing_to_the_last_bit(
    svt: Svt, traced: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = (f"run.path={traced}", "stages=[intervene]", *LESS)
    assert svt(*again, "intervene.strength=0").code == 0
    assert "causal edges: 0 of " in capsys.readouterr().out
    changed = fetch(
        traced,
        "SELECT count(*), count(*) FILTER (WHERE logit_diff <> logit_diff_after OR score <> "
        "score_after OR weight <> weight_after OR cosine < 1 - 1e-6 OR answer_rank <> "
        "answer_rank_after) FROM intervention_effects",
    )
    assert changed[0][0] > 50
    assert changed[0][1] == 0


class Killed(KeyboardInterrupt):
    pass


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Units of 2 runs; the list says which were computed."""
    monkeypatch.setattr(stage, "UNIT_RUNS", 2)
    added: list[int] = []
    add = Units.add

    def noted(units: Units, unit: int, parts: Any) -> None:
        add(units, unit, parts)
        added.append(unit)

    monkeypatch.setattr(Units, "add", noted)
    return added


def test_a_killed_stage_resumes(
    less: Path, traced: Path, svt: Svt, small_units: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    again = (f"run.path={traced}", "stages=[intervene]", *LESS)
    before = (traced / NAME).read_bytes()
    noted = Units.add

    def killed(units: Units, unit: int, parts: Any) -> None:
        if len(small_units) == 2:
            raise Killed
        noted(units, unit, parts)

    monkeypatch.setattr(Units, "add", killed)
    assert svt(*again).code == 130
    assert (traced / NAME).read_bytes() == before  # what stood there still does
    assert (traced / stage.FINISHED).exists()
    monkeypatch.setattr(Units, "add", noted)
    assert svt(*again).code == 0
    assert len(small_units) == len(set(small_units)) > 3  # nothing was computed twice
    assert not (traced / stage.FINISHED).exists()
    for table, wanted in tables(less).items():
        found = tables(traced)[table]
        assert len(found) == len(wanted)
        if table != "intervention_effects":
            assert found == wanted
    alike = pl.DataFrame(tables(traced)["intervention_effects"], orient="row")
    once = pl.DataFrame(tables(less)["intervention_effects"], orient="row")
    assert ((alike.fill_null(0) - once.fill_null(0)).select(pl.all().abs().max()).row(0)) < (
        (1e-3,) * alike.width
    )


@pytest.mark.long
def test_another_question_does_not_go_on_with_the_old_rows(
    traced: Path, svt: Svt, small_units: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = Units.add

    def killed(units: Units, unit: int, parts: Any) -> None:
        if small_units:
            raise Killed
        noted(units, unit, parts)

    again = (f"run.path={traced}", "stages=[intervene]", *LESS, "intervene.scopes=[global]")
    monkeypatch.setattr(Units, "add", killed)
    assert svt(*again).code == 130
    assert small_units == [0]
    monkeypatch.setattr(Units, "add", noted)
    assert svt(*again, "intervene.homogeneous=false").code == 0
    assert small_units.count(0) == 2


@pytest.mark.long
def test_prompts_are_taken_in_groups_that_fit_the_memory(
    less: Path, traced: Path, svt: Svt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups change no more than rounding."""
    monkeypatch.setattr(stage, "MEMORY", 1)  # every prompt alone
    assert svt(f"run.path={traced}", "stages=[intervene]", *LESS).code == 0
    sql = (
        "SELECT intervention_id, sum(logit_diff_after), count(*) FROM intervention_effects "
        "GROUP BY ALL ORDER BY 1"
    )
    for one, other in zip(fetch(traced, sql), fetch(less, sql), strict=True):
        assert one[0] == other[0] and one[2] == other[2]
        assert abs(one[1] - other[1]) < 1e-2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("intervene.edges=no_such", "intervene.edges=no_such: no such query or file"),
        ("intervene.edges='select 1 as layer'", "it lacks head, side, up_layer, up_head"),
        ("intervene.edges='selec 1'", "no such query or file"),
        ("intervene.edges='select * from graph_edges where false'", "there is no edge to change"),
        (
            "intervene.edges='select 7 as layer, 7 as head, $$dest$$ as side, 0 as up_layer, "
            "0 as up_head'",
            "no traced pair of the downstream head",
        ),
        ("intervene.scopes=[]", "must not be empty"),
        ("intervene.strength=-1", "must lie in [0, 1000]"),
    ],
)
def test_what_cannot_be_changed_is_refused(
    traced: Path, svt: Svt, capfd: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    done = svt(f"run.path={traced}", "stages=[intervene]", "intervene.sets=null", override)
    err = capfd.readouterr().err
    assert done.code == 1
    assert message in err
    assert "Traceback" not in err


def test_changed_prompts_are_not_run_again(
    svt: Svt, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text((conf_dir() / "dataset" / "ioi" / "names.txt").read_text())
    run = svt(*SMALL, "dump.min_weight=0.5", f"dataset.names={names}").runs[0]
    names.write_text("\n".join(reversed(names.read_text().splitlines())) + "\n")
    assert svt(f"run.path={run}", "stages=[intervene]").code == 1
    assert "the model's files or the prompts have changed" in capfd.readouterr().err
