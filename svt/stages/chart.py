"""The chart and report stages: named queries over a finished run, drawn and written beside it.

1. Every figure asks its own queries of the run's results and store. An imported circuit has no
   store: figures that need one are left out, and said to be.
2. charts/NAME.<format> for each figure that has something to draw, and each format, with the
   sentence on how to read it; charts/graph.graphml for other tools.
3. report.html: the figures among what else the run has to say (svt/report/run.py).
"""

import json
import logging
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from svt.charts import (
    ALL_SLICES,
    EFFECTS,
    FIGURES,
    Ask,
    Context,
    Figure,
    Look,
    choose_figures,
    draw,
    export,
)
from svt.config import Config
from svt.db.catalog import tables
from svt.db.connect import connect
from svt.db.stores import Stores
from svt.db.target import open_target
from svt.query.graphml import write_graphml
from svt.query.named import has_all_slices, has_effects, run
from svt.query.refusals import check_drawn_edges
from svt.report.imported import make_import_report
from svt.report.page import is_report, write_report
from svt.report.run import make_report
from svt.store.results import NAME
from svt.system.progress import Progress

logger = logging.getLogger(__name__)

CHARTS, REPORT = "charts", "report.html"
FORMATS = ("json", "html", "svg", "png", "pdf")
DRAWN = {f"{name}.{form}" for name in FIGURES for form in FORMATS} | {"graph.graphml"}


def pictures(folder: Path) -> list[Path]:
    """Return the charts and the report that svt drew in a run folder, and no other file."""
    charts = folder / CHARTS
    drawn = [path for path in charts.iterdir() if path.name in DRAWN] if charts.is_dir() else []
    return [*drawn, *([folder / REPORT] if is_report(folder / REPORT) else [])]


def draw_figures(config: Config, folder: Path, stores: Stores) -> None:
    """Steps 1 to 3, as far as the stages ask for them."""
    other = config.chart.compare_store
    with ExitStack() as stack:
        con = stack.enter_context(connect(stores, folder / NAME))
        compare = stack.enter_context(open_target(Path(other))) if other else None
        context = context_of(con, config, compare)
        ask = asking(con)
        filled = _filled(con)
        names: Sequence[str] = choose_figures(config.chart.figures, filled)
        if context.imported is not None:
            names = _without_store(names, filled)
        bar = stack.enter_context(Progress("figures", len(names), "figures"))
        figures = []
        for name in names:
            figure = draw(name, ask, context)  # 1
            if "chart" in config.stages:
                _write(figure, folder / CHARTS, config)  # 2
            figures.append(figure)
            bar.advance(1)
        if "chart" in config.stages:
            write_graphml(
                folder / CHARTS / "graph.graphml",
                ask("graph_links"),
                ask("graph_nodes"),
                config.trace.count,
            )
        if "report" in config.stages:
            told = make_report if context.imported is None else make_import_report
            write_report(folder / REPORT, told(con, ask, config, context, figures))  # 3


def _write(figure: Figure, folder: Path, config: Config) -> None:
    """Step 2 for a figure."""
    if figure.is_empty:
        logger.info(f"figure {figure.name} is not written: there is nothing to draw")
        for form in FORMATS:
            (folder / f"{figure.name}.{form}").unlink(missing_ok=True)
    else:
        chart = config.chart
        look = Look(chart.width, chart.height, chart.font)
        export(figure.standalone(chart.title), folder, figure.name, chart.format, look)


def _without_store(names: Sequence[str], filled: Collection[str]) -> tuple[str, ...]:
    """The figures of an imported circuit that can be drawn."""
    lacking = [name for name in names if not set(FIGURES[name].needs) <= set(filled)]
    for name in lacking:
        logger.info(f"figure {name} is left out: an imported circuit does not hold what it shows")
    return tuple(name for name in names if name not in lacking)


def asking(con: duckdb.DuckDBPyConnection) -> Ask:
    """Runs named queries over a connection; the same question is answered once."""
    known: dict[str, pl.DataFrame] = {}

    def ask(query: str, **params: Any) -> pl.DataFrame:
        question = f"{query} {sorted(params.items())}"
        if question not in known:
            known[question] = run(con, query, **params)
        return known[question]

    return ask


def context_of(
    con: duckdb.DuckDBPyConnection,
    config: Config,
    compare: duckdb.DuckDBPyConnection | None = None,
) -> Context:
    ((roots, n_prompts),) = con.execute("SELECT roots, n_prompts FROM run").fetchall()
    imported = [name for (name,) in con.execute("SELECT name FROM imported").fetchall()]
    check_drawn_edges(config.chart.edges, has_effects(con), *imported)
    return Context(
        config.trace,
        [(layer, head) for layer, head in json.loads(roots)],
        n_prompts or 0,
        config.chart,
        asking(compare) if compare is not None else None,
        imported[0] if imported else None,
    )


def _filled(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the tables with rows, and the columns of upstream that the store holds."""
    names = tables(con, "results") | tables(con, "store")
    filled = {name for name in names if con.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchall()}
    if "pair_upstream" in filled:
        filled |= {ALL_SLICES} if has_all_slices(con) else set()
        filled |= {EFFECTS} if has_effects(con) else set()
    return filled
