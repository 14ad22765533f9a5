"""The summary that a run prints at its end: results, files, and commands to try next."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from svt.charts.style import counted, head_names, plural, ratio
from svt.config import Config
from svt.db.connect import connect
from svt.db.stores import Stores
from svt.query.named import run
from svt.report.interventions import intervention_facts
from svt.report.words import precision_sentences
from svt.stages.chart import CHARTS, REPORT, make_context
from svt.stages.reference import REFERENCE
from svt.store.results import NAME
from svt.system.shell import find_command, format_override


def summarise(config: Config, folder: Path, stores: Stores) -> str:
    """Return the results of a run in a few lines."""
    results = folder / NAME
    with connect(stores, results if results.is_file() else None) as con:
        lines = [_describe_store(row) for row in run(con, "summary").to_dicts()]
        if results.is_file():
            lines += _describe_trace(config, con)
    return "\n".join(lines)


def _describe_store(row: Mapping[str, Any]) -> str:
    answered = "" if row["accuracy"] is None else f", {row['accuracy']:.1%} answered rightly"
    return (
        f"{row['model']}: {plural(row['prompts'], 'prompt')}, "
        f"{row['firing_pairs_a_prompt']:.1f} firing pairs a prompt{answered}"
    )


def describe_output(folder: Path, stores: Stores | None) -> str:
    """Return lines with the files of a run, relative to the working folder, and next commands."""
    files = {
        "results": folder / NAME,
        "reference": folder / REFERENCE,
        "charts": folder / CHARTS,
        "report": folder / REPORT,
    }
    lines = [f"{what:<9} {_shorten(path)}" for what, path in files.items() if path.exists()]
    if stores is None:
        return "\n".join(lines)
    short = Stores.of(_shorten(path) for path in stores.paths)
    if short.paths:
        lines.insert(0, f"{'store':<9} {short}")
    commands = _suggest_commands(folder, short.paths, traced=(folder / NAME).exists())
    return "\n".join([*lines, "", "try next:", *(f"  {line}" for line in commands)])


def _shorten(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _describe_trace(config: Config, con: duckdb.DuckDBPyConnection) -> list[str]:
    nodes, edges = run(con, "graph_nodes"), run(con, "shown_edges")
    context = make_context(con, config)
    least = context.min_count
    shown = f"{plural(nodes.height, 'head')}, {plural(edges.height, 'edge')}"
    size = f"{shown} in at least {counted(least, config.trace.count)}"
    if context.imported is None:
        deepest = max(run(con, "trace_summary")["deepest"].to_list())
        roots = head_names(context.roots)
        lines = [f"traced from {roots}: {size}, {plural(deepest, 'edge')} deep"]
        lines += _describe_unlabelled(con)
    else:
        lines = [f"{context.imported}, imported: {size}"]
    rows = run(con, "precision_recall", count=config.trace.count, min_count=least).to_dicts()
    only = (
        ", causal edges only, for and against the answer"
        if config.evaluate.edges == "validated"
        else ""
    )
    lines += [
        f"against {row['reference']}{only}: precision {ratio(row['precision'])}, "
        f"recall {ratio(row['recall'])}, of the reachable {ratio(row['recall_reachable'])}"
        for row in rows
    ]
    if config.evaluate.edges == "all" and context.imported is None and rows:
        lines += [f"  {sentence}" for sentence in _describe_precision(con, least)]
    lines += _describe_chains(con)
    facts = intervention_facts(run(con, "edge_effects")) if "intervene" in config.stages else ()
    return [*lines, *(f"{fact.label}: {fact.value}, {fact.note}" for fact in facts)]


def _describe_unlabelled(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return a line on the traced edges that are not in the graph, if any."""
    row = run(con, "left_out").to_dicts()[0]
    n_out, n = row["trace_edges_without_role"], row["trace_edges"]
    if not n_out:
        return []
    left_out = f"left out: {n_out:,} of {plural(n, 'traced edge')}, into tokens without a role"
    return [f"{left_out} (trace.unlabelled=offset or text shows them)"]


def _describe_precision(con: duckdb.DuckDBPyConnection, least: int) -> list[str]:
    """Return a sentence for each reference on what precision and recall mean."""
    rows = run(con, "precision_recall", min_count=least)
    n_known = con.execute("SELECT reference, count(*) FROM reference_heads GROUP BY 1").fetchall()
    return precision_sentences(rows, dict(n_known), run(con, "random_baseline"))


def _describe_chains(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the strongest chain of heads into each root that has one."""
    chains = run(con, "head_chains").filter(pl.col("n_heads") > 1)["chain"].to_list()
    return ["strongest chains, upwards to a root:", *(f"  {c}" for c in chains)] if chains else []


def _suggest_commands(folder: Path, stores: Sequence[Path], traced: bool) -> list[str]:
    """Return commands for this run that work unchanged and remove nothing."""
    at, at_run = shlex.quote(str(_shorten(folder))), format_override("run.path", _shorten(folder))
    svt, sql = find_command("svt"), find_command("svt-sql")
    if not traced:
        at = shlex.quote(",".join(map(str, stores)))
        return [f"{sql} {at} firings", f"{sql} --list"]
    if not stores:
        return [f"{sql} {at} shown_edges", f"{sql} RUN --other {at} compare_edges"]
    return [
        f"{sql} {at} shown_edges",
        f'{svt} {at_run} "stages=[intervene,evaluate,chart,report]"',
        f'{svt} {at_run} "stages=[trace,evaluate,chart,report]" trace.coverage=0.9',
        f'{svt} -m {at_run} "stages=[trace,evaluate]" trace.coverage=0.5,0.6,0.7,0.8',
        f"{sql} --list",
    ]
