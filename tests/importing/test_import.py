"""`svt-import`: from a file to results that are queried, evaluated and compared."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from svt.cli.import_circuit import main
from svt.cli.sql import run_query
from svt.db.target import open_target
from svt.errors import SvtError
from svt.system.shell import find_command
from tests.answers import answer
from tests.importing.samples import published
from tests.query.test_evaluate import PUBLISHED

WEAKER = [((0, 3), (10, 0), "IO", "src", 24), ((7, 1), (9, 6), "end", "dest", 169)]


def imported(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[str, str, int]:
    code = 0
    try:
        main([str(arg) for arg in args])
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return captured.out, captured.err, code


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the 31 edges of the published graph with at least 170 visits, and two with fewer."""
    path = tmp_path / "published.graphml"
    path.write_text(published([*PUBLISHED, *WEAKER]), encoding="utf-8")
    return path


def rows(folder: Path, query: str, *params: str) -> list[dict[str, Any]]:
    return many_rows(folder, (query, *params))[0]


def many_rows(folder: Path, *queries: tuple[str, ...]) -> list[list[dict[str, Any]]]:
    """The rows of queries, each with its parameters, over a folder that is opened once."""
    with open_target(folder) as con:
        return [run_query(con, query, params, False).to_dicts() for query, *params in queries]


def test_the_published_graph_at_170(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """31 edges, 22 heads and 10 hits; with the roots, of which 10.0 has no edge, 23 and 11.

    The reference has 26 heads, 16 of them reachable from the roots. From 24 visits on 0.3 and 7.1
    are in the circuit, neither in the reference: 25 heads.
    """
    out = tmp_path / "theirs"
    output, _, code = imported(
        capsys, file, "--roots", "9.6,9.9,10.0", "--reference", "wang2023", "--min-count", "170",
        "--out", out,
    )  # fmt: skip
    assert code == 0
    assert "published: 25 heads, 33 edges, read as graphml; shown: 23 and 31" in output
    assert "11 of 23 heads, precision 0.48, recall 0.42, of the reachable 0.69" in output
    edges, nodes, (at,), (all_edges,), by_prompts = many_rows(
        out,
        ("shown_edges",),
        ("graph_nodes",),
        *(("precision_recall", f"min_count={n}") for n in (170, 24)),
        ("precision_recall", "count=prompts"),
    )
    assert len(edges) == 31
    heads = {(row["layer"], row["head"]): row["is_root"] for row in nodes}
    assert len(heads) == 23
    assert sorted(head for head, is_root in heads.items() if is_root) == [(9, 6), (9, 9), (10, 0)]
    assert (at["n_heads"], at["tp"]) == (23, 11)
    assert (at["precision"], at["recall"]) == (11 / 23, 11 / 26)
    assert at["recall_reachable"] == 11 / 16
    assert (all_edges["n_heads"], all_edges["tp"]) == (25, 11)
    assert by_prompts == []

    _, _, code = imported(
        capsys, file, "--reference", "wang2023", "--min-count", "170", "--out", out
    )
    (at,) = rows(out, "precision_recall", "min_count=170")
    assert (at["n_heads"], at["tp"]) == (22, 10)
    assert at["recall"] == at["recall_reachable"] == 10 / 26  # nothing bounds what is reachable


def test_what_the_tables_hold(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "theirs"
    imported(capsys, file, "--out", out, "--name", "their circuit", "--roots", "9.6")
    (run,), named, first, (edge,), shown = many_rows(
        out,
        ("select * from run",),
        ("select name, format from imported",),
        ("select * from imported_edges where up_layer = 0 and up_head = 1",),
        ("select * from graph_edges where up_layer = 0 and up_head = 1",),
        ("graph_links",),
    )
    assert (run["store_path"], run["n_prompts"], run["status"]) == (None, None, "done")
    assert json.loads(run["roots"]) == [[9, 6]]
    config = json.loads(run["config"])
    assert config["trace"] == {
        "roots": [[9, 6]], "root_dest": "end", "count": "visits", "min_count": 1,
    }  # fmt: skip
    assert named == [{"name": "their circuit", "format": "graphml"}]
    assert first == [
        {
            "place": first[0]["place"], "up_layer": 0, "up_head": 1, "component": "head",
            "layer": 3, "head": 0, "input": None, "side": "src", "role": "S1",
            "other_role": "end", "weight": 0.5,
        }
    ]  # fmt: skip
    assert first[0]["place"].startswith("line ")
    assert (edge["n_visits"], edge["n_prompts"], edge["n_firings"]) == (237, None, None)
    assert (edge["total"], edge["mean"]) == (118.5, 0.5)
    links = {(r["up_layer"], r["up_head"], r["role"]): r for r in shown}
    assert (links[0, 1, "S1"]["dest_role"], links[0, 1, "S1"]["src_role"]) == ("end", "S1")
    assert links[8, 3, "end"]["dest_role"] == "end"


def test_a_circuit_of_heads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three heads, two of them of the reference's 26, at any threshold; nothing is an edge."""
    file = tmp_path / "heads.csv"
    file.write_text("layer,head\n9,6\n0,1\n0,0\n")
    out = tmp_path / "out"
    output, _, _ = imported(capsys, file, "--out", out, "--reference", "wang2023")
    assert "2 of 3 heads, precision 0.67, recall 0.08, of the reachable 0.08" in output
    nodes, edges, *evaluated = many_rows(
        out,
        ("graph_nodes",),
        ("shown_edges",),
        *(
            ("precision_recall", f"count={count}", f"min_count={least}")
            for count in ("prompts", "visits")
            for least in (1, 100)
        ),
    )
    for (row,) in evaluated:
        assert (row["n_heads"], row["tp"], row["precision"]) == (3, 2, 2 / 3)
    assert [(r["layer"], r["head"], r["is_root"]) for r in nodes] == [
        (0, 0, False), (0, 1, False), (9, 6, False),
    ]  # fmt: skip
    assert edges == []

    # 9.6 as a root: what lies above layer 9, or beside it, cannot be reached
    imported(capsys, file, "--out", out, "--reference", "wang2023", "--roots", "9.6")
    (row,) = rows(out, "precision_recall")
    assert row["recall_reachable"] == 2 / 14


def test_an_export_of_svt_has_the_same_edges(
    finished: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished.runs[0]
    for form in ("graphml", "csv"):
        file = tmp_path / f"own.{form}"
        if form == "csv":
            answer(run, "shown_edges", []).write_csv(file)
        else:
            file.write_bytes((run / "charts" / "graph.graphml").read_bytes())
        out = tmp_path / form
        imported(capsys, file, "--out", out, "--reference", "ioi-mini", "--min-count", "4")
        # a quarter of the 16 prompts
        own_rows = rows(run, "from graph_edges where n_prompts >= 4 order by all")
        assert len(own_rows) > 20
        assert rows(out, "from graph_edges order by all") == own_rows
    roots = [sorted(json.loads(rows(at, "from run")[0]["roots"])) for at in (run, tmp_path / form)]
    assert roots[0] and roots[1] == []  # a CSV has none
    own = json.loads(rows(tmp_path / "graphml", "from run")[0]["roots"])
    assert sorted(own) == roots[0]
    (own_rows,), (theirs,) = (
        rows(at, "precision_recall", "min_count=4") for at in (run, tmp_path / "graphml")
    )
    assert theirs == own_rows


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["gone.graphml"], "gone.graphml: no such file"),
        (["FILE", "--roots", "9"], "--roots: node 9 is not known"),
        (["FILE", "--roots", "m3"], "--roots=m3: give heads"),
        (["FILE", "--reference", "wang"], "evaluate.reference=wang: no such reference or file"),
        (["FILE", "--min-count", "0"], "--min-count must be at least 1"),
        (["FILE", "--top", "0"], "--top must be at least 1"),
    ],
)
def test_an_error_is_one_line_and_leaves_nothing(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], message: str
) -> None:
    out = tmp_path / "out"
    paths = [str(file) if arg == "FILE" else arg for arg in args]
    _, error, code = imported(capsys, *paths, "--out", out)
    assert code == 2
    assert error.startswith("svt-import: ") and error.count("\n") == 1
    assert message in error
    assert not out.exists()


