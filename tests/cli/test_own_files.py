"""Only files that svt made are ever removed or replaced, and only in folders of its own."""

import json
from pathlib import Path

import duckdb
import pytest

from svt.cli.own_files import check_run_folder, check_sweep_folder, remove_temporary_files
from svt.errors import SvtError
from tests.store_rows import connection

STRANGE = (".notes.1.tmpl", ".backup.2024.tmp", ".lock", "report.html", "notes.txt", "charts")


def run_folder(folder: Path) -> Path:
    folder.mkdir()
    connection(results={"run": [{}]}, results_file=folder / "results.duckdb").close()
    return folder


@pytest.mark.parametrize("name", STRANGE)
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    for check in (check_run_folder, check_sweep_folder):
        with pytest.raises(SvtError, match=f"holds {name}, which svt did not write there"):
            check(tmp_path)


@pytest.mark.parametrize("kind", ["text", "database"])
def test_results_that_are_not_svts_are_refused(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "results.duckdb"
    if kind == "text":
        file.write_text("mine")
    else:
        duckdb.connect(str(file)).execute("CREATE TABLE mine AS SELECT 1").close()
    with pytest.raises(SvtError, match=r"holds results\.duckdb, which svt did not write"):
        check_run_folder(tmp_path)


def test_a_runs_own_folder_is_taken_with_other_files_in_it(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run")
    (run / "notes.txt").write_text("mine")
    check_run_folder(run)
    check_run_folder(tmp_path / "new")


def test_what_a_killed_run_left_is_no_hindrance(tmp_path: Path) -> None:
    for name in (".results.duckdb.12.tmp", ".results.duckdb.12.tmp.wal", ".svt.lock"):
        (tmp_path / name).write_text("")
    (tmp_path / "reference.csv").write_text("# model\nlayer,head\n")
    (tmp_path / "interventions.partial.duckdb").write_text("")
    check_run_folder(tmp_path)


def test_only_svts_own_temporary_files_are_removed(tmp_path: Path) -> None:
    left = [".results.duckdb.12.tmp", ".results.duckdb.12.tmp.wal", ".report.html.7.tmp"]
    for name in (*left, *STRANGE[:-1], ".results.duckdb.12.tmpl", "results.duckdb"):
        (tmp_path / name).write_text("")
    charts = tmp_path / "charts"
    charts.mkdir()
    for name in (".graph.svg.3.tmp", ".mine.svg.3.tmp", ".graph.graphml.3.tmp"):
        (charts / name).write_text("")
    remove_temporary_files(tmp_path)
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {*STRANGE, ".results.duckdb.12.tmpl", "results.duckdb"}
    assert [path.name for path in charts.iterdir()] == [".mine.svg.3.tmp"]


@pytest.mark.parametrize("content", ["{}", "[]", "mine", '{"keys": 3}'])
def test_a_keys_file_of_somebody_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(SvtError, match=r"holds keys\.json, which svt did not write"):
        check_sweep_folder(tmp_path)


def test_a_job_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps({"keys": []}))
    (tmp_path / "sweep.html").write_text("ours")
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "job.json").write_text('{"status": "", "stores": [], "values": {}}')
    check_sweep_folder(tmp_path)
    (tmp_path / "7" / "job.json").write_text('{"status": "mine"}')
    with pytest.raises(SvtError, match=r"7 holds job\.json, which svt did not write there"):
        check_sweep_folder(tmp_path)
