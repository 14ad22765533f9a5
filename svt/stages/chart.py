"""The chart and report stages: draw the results of a run.

1. Draw every figure from named queries over the run's results and store. For an imported circuit,
   which has no store, figures that need one are skipped with a message.
2. Write charts/NAME.<format> for each figure with data, in each format, with a sentence on how to
   read it; write charts/graph.graphml for other tools.
3. Write report.html with the figures and the tables of the run (svt/report/run.py).
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
    Context,
    Figure,
    Look,
    RunQuery,
    choose_figures,
    draw,
    export,
)
from svt.config import Config
from svt.db.catalog import list_tables
from svt.db.connect import connect
from svt.db.stores import Stores
from svt.db.target import open_target
from svt.query.graphml import write_graphml
from svt.query.named import is_stored, run
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


def list_pictures(folder: Path) -> list[Path]:
    """Return the charts and the report that svt wrote into a run folder, and no other file."""
    charts = folder / CHARTS
    drawn = [path for path in charts.iterdir() if path.name in DRAWN] if charts.is_dir() else []
    return [*drawn, *([folder / REPORT] if is_report(folder / REPORT) else [])]


def draw_figures(config: Config, folder: Path, stores: Stores) -> None:
    """Draw the figures, and write what `config.stages` selects: charts, report (steps 1 to 3)."""
    other = config.chart.compare_store
    with ExitStack() as stack:
        con = stack.enter_context(connect(stores, folder / NAME))
        compare = stack.enter_context(open_target(Path(other))) if other else None
        context = make_context(con, config, compare)
        ask = cache_queries(con)
        filled = list_filled(con)
        names: Sequence[str] = choose_figures(config.chart.figures, filled)
        if context.imported is not None:
            names = _drop_without_data(names, filled)
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
            make = make_report if context.imported is None else make_import_report
            write_report(folder / REPORT, make(con, ask, config, context, figures))  # 3


def _write(figure: Figure, folder: Path, config: Config) -> None:
    """Write a figure in every format, or remove its files when it has no data (step 2)."""
    if figure.is_empty:
        logger.info(f"figure {figure.name} is not written: there is nothing to draw")
        for form in FORMATS:
            (folder / f"{figure.name}.{form}").unlink(missing_ok=True)
    else:
        chart = config.chart
        look = Look(chart.width, chart.height, chart.font)
        export(figure.standalone(chart.title), folder, figure.name, chart.format, look)


def _drop_without_data(names: Sequence[str], filled: Collection[str]) -> tuple[str, ...]:
    """Return the names of the figures whose data is among `filled`; log the others."""
    lacking = [name for name in names if not set(FIGURES[name].needs) <= set(filled)]
    for name in lacking:
        logger.info(f"figure {name} is left out: an imported circuit does not hold what it shows")
    return tuple(name for name in names if name not in lacking)


def cache_queries(con: duckdb.DuckDBPyConnection) -> RunQuery:
    """Return a function that runs named queries over `con` and caches their rows."""
    cache: dict[str, pl.DataFrame] = {}

    def ask(query: str, **params: Any) -> pl.DataFrame:
        key = f"{query} {sorted(params.items())}"
        if key not in cache:
            cache[key] = run(con, query, **params)
        return cache[key]

    return ask


def make_context(
    con: duckdb.DuckDBPyConnection,
    config: Config,
    compare: duckdb.DuckDBPyConnection | None = None,
) -> Context:
    ((roots, n_prompts),) = con.execute("SELECT roots, n_prompts FROM run").fetchall()
    imported = [name for (name,) in con.execute("SELECT name FROM imported").fetchall()]
    check_drawn_edges(config.chart.edges, is_stored(con, "dump.effects"), *imported)
    return Context(
        config.trace,
        [(layer, head) for layer, head in json.loads(roots)],
        n_prompts or 0,
        config.chart,
        cache_queries(compare) if compare is not None else None,
        imported[0] if imported else None,
    )


def list_filled(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the names of tables with rows, and the optional columns that the store holds."""
    names = list_tables(con, "results") | list_tables(con, "store")
    filled = {name for name in names if con.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchall()}
    if "pair_upstream" in filled:
        filled |= {ALL_SLICES} if is_stored(con, "dump.all_slices") else set()
        filled |= {EFFECTS} if is_stored(con, "dump.effects") else set()
    return filled
