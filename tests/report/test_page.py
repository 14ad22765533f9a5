import json
import re
from pathlib import Path

import altair as alt
import polars as pl
import pytest

from svt.charts import Figure, QueryCall
from svt.charts.graph import graph
from svt.charts.style import inline, title
from svt.errors import SvtError
from svt.report.page import Fact, Report, Section, Table, write_report, write_values
from tests.charts.browser import BROWSERS, find_browser, see
from tests.charts.frames import loads_nothing

HOSTILE = "</script><script>document.title='taken'</script><!-- & \" '"


def slider_chart() -> alt.Chart:
    """Return bars with a title from the data and a threshold with a slider."""
    least = alt.param(name="least", value=1, bind=alt.binding_range(min=0, max=9, name="at least "))
    return (
        alt.Chart(inline([{"k": 0, "n": 3}, {"k": 1, "n": 0}]), title=title("Slices", HOSTILE))
        .transform_filter("datum.n >= least")
        .mark_bar()
        .encode(x="k:O", y="n:Q")
        .add_params(least)
    )


@pytest.fixture
def report(edges, nodes) -> Report:
    calls = (QueryCall("shown_edges", {"min_count": 0}),)
    drawn = graph(edges, nodes)
    baselines = pl.DataFrame(
        {"set_of": ["signal", None], "share": [0.51234, None], "n": [12345, 1]}
    )
    return Report(
        title=f"A run {HOSTILE}",
        lead="100 prompts.",
        facts=[Fact("prompts", "100", "all right")],
        ran={"model": "ioi-mini", "thresholds": HOSTILE},
        left_out=["4 edges."],
        sections=[
            Section("Circuit", [Figure("graph", "The graph", "Read it upwards.", drawn, calls)]),
            Section("Nothing"),
            Section(
                "All Heads",
                [Figure("slices", "Slices", "Bars.", slider_chart())],
                [Table("Baselines", baselines, "Higher is better.")],
            ),
        ],
        config={"model": {"name": "ioi-mini", "path": None}, "stages": ["dump", "trace"]},
        sql={"shown_edges": "SELECT * FROM graph_edges WHERE n_prompts < $min_count;"},
    )


@pytest.fixture
def page(report, tmp_path) -> Path:
    return write_report(tmp_path / "report.html", report)


def test_the_page_is_one_file_that_loads_nothing(page):
    text = page.read_text()
    assert len(text) < 5_000_000
    assert loads_nothing(text)
    assert "default-src 'none'" in text
    assert [p.name for p in page.parent.iterdir()] == ["report.html"]


def test_the_page_has_all_contents(page):
    text = page.read_text()
    for text_part in (
        *("100 prompts.", "all right", "The graph", "Read it upwards.", "4 edges.", "Bars."),
        *("svt-sql RUN shown_edges min_count=0", "WHERE n_prompts &lt; $min_count;"),
        *("<th>model.path</th><td>null</td>", "<td>[&#34;dump&#34;, &#34;trace&#34;]</td>"),
        *("<th>model</th><td>ioi-mini</td>", "Higher is better."),
    ):
        assert text_part in text


def test_a_table_has_formatted_cells(page):
    (table,) = re.findall(r"Higher is better\.</p>(.*?)</table>", page.read_text(), re.DOTALL)
    assert re.findall(r"<t([dh])([^>]*)>([^<]*)</t[dh]>", table) == [
        ("h", "", "set of"),
        ("h", ' class="number"', "share"),
        ("h", ' class="number"', "n"),
        ("d", "", "signal"),
        ("d", ' class="number"', "0.5123"),
        ("d", ' class="number"', "12,345"),
        ("d", "", "–"),
        ("d", ' class="number"', "–"),
        ("d", ' class="number"', "1"),
    ]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.5, -12.25, None], ["0.50", "−12.25", "–"]),
        ([0.25, -0.00001], ["0.2500", "0.0000"]),
        ([123456.7, 2.0], ["123,457", "2"]),
        ([2e-6, 0.0], ["2.00e−06", "0.00e+00"]),
        ([0.0], ["0.000"]),
        ([float("nan"), float("inf"), 1.0], ["nan", "inf", "1.000"]),
        ([True, None, False], ["yes", "–", "no"]),
        ([1234567], ["1,234,567"]),
        (["a_b"], ["a_b"]),
    ],
)
def test_a_column_has_one_format(values, shown):
    assert write_values(pl.Series(values)) == shown


def test_sections_are_in_order_without_empty_ones(page):
    text = page.read_text()
    assert re.findall(r'<h2 id="([^"]*)">([^<]*)</h2>', text) == [
        ("circuit", "Circuit"),
        ("all-heads", "All Heads"),
        ("settings", "Settings"),
    ]
    (nav,) = re.findall(r"<nav>(.*?)</nav>", text, re.DOTALL)
    assert re.findall(r">([^<]+)</a>", nav) == ["Summary", "Circuit", "All Heads", "Settings"]


def test_every_link_has_a_target(page):
    text = page.read_text()
    body = text[text.index("<main>") : text.index("</main>")]
    targets = re.findall(r'href="#([^"]*)"', body)
    assert {"summary", "slices", "all-heads-1"} <= set(targets)
    assert set(targets) <= set(re.findall(r'\sid="([^"]*)"', body))


def test_text_from_the_data_cannot_end_a_script(page):
    text = page.read_text()
    assert HOSTILE not in text
    (data,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', text)
    specs = json.loads(data)["specs"]
    assert list(specs) == ["graph", "slices"]
    assert specs["slices"]["title"]["subtitle"] == [HOSTILE]
    assert all("config" not in spec for spec in specs.values())


def test_both_schemes_and_print_have_colours(page):
    text = page.read_text()
    assert "prefers-color-scheme: dark" in text and "@media print" in text
    assert "var(--ink)" in re.findall(r'id="charts">(.*?)</script>', text)[0]
    assert "@media print { .vega-bindings { display: none; } }" in text


def test_a_page_that_cannot_be_written_is_named(report, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SvtError, match=r"cannot write .*report\.html"):
        write_report(tmp_path / "file" / "report.html", report)


@pytest.fixture
def browser() -> str:
    path = find_browser()
    if path is None:
        pytest.skip(f"no browser installed, looked for {', '.join(BROWSERS)}")
    return path


def test_a_browser_draws_every_chart_offline_without_errors(browser, page, tmp_path):
    view = see(browser, page, tmp_path)
    assert view.console == []
    assert view.requested == []
    for name in ("graph", "slices"):
        (chart,) = re.findall(rf'id="chart-{name}".*?</figure>', view.dom, re.DOTALL)
        assert chart.count('class="marks"') == 1
        assert "could not be drawn" not in chart
    for drawn in (
        "Traced graph",
        "layer 2",
        ">1.1<",
        "Slices",
        'class="vega-bindings"',
        "at least",
    ):
        assert drawn in view.dom
    assert "<title>taken" not in view.dom


def test_the_browser_reports_errors_and_requests(browser, tmp_path):
    """The test above relies on it."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://example.invalid/a.png'><script>nonsense()</script>")
    view = see(browser, bad, tmp_path)
    assert any("nonsense is not defined" in line for line in view.console)
    assert "http://example.invalid/a.png" in view.requested
