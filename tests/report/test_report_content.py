"""The report of a finished run has the contents of its tables."""

import json
import re

import pytest

from svt.charts import FIGURES
from svt.db.target import open_target
from svt.query.named import load_query
from svt.report import run as run_report
from svt.stages.chart import cache_queries
from tests.conftest import Finished


@pytest.fixture(scope="module")
def page(finished: Finished) -> str:
    return (finished.runs[0] / "report.html").read_text(encoding="utf-8")


def drawn(page: str) -> dict:
    (data,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', page)
    return json.loads(data)["specs"]


def test_the_page_is_small(page: str) -> None:
    """2 MB with 16 prompts; with the 256 of the default run it stays below 5."""
    assert len(page.encode()) < 2_000_000


def test_the_sections_of_a_run_are_in_order(page: str) -> None:
    assert re.findall(r'<h2 id="[^"]*">([^<]*)</h2>', page) == [
        "Circuit",
        "Evaluation",
        "Heads",
        "Numbers",
        "Settings",
    ]


def test_every_figure_has_its_section_sentence_and_sql(page: str) -> None:
    names = list(drawn(page))
    assert {"graph", "precision_recall", "slice_contributions"} <= set(names)
    shown = re.findall(r'<figure id="(\w+)">(.*?)</figure>', page, re.DOTALL)
    assert sorted(names) == sorted(name for name, _ in shown)
    for name, figure in shown:
        assert FIGURES[name].reading in figure
        assert "svt-sql RUN " in figure
    section = page[page.index('id="evaluation"') : page.index('id="heads"')]
    assert re.findall(r'<figure id="(\w+)">', section) == ["precision_recall"]
    assert load_query("precision_recall").text.splitlines()[0][3:] in section


def test_the_run_is_described(page: str) -> None:
    for text in (
        "<th>model</th><td>ioi-mini: 8 layers, 8 heads</td>",
        "<th>data</th><td>ioi: 16 prompts,",
        "coverage 0.7 of signal slices, edges in at least 4 prompts",
        "duckdb 2.",
        "GB of memory</td>",
        "largest relative error of a head&#39;s SVD",
        "<th>trace.coverage</th><td>0.7</td>",
    ):
        assert text in page


def test_the_page_names_what_was_not_computed(page: str) -> None:
    assert "No edge was changed, so none is shown to be causal" in page
    assert "No reference was set" not in page
    assert "store holds no contributions through all slices; dump with dump.all_slices=tr" in page
    assert "With and without singular vectors" not in page


def test_a_query_runs_once(finished: Finished) -> None:
    with open_target(finished.runs[0]) as con:
        ask = cache_queries(con)
        first = ask("shown_edges", min_count=1)
        assert ask("shown_edges", min_count=1) is first
        assert ask("shown_edges", min_count=9).height < first.height


@pytest.mark.parametrize(
    ("score", "measure"),
    [("raw", "|sum of slices − score|"), ("contrast", "|sum of slices − the score's lead over")],
)
def test_the_residual_is_of_what_slices_sum_to(score: str, measure: str) -> None:
    row = {"config": json.dumps({"dump": {"score": score}}), "seconds": "{}"}
    row |= dict.fromkeys(("worst_residual", "worst_reconstruction", "worst_closure"), 1e-6)
    residuals, _ = run_report._numbers({"seconds": "{}"}, row)
    assert residuals.frame["measure"][0].startswith(f"largest {measure}")
