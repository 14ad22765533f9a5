"""docs/walk_through.py runs cell by cell, and every cell shows something."""

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import pytest
from hydra.core.global_hydra import GlobalHydra

from tests.conftest import Finished, load_bundled_models_once
from tests.pages import ROOT

NOTEBOOK = ROOT / "docs" / "walk_through.py"


def cells() -> list[str]:
    """Return the code cells; what stands before the first mark belongs to none."""
    parts = re.split(r"^# %%(.*)$", NOTEBOOK.read_text(encoding="utf-8"), flags=re.M)
    return [code for kind, code in zip(parts[1::2], parts[2::2], strict=True) if not kind.strip()]


def shown(code: str, names: dict[str, Any]) -> Any:
    """Return the value of a cell's last expression, which a notebook displays, None without one."""
    steps = ast.parse(code).body
    last = steps.pop() if isinstance(steps[-1], ast.Expr) else None
    exec(compile(ast.Module(steps, []), str(NOTEBOOK), "exec"), names)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)


@pytest.mark.long
def test_every_cell_runs_and_shows_rows_or_a_chart(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished.cwd / "outputs" / "stores", tmp_path / "outputs" / "stores")
    monkeypatch.chdir(tmp_path)
    load_bundled_models_once()
    GlobalHydra.instance().clear()
    monkeypatch.setattr("svt.charts.trace_figures.MOST_PROMPTS", 1)
    for module in ("graph", "prompt_graph"):  # layouts of less take a fraction of the time
        monkeypatch.setattr(f"svt.charts.{module}.MAX_NODES", 30)
        monkeypatch.setattr(f"svt.charts.{module}.MAX_EDGES", 40)
    names: dict[str, Any] = {}
    values = [shown(code, names) for code in cells()]
    frames = [value for value in values if isinstance(value, pl.DataFrame)]
    charts = [value for value in values if isinstance(value, alt.TopLevelMixin)]
    assert len(frames) >= 8 and len(charts) == 3
    assert len(frames) + len(charts) == len([value for value in values if value is not None])
    assert all(frame.height for frame in frames)
    assert all("mark" in str(chart.to_dict()) for chart in charts)
    assert frames[-1]["validated"].any()
    assert len(list((tmp_path / "outputs" / "stores").glob("*.duckdb"))) == 1
    assert len(list((tmp_path / "outputs" / "runs").iterdir())) == 1


def test_it_takes_the_way_of_the_page() -> None:
    page = (ROOT / "docs" / "walk-through.md").read_text(encoding="utf-8")
    assert "](walk_through.py)" in page
    headings = re.findall(r"^## .*$", page, re.M)
    own = re.findall(r"^# (## .*)$", NOTEBOOK.read_text(encoding="utf-8"), re.M)
    assert own == headings[: len(own)] and len(own) >= 6