def test_a_head_that_the_references_model_lacks_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """GPT-2 small has layers 0 to 11; without that reference the circuit is read."""
    larger = tmp_path / "larger.csv"
    larger.write_text("layer,head\n9,9\n14,3\n")
    out = tmp_path / "out"
    _, error, code = imported(capsys, larger, "--reference", "wang2023", "--out", out)
    assert code == 2
    assert "another model than --reference wang2023 is of: there is no head 14.3" in error
    assert not out.exists()
    assert imported(capsys, larger, "--out", out)[2] == 0


def test_the_suggested_command_is_quoted_for_the_shell(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my circuit (1)"
    output, _, _ = imported(capsys, file, "--out", out)
    assert f'  {find_command("svt")} "run.path=\'{out}\'" "stages=[chart,report]"\n' in output


def test_a_folder_that_cannot_be_written_is_one_line(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, error, code = imported(capsys, file, "--out", file / "out")
    assert (code, error.count("\n")) == (2, 1)
    assert str(file) in error


def test_a_root_that_the_file_does_not_name_is_refused(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, _, _ = imported(capsys, file, "--roots", "9.6,11.11", "--out", tmp_path / "out")
    assert "roots: 9.6, 11.11\nroots that the file does not name: 11.11\n" in output
    nodes = rows(tmp_path / "out", "graph_nodes")
    assert [(r["layer"], r["head"]) for r in nodes if r["is_root"]] == [(9, 6), (11, 11)]


def test_a_run_is_never_overwritten_but_an_import_is(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert imported(capsys, file, "--out", out)[2] == 0
    assert imported(capsys, file, "--out", out, "--top", "5")[2] == 0
    assert rows(out, "select count(*) n from graph_edges") == [{"n": 5}]
    with duckdb.connect(str(out / "results.duckdb")) as con:
        con.execute("DELETE FROM imported")
    before = (out / "results.duckdb").read_bytes()
    _, error, code = imported(capsys, file, "--out", out)
    assert code == 2 and "holds the results of a run" in error
    assert (out / "results.duckdb").read_bytes() == before


def test_queries_over_the_store_have_no_rows(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    imported(capsys, file, "--out", out, "--reference", "wang2023")
    empty = ("summary", "firings", "random_band", "trace_summary", "random_baseline")
    *found, pairs = many_rows(out, *zip(empty), ("select count(*) n from store.pairs",))
    assert found == [[]] * 5 and pairs == [{"n": 0}]
    with pytest.raises(SvtError, match="no_such_table"):
        rows(out, "select * from no_such_table")
