"""`svt compare`: what the page says of two runs is what the queries say."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from svt.charts import Figure
from svt.cli.compose import load_run_config
from svt.db.target import open_target
from svt.report.comparison import make_comparison
from svt.stages import compare
from svt.stages.chart import cache_queries
from svt.stages.compare import open_run
from tests.answers import answer
from tests.conftest import Finished, Svt, svt_in


@pytest.fixture(scope="module")
def narrower(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same store, traced by a smaller coverage."""
    at = tmp_path_factory.mktemp("narrower") / "run"
    again = (f"run.path={finished.runs[0]}", "stages=[trace,evaluate]", "trace.coverage=0.4")
    assert svt_in(at.parent, *again, f"hydra.run.dir={at}").code == 0
    return at


def test_the_page_says_what_the_queries_say(finished: Finished, narrower: Path, svt: Svt) -> None:
    done = svt("compare", str(finished.runs[0]), str(narrower))
    page = (done.cwd / "comparison.html").read_text(encoding="utf-8")
    edges = answer(finished.runs[0], "compare_edges", [], other=narrower)
    n = dict(edges.group_by("found").len().iter_rows())
    assert n["this"] > 0 and "other" not in n  # a smaller coverage has fewer edges
    assert f"<b>{n['both']} of {edges.height}</b><small>{n['this']} only in A, 0 only in B" in page
    assert re.search(r"<th>trace\.coverage</th>|trace\.coverage</td><td>0\.7</td><td>0\.4", page)
    specs = json.loads(re.search(r'id="charts">(.*?)</script>', page)[1])["specs"]
    assert set(specs) == {"graph_A", "graph_B"}
    assert specs["graph_A"] != specs["graph_B"]
    assert 'class="beside"' in page


def test_two_models_are_compared_by_role_alone(
    finished: Finished, narrower: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "draw", lambda *_: Figure("graph", "graph", "", {}))
    with (
        open_run(finished.runs[0], load_run_config(finished.runs[0])) as one,
        open_run(narrower, load_run_config(narrower)) as other,
        open_target(finished.runs[0], other=narrower) as both,
    ):
        alike = make_comparison(one, other, cache_queries(both))
        config = replace(other.config, model=replace(other.config.model, name="another"))
        apart = make_comparison(one, replace(other, config=config), cache_queries(both))
    titles = [[section.title for section in page.sections] for page in (alike, apart)]
    assert titles == [["Graphs", "Runs", "Roles", "Differences"], ["Graphs", "Runs", "Roles"]]
    assert alike.left_out == () and "compared by role alone" in apart.left_out[0]
    (roles,) = apart.sections[2].tables
    own = answer(narrower, "head_roles", ["min_share=0.5"])
    heads = {f"{row['layer']}.{row['head']}" for row in own.to_dicts()}
    assert set(re.findall(r"\d+\.\d+(?= \()", " ".join(roles.frame["B"].drop_nulls()))) == heads


def test_a_page_of_ones_own_is_not_replaced(
    svt: Svt, finished: Finished, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "comparison.html"
    own.write_text("mine")
    run = str(finished.runs[0])
    assert svt("compare", run, run).code == 2
    assert own.read_text() == "mine"
    assert svt("compare", run, "nowhere", "--out", "other.html").code == 2
    err = capfd.readouterr().err
    assert "svt did not write this file" in err and "no results.duckdb there" in err
    assert not (tmp_path / "other.html").exists()
