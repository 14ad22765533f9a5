"""The chart and report stages: named queries over a finished run, drawn and written beside it.

1. Every figure asks for its own queries over the run's results and store.
2. charts/NAME.<format> for each figure and format; charts/graph.graphml for other tools.
3. report.html: the figures, what was run, the headline numbers, baselines, residuals, and the SQL.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from svt.charts import (
    Context,
    Fact,
    Figure,
    Report,
    Table,
    draw,
    export,
    known_figures,
    write_report,
)
from svt.charts.style import head_name
from svt.config import Config
from svt.progress import Progress
from svt.query.connect import connect
from svt.query.graphml import write_graphml
from svt.query.sql import load_query, run
from svt.results import NAME

CHARTS, REPORT = "charts", "report.html"


def draw_figures(config: Config, folder: Path, store: Path) -> None:
    """Steps 1 to 3, as far as the stages ask for them."""
    names = known_figures(config.chart.figures)
    with connect(store, folder / NAME) as con, Progress("figures", len(names), "figures") as bar:
        context = context_of(con, config)
        figures = []
        for name in names:
            figure = draw(name, lambda query, **params: run(con, query, **params), context)  # 1
            if "chart" in config.stages:
                export(figure.chart, folder / CHARTS, name, config.chart.format)  # 2
            figures.append(figure)
            bar.advance(1)
        if "chart" in config.stages:
            write_graphml(
                folder / CHARTS / "graph.graphml",
                run(con, "graph_edges"),
                run(con, "graph_nodes"),
                config.trace.count,
            )
        if "report" in config.stages:
            write_report(folder / REPORT, report_of(con, config, figures))  # 3


def context_of(con: duckdb.DuckDBPyConnection, config: Config) -> Context:
    rows = con.execute("SELECT roots, n_prompts FROM run").fetchall()
    roots, n_prompts = rows[0]
    return Context(config.trace, [(layer, head) for layer, head in json.loads(roots)], n_prompts)


def report_of(con: duckdb.DuckDBPyConnection, config: Config, figures: list[Figure]) -> Report:
    """Everything the page says, from queries over the run."""
    run_row = con.sql("FROM run").pl().to_dicts()[0]
    dump_row = con.sql("FROM dump").pl().to_dicts()[0]
    found = run(con, "summary").to_dicts()[0]
    tables = [
        Table("From each root", run(con, "trace_summary"), "How far the trace went."),
        Table(
            "Numerical residuals",
            pl.DataFrame(
                {
                    "measure": [
                        "largest |sum of slices - score|",
                        "largest relative error of a head's SVD",
                        "largest closure of a side (null unless every component was dumped)",
                    ],
                    "value": [
                        dump_row["worst_residual"],
                        dump_row["worst_reconstruction"],
                        dump_row["worst_closure"],
                    ],
                }
            ),
            "How exactly the parts add up to the whole.",
        ),
        Table("Libraries", _pairs(json.loads(dump_row["library_versions"]), "library", "version")),
        Table("Time", _pairs(_seconds(run_row, dump_row), "phase", "seconds")),
    ]
    evaluated = con.execute("SELECT count(*) FROM evaluation").fetchall()[0][0] > 0
    if evaluated:
        tables[:0] = [
            Table(
                "Against the reference, with and without singular vectors",
                run(con, "baseline_without_svd"),
                "The same trace over signal slices and over all slices.",
            ),
            Table(
                "Against the reference, beside random head sets",
                run(con, "random_baseline"),
                "1,000 random sets of as many heads; the last column is the share of them that "
                "do at least as well.",
            ),
            Table(
                "Against the reference, beside random head sets with the same roots",
                run(con, "random_baseline", keep_roots=True, among="reachable"),
                "The roots were chosen by their effect, so this is the fairer comparison: the "
                "same roots, the other heads drawn from the layers below them.",
            ),
        ]
    roots = ", ".join(head_name(*root) for root in context_of(con, config).roots)
    left_out = [*json.loads(run_row["warnings"]), *json.loads(dump_row["notes"] or "[]")]
    left_out += _left_out(run(con, "left_out").to_dicts()[0])
    if not evaluated:
        left_out.append("No reference was given for this model, so nothing was evaluated.")
    return Report(
        title=f"svt: {found['model']} on {config.dataset.name}",
        lead=f"{found['prompts']} prompts, traced from {roots}; svt {run_row['svt_version']}, "
        f"store {Path(run_row['store_path']).name}.",
        facts=_facts(con, config, found),
        figures=figures,
        tables=tables,
        left_out=left_out,
        config=json.loads(run_row["config"]),
        sql={a.query: load_query(a.query).text for figure in figures for a in figure.asked},
    )


def _facts(con: duckdb.DuckDBPyConnection, config: Config, found: dict[str, float]) -> list[Fact]:
    nodes, edges = run(con, "graph_nodes"), run(con, "graph_edges")
    deepest = max(run(con, "trace_summary")["deepest"].to_list())
    facts = [
        Fact(
            "prompts", f"{found['prompts']:,}", "answered rightly: " + _percent(found["accuracy"])
        ),
        Fact("firing pairs a prompt", f"{found['firing_pairs_a_prompt']:.1f}"),
        Fact("slices in a signal", f"{found['median_signal_size']:.0f}", "median of a firing pair"),
        Fact("heads in the graph", f"{nodes.height}", f"{edges.height} edges"),
        Fact("deepest trace", f"{deepest}", "edges from a root"),
    ]
    context = context_of(con, config)
    for row in run(
        con, "precision_recall", count=config.trace.count, min_count=context.min_count
    ).to_dicts():
        facts += [
            Fact("precision", _ratio(row["precision"]), f"against {row['reference']}"),
            Fact("recall", _ratio(row["recall"]), f"reachable: {_ratio(row['recall_reachable'])}"),
        ]
    return facts


def _left_out(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['rare_edges']:,} edges of the graph lie below the threshold of counts.",
        f"{row['trace_edges_without_role']:,} of {row['trace_edges']:,} traced edges write into "
        "tokens without a role; they stand in trace_edges, not in the graph.",
        f"Pairs with attention weight below {row['min_weight']:g} have no upstream contributions "
        "in the store.",
    ]


def _seconds(run_row: dict[str, str], dump_row: dict[str, str]) -> dict[str, float]:
    dumped = {f"dump: {k}": v for k, v in json.loads(dump_row["seconds"]).items()}
    return dumped | {k: v for k, v in json.loads(run_row["seconds"]).items() if k != "dump"}


def _pairs(values: Mapping[str, object], key: str, value: str) -> pl.DataFrame:
    return pl.DataFrame({key: list(values), value: list(values.values())})


def _percent(share: float | None) -> str:
    return "no answers given" if share is None else f"{share:.1%}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
