"""The last lines of a run: what was found, where it is, what to try next."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from svt.charts.style import counted, head_name, plural, ratio
from svt.config import Config
from svt.db.connect import connect
from svt.db.stores import Stores
from svt.query.named import run
from svt.report.interventions import intervention_facts
from svt.report.words import precision_sentences
from svt.stages.chart import CHARTS, REPORT, context_of
from svt.stages.reference import REFERENCE
from svt.store.results import NAME
from svt.system.shell import command, override


def found(config: Config, folder: Path, stores: Stores) -> str:
    """What a run found, in a few lines."""
    results = folder / NAME
    with connect(stores, results if results.is_file() else None) as con:
        lines = [_stored(row) for row in run(con, "summary").to_dicts()]
        if results.is_file():
            lines += _traced(config, con)
    return "\n".join(lines)


def _stored(row: Mapping[str, Any]) -> str:
    answered = "" if row["accuracy"] is None else f", {row['accuracy']:.1%} answered rightly"
    return (
        f"{row['model']}: {plural(row['prompts'], 'prompt')}, "
        f"{row['firing_pairs_a_prompt']:.1f} firing pairs a prompt{answered}"
    )


def where(folder: Path, stores: Stores | None) -> str:
    """What a run left and what to try next; paths as short as the working folder allows."""
    left = {
        "results": folder / NAME,
        "reference": folder / REFERENCE,
        "charts": folder / CHARTS,
        "report": folder / REPORT,
    }
    lines = [f"{what:<9} {_short(path)}" for what, path in left.items() if path.exists()]
    if stores is None:
        return "\n".join(lines)
    short = Stores.of(_short(path) for path in stores.paths)
    if short.paths:
        lines.insert(0, f"{'store':<9} {short}")
    traced = (folder / NAME).exists()
    return "\n".join(
        [*lines, "", "try next:", *(f"  {t}" for t in _next(folder, short.paths, traced))]
    )


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _traced(config: Config, con: duckdb.DuckDBPyConnection) -> list[str]:
    nodes, edges = run(con, "graph_nodes"), run(con, "shown_edges")
    context = context_of(con, config)
    least = context.min_count
    shown = f"{plural(nodes.height, 'head')}, {plural(edges.height, 'edge')}"
    found = f"{shown} in at least {counted(least, config.trace.count)}"
    if context.imported is None:
        deepest = max(run(con, "trace_summary")["deepest"].to_list())
        roots = ", ".join(head_name(*root) for root in context.roots)
        lines = [f"traced from {roots}: {found}, {plural(deepest, 'edge')} deep", *_unlabelled(con)]
    else:
        lines = [f"{context.imported}, imported: {found}"]
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
        lines += [f"  {told}" for told in _precisions(con, least)]
    lines += _chains(con)
    return lines + _intervened(con) if "intervene" in config.stages else lines


def _unlabelled(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Say how many traced edges have no place in the graph, if any."""
    row = run(con, "left_out").to_dicts()[0]
    n_out, n = row["trace_edges_without_role"], row["trace_edges"]
    if not n_out:
        return []
    told = f"left out: {n_out:,} of {plural(n, 'traced edge')}, into tokens without a role"
    return [f"{told} (trace.unlabelled=offset or text shows them)"]


def _precisions(con: duckdb.DuckDBPyConnection, least: int) -> list[str]:
    """What precision and recall mean here, in a sentence a reference."""
    found = run(con, "precision_recall", min_count=least)
    n_known = con.execute("SELECT reference, count(*) FROM reference_heads GROUP BY 1").fetchall()
    return precision_sentences(found, dict(n_known), run(con, "random_baseline"))


def _chains(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The strongest chain of heads from each root down, of those that have one."""
    chains = run(con, "head_chains").filter(pl.col("n_heads") > 1)["chain"].to_list()
    return ["strongest chains, upwards to a root:", *(f"  {c}" for c in chains)] if chains else []


def _intervened(con: duckdb.DuckDBPyConnection) -> list[str]:
    facts = intervention_facts(run(con, "edge_effects"))
    return [f"{fact.label}: {fact.value}, {fact.note}" for fact in facts]


def _next(folder: Path, stores: Sequence[Path], traced: bool) -> list[str]:
    """Commands that work as they stand, on this run's model and data, and take nothing away."""
    at, at_run = shlex.quote(str(_short(folder))), override("run.path", _short(folder))
    svt, sql = command("svt"), command("svt-sql")
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
