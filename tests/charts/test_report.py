import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from svt.charts import Asked, Fact, Figure, Report, Table, write_report
from svt.charts.graph import graph
from svt.charts.slice_contributions import slice_contributions
from svt.errors import SvtError
from tests.charts.frames import loads_nothing

HOSTILE = "</script><script>document.title='taken'</script><!-- & \" '"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture
def report(edges, nodes, firings) -> Report:
    slices = pl.DataFrame({"k": [0], "contribution": [1.0], "rank": [0], "in_signal": [True]})
    firing = {
        "layer": 5,
        "head": 3,
        "prompt_id": 7,
        "dest": 14,
        "src": 2,
        "weight": 0.9,
        "score": 4.0,
        "src_token": HOSTILE,
        "dest_token": None,
        "text": HOSTILE,
    }
    return Report(
        title=f"A run {HOSTILE}",
        lead="100 prompts.",
        facts=[Fact("prompts", "100", "all right")],
        figures=[
            Figure(
                "graph",
                "The graph",
                "Read it upwards.",
                graph(edges, nodes, firings),
                (Asked("graph_edges", {"min_count": 0}),),
            ),
            Figure("slices", "Slices", "Bars.", slice_contributions(slices, firing=firing)),
        ],
        tables=[
            Table(
                "Baselines",
                pl.DataFrame(
                    {"set_of": ["signal", None], "share": [0.51234, None], "n": [12345, 1]}
                ),
            )
        ],
        left_out=["4 edges."],
        config={"model": {"name": "ioi-mini", "path": None}, "stages": ["dump", "trace"]},
        sql={"graph_edges": "SELECT * FROM graph_edges WHERE n_prompts < $min_count;"},
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


def test_the_page_says_everything(page):
    text = page.read_text()
    for said in (
        *("100 prompts.", "all right", "The graph", "Read it upwards.", "4 edges."),
        *("svt-sql RUN graph_edges min_count=0", "WHERE n_prompts &lt; $min_count;"),
        *("<th>model.path</th><td>null</td>", "<td>[&#34;dump&#34;, &#34;trace&#34;]</td>"),
    ):
        assert said in text
    assert re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", text)[:9] == [
        "set of",
        "share",
        "n",
        "signal",
        "0.5123",
        "12,345",
        "–",
        "–",
        "1",
    ]


def test_text_from_the_data_cannot_end_a_script(page):
    text = page.read_text()
    assert HOSTILE not in text
    (data,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', text)
    specs = json.loads(data)["specs"]
    assert list(specs) == ["graph", "slices"]
    assert HOSTILE.strip() in " ".join(specs["slices"]["title"]["subtitle"])
    assert all("config" not in spec for spec in specs.values())


def test_both_schemes_and_print_have_colours(page):
    text = page.read_text()
    assert "prefers-color-scheme: dark" in text and "@media print" in text
    assert "var(--ink)" in re.findall(r'id="charts">(.*?)</script>', text)[0]


def test_a_page_that_cannot_be_written_is_told(report, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SvtError, match=r"cannot write .*report\.html"):
        write_report(tmp_path / "file" / "report.html", report)


def test_a_browser_draws_it_offline_without_errors(page, tmp_path):
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser installed, looked for {', '.join(BROWSERS)}")
    command = [
        *(browser, "--headless", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--proxy-server=127.0.0.1:9", "--enable-logging=stderr", "--virtual-time-budget=10000"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()),
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.insert(1, "--no-sandbox")  # Chromium's sandbox refuses to run as root
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "CONSOLE" not in done.stderr, done.stderr
    assert done.stdout.count('class="marks"') == 2
    for drawn in ("Traced graph", "layer 2", ">1.1<", "Slices of one firing of 5.3"):
        assert drawn in done.stdout
    assert "could not be drawn" not in done.stdout.split("<script")[0]
    assert "<title>taken" not in done.stdout
