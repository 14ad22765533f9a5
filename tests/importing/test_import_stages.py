"""`svt run.path=IMPORT`: stages without a store work as on a trace, others are refused."""

import json
import shutil
from pathlib import Path

import pytest

from svt.cli.import_circuit import main as svt_import
from tests.answers import answer
from tests.conftest import Svt
from tests.importing.samples import published
from tests.query.test_evaluate import PUBLISHED


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("theirs") / "theirs.graphml"
    file.write_text(published(PUBLISHED), encoding="utf-8")
    out = file.with_name("imported")
    svt_import([str(file), "--out", str(out), "--roots", "9.6,9.9,10.0", "--reference", "wang2023"])
    return out


@pytest.fixture
def theirs(imported: Path, tmp_path: Path) -> Path:
    """A copy of it for a test to work on."""
    return shutil.copytree(imported, tmp_path / "imported")


def test_evaluate_chart_and_report(
    theirs: Path, svt: Svt, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against another reference, 9.6 and 0.1 of whose three heads are in the circuit of 23."""
    known = theirs.parent / "known.csv"
    known.write_text("layer,head\n9,6\n0,1\n11,3\n")
    done = svt(
        f"run.path={theirs}", "stages=[evaluate,chart,report]", "chart.format=[json]",
        f"evaluate.reference={known}",
    )  # fmt: skip
    assert done.code == 0
    output = capsys.readouterr().out
    assert "theirs, imported: 23 heads, 31 edges in at least 1 visit" in output
    assert "against known: precision 0.09, recall 0.67, of the reachable 1.00" in output
    (row,) = answer(theirs, "precision_recall", ["min_count=1"]).to_dicts()
    assert (row["reference"], row["n_heads"], row["tp"]) == ("known", 23, 2)
    names = sorted(path.name for path in (theirs / "charts").iterdir())
    assert names == ["graph.graphml", "graph.json", "precision_recall.json"]
    chart = json.loads((theirs / "charts" / "graph.json").read_text())
    assert chart["title"]["text"] == "theirs, imported"
    page = (theirs / "report.html").read_text(encoding="utf-8")
    for words in ("A circuit read from theirs.graphml", "The imported graph", "9.6, 9.9, 10.0"):
        assert words in page
    (run,) = answer(theirs, "from run", []).to_dicts()
    assert (run["store_path"], run["n_prompts"]) == (None, None)
    assert json.loads(run["config"])["trace"]["count"] == "visits"


def test_figures_that_need_a_store_are_left_out(
    theirs: Path, svt: Svt, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = "chart.figures=[slice_usage,precision_recall]"
    done = svt(f"run.path={theirs}", "stages=[chart]", chosen, "chart.format=[json]")
    assert done.code == 0
    assert "figure slice_usage is left out: an imported circuit does not" in capsys.readouterr().err
    names = sorted(path.name for path in (theirs / "charts").iterdir())
    assert names == ["graph.graphml", "precision_recall.json"]


def test_heads_alone_have_no_graph(tmp_path: Path, svt: Svt) -> None:
    file = tmp_path / "heads.csv"
    file.write_text("layer,head\n9,6\n")
    svt_import([str(file), "--out", str(tmp_path / "heads")])
    done = svt(f"run.path={tmp_path / 'heads'}", "stages=[chart,report]", "chart.format=[json]")
    assert done.code == 0
    assert [path.name for path in (tmp_path / "heads" / "charts").iterdir()] == ["graph.graphml"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["stages=[trace]"],
            "is an imported circuit without a store, so there is no trace; it has",
        ),
        (["stages=[intervene]"], "so there is no intervene"),
        (["stages=[dump,chart]"], "so there is no dump"),
        (["stages=[evaluate]", "evaluate.edges=validated"], "hold no global ablation of an edge"),
    ],
)
def test_what_needs_a_store_is_refused(
    theirs: Path, svt: Svt, capsys: pytest.CaptureFixture[str], overrides: list[str], message: str
) -> None:
    before = (theirs / "results.duckdb").read_bytes()
    assert svt(f"run.path={theirs}", *overrides).code == 1
    assert message in capsys.readouterr().err
    assert (theirs / "results.duckdb").read_bytes() == before
