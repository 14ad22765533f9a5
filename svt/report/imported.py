"""The report of an imported circuit: its graph and its evaluation against a reference.

An imported circuit has no store, so the report has no prompts, firings or slices.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from svt.charts import Context, Figure, RunQuery
from svt.charts.style import counted, head_names, plural
from svt.config import Config
from svt.query.named import load_query
from svt.report.page import Fact, Report, Section, Table
from svt.report.run import precision_facts
from svt.report.words import rare_edges_sentences


def make_import_report(
    con: duckdb.DuckDBPyConnection,
    ask: RunQuery,
    config: Config,
    context: Context,
    figures: Sequence[Figure],
) -> Report:
    """Return the report of an imported circuit, with `figures`."""
    run_row = con.sql("FROM run").pl().to_dicts()[0]
    imported = con.sql("FROM imported").pl().to_dicts()[0]
    edges, nodes = ask("shown_edges"), ask("graph_nodes")
    rare = ask("left_out")["rare_edges"].item()
    evaluation = ask("precision_recall", min_count=context.min_count)
    roots = head_names(context.roots)
    least = f"edges with at least {counted(context.min_count, context.trace.count)}"
    facts = [Fact("heads in the graph", f"{nodes.height}", plural(edges.height, "edge"))]
    facts += precision_facts(evaluation)
    left_out = [f"{text[0].upper()}{text[1:]}." for text in json.loads(imported["left_out"])]
    left_out.append("There is no store, so there are no prompts, firings and slices.")
    left_out += rare_edges_sentences(rare)
    if evaluation.is_empty():
        left_out.append("No reference was set, so nothing was evaluated.")
    return Report(
        title=f"svt: {imported['name']}, imported",
        lead=f"A circuit read from {Path(imported['file']).name}.",
        facts=facts,
        ran={
            "file": imported["file"],
            "read as": imported["format"],
            "roots": roots or "none",
            "shown": least,
            "versions": f"svt {run_row['svt_version']}",
        },
        left_out=left_out,
        sections=[
            Section(
                "Circuit",
                [
                    replace(figure, title=figure.title.replace("traced", "imported"))
                    for figure in figures
                    if figure.name != "precision_recall"
                ],
                [
                    Table(title, frame, reading)
                    for title, frame, reading in (
                        ("Heads", nodes.drop("n_prompts", "n_firings"), "The heads shown."),
                        ("Edges", edges, "A dash marks a value that is not in the file."),
                    )
                    if frame.height
                ],
            ),
            Section(
                "Evaluation",
                [figure for figure in figures if figure.name == "precision_recall"],
            ),
        ],
        config={"trace": json.loads(run_row["config"])["trace"]},
        sql={a.query: load_query(a.query).text for figure in figures for a in figure.calls},
    )
