"""`svt-sql`: what it prints, and the one line it says when it cannot."""

import json
import shutil
from pathlib import Path
from typing import AnyStr

import duckdb
import polars as pl
import pytest

from svt.cli.sql import main
from tests.conftest import Finished


def ran(capsys: pytest.CaptureFixture[AnyStr], *args: str) -> tuple[AnyStr, AnyStr, int]:
    try:
        main(list(args))
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return captured.out, captured.err, code


def test_a_named_query_as_a_table(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    out, _, code = ran(capsys, str(finished.runs[0]), "summary")
    assert code == 0
    assert "ioi-mini" in out
    assert "1 rows" in out


def test_the_formats_agree(finished: Finished, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    query = "select prompt_id, text from prompts order by prompt_id limit 3"
    csv, rows, parquet = (
        ran(capsysbinary, str(finished.runs[0]), query, "--format", form)[0]
        for form in ("csv", "json", "parquet")
    )
    whole = json.loads(rows)
    assert pl.read_csv(csv).to_dicts() == whole == pl.read_parquet(parquet).to_dicts()
    assert len(whole) == 3


def test_parameters_are_bound(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(finished.runs[0])
    few = json.loads(ran(capsys, run, "significant", "coverage=0.1", "--format", "json")[0])
    many = json.loads(ran(capsys, run, "significant", "coverage=0.9", "--format", "json")[0])
    assert 0 < len(few) < len(many)
    sql = "select $n::integer + 1 as m"
    assert json.loads(ran(capsys, run, sql, "n=41", "--format", "json")[0]) == [{"m": 42}]


def test_results_come_before_the_store_and_both_have_names(
    finished: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    sql = (
        "select (select count(*) from store.pairs) = (select count(*) from pairs) as a, "
        "(select count(*) from results.run) = (select count(*) from run) as b"
    )
    out, _, _ = ran(capsys, str(finished.runs[0]), sql, "--format", "json")
    assert json.loads(out) == [{"a": True, "b": True}]


def test_a_store_alone_answers_queries(
    finished: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _, code = ran(capsys, str(finished.stores[0]), "firings", "min_prompts=16")
    assert code == 0
    assert "end" in out


def test_list_shows_every_query_and_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    out, _, code = ran(capsys, "--list")
    assert code == 0
    for message in ("summary: ", "upstream_of: ", "    layer INTEGER: ", "    coverage DOUBLE: "):
        assert message in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["summmary"], "no query summmary; there are: additivity, "),
        (["summmary"], "; did you mean summary?"),
        (["significant", "coverge=0.5"], "; did you mean coverage?"),
        (["upstream_of"], "needs layer"),
        (["summary", "foo=1"], "foo"),
        (["summary", "foo"], "write name=value"),
        (["significant", "coverage=much"], "coverage"),
        (["select * form pairs"], "SQL: "),
        (["select * from no_such_table"], "no_such_table"),
        (["delete from results.run where true"], "SQL: "),
        (["create table results.x as select 1"], "SQL: "),
        (["drop table store.pairs"], "SQL: "),
        (["from read_csv('/etc/hostname')"], "SQL: "),
        (["attach 'other.duckdb' as other"], "SQL: "),
        (["copy (select 1) to 'file.csv'"], "SQL: "),
        (["set enable_external_access = true"], "SQL: "),
        (["select $n + 1"], "SQL: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_one_line_and_code_2(
    finished: Finished,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = [
        path.read_bytes() for path in (finished.stores[0], *finished.runs[0].glob("*.duckdb"))
    ]
    out, err, code = ran(capsys, str(finished.runs[0].resolve()), *args)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    after = [path.read_bytes() for path in (finished.stores[0], *finished.runs[0].glob("*.duckdb"))]
    assert after == before


@pytest.mark.parametrize("kind", ["missing", "empty folder", "text", "other database"])
def test_a_target_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    import duckdb

    target = tmp_path / "target"
    if kind == "empty folder":
        target.mkdir()
    elif kind == "text":
        target.write_text("no database")
    elif kind == "other database":
        duckdb.connect(str(target)).execute("CREATE TABLE t AS SELECT 1").close()
    _, err, code = ran(capsys, str(target), "summary")
    assert code == 2
    assert str(target) in err
    assert err.count("\n") == 1


def test_two_models_compared_by_index_are_said(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = finished.runs[0], tmp_path / "other"
    shutil.copytree(run, other)
    assert "note" not in ran(capsys, str(run), "--other", str(other), "compare_heads")[1]
    with duckdb.connect(str(other / "results.duckdb")) as con:
        con.execute("UPDATE run SET config = replace(config, 'ioi-mini', 'ioi-mini-1')")
    out, err, code = ran(capsys, str(run), "--other", str(other), "compare_heads")
    assert (code, out.count("\n") > 5) == (0, True)
    assert "note: ioi-mini and ioi-mini-1: two models" in err
    assert "sweep_heads" in err
