"""What the report of an imported circuit says: its graph, and how it stands against a reference.

There is no store behind it, so it has no prompts, firings or slices to tell of.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from svt.charts import Ask, Context, Figure
from svt.charts.style import counted, head_name, plural
from svt.config import Config
from svt.query.named import load_query
from svt.report.page import Fact, Report, Section, Table
from svt.report.run import precision_facts


def report_of_import(
    con: duckdb.DuckDBPyConnection,
    ask: Ask,
    config: Config,
    context: Context,
    figures: Sequence[Figure],
) -> Report:
    """The page of an imported circuit, with `figures`."""
    run_row = con.sql("FROM run").pl().to_dicts()[0]
    imported = con.sql("FROM imported").pl().to_dicts()[0]
    edges, nodes = ask("shown_edges"), ask("graph_nodes")
    rare = ask("left_out")["rare_edges"].item()
    found = ask("precision_recall", min_count=context.min_count)
    roots = ", ".join(head_name(*root) for root in context.roots)
    least = f"edges with at least {counted(context.min_count, context.trace.count)}"
    facts = [Fact("heads in the graph", f"{nodes.height}", plural(edges.height, "edge"))]
    facts += precision_facts(found)
    left_out = [f"{told[0].upper()}{told[1:]}." for told in json.loads(imported["left_out"])]
    left_out.append("There is no store: nothing is known of prompts, firings and slices.")
    if rare:
        left_out.append(f"{plural(rare, 'edge')} of the graph below the threshold of counts.")
    if found.is_empty():
        left_out.append("No reference was given, so nothing was evaluated.")
    return Report(
        title=f"svt: {imported['name']}, imported",
        lead=f"A circuit read from {Path(imported['file']).name}.",
        facts=facts,
        ran={
            "file": imported["file"],
            "read as": imported["format"],
            "roots": roots or "none given",
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
                        ("Edges", edges, "A dash is what the file does not tell."),
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
        sql={a.query: load_query(a.query).text for figure in figures for a in figure.asked},
    )
