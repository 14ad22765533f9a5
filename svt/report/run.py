"""The report of a run: its numbers, tables and figures, section by section.

All of it comes from named queries over the run and its store. A section without figures and tables
is left out. The results of interventions are in svt/report/interventions.py.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from svt.charts import Context, Figure, RunQuery
from svt.charts.head_figures import HEAD_FIGURES
from svt.charts.intervention_figures import INTERVENTION_FIGURES
from svt.charts.style import counted, head_name, head_names, plural, ratio
from svt.charts.trace_figures import TRACE_FIGURES
from svt.config import Config
from svt.db.stores import Stores
from svt.query.named import is_stored, load_query
from svt.report.interventions import intervention_facts, intervention_tables
from svt.report.page import Fact, Report, Section, Table
from svt.report.paper import is_papers_experiment, paper_tables
from svt.report.words import precision_sentences, rare_edges_sentences, terms

EVALUATION_FIGURES = ("precision_recall", "sweep")


def make_report(
    con: duckdb.DuckDBPyConnection,
    ask: RunQuery,
    config: Config,
    context: Context,
    figures: Sequence[Figure],
) -> Report:
    """Return the report of a finished run, with `figures` in their sections."""
    run_row = con.sql("FROM run").pl().to_dicts()[0]
    dump_row = con.sql("FROM dump").pl().to_dicts()[0]
    summary = ask("summary").to_dicts()[0]
    edges, sets = ask("edge_effects"), ask("additivity")
    evaluated = bool(con.execute("SELECT 1 FROM evaluation LIMIT 1").fetchall())
    all_slices = is_stored(con, "dump.all_slices")
    return Report(
        title=f"svt: {summary['model']} on {config.dataset.name}",
        lead=f"A circuit traced through singular vectors over {summary['prompts']:,} prompts, from "
        f"{head_names(context.roots)}.",
        terms=terms(config.trace.firing_weight, [head_name(*root) for root in context.roots]),
        headline=_headline(con, ask, context) if config.evaluate.edges == "all" else (),
        facts=[*_facts(ask, context, summary), *intervention_facts(edges)],
        ran=_describe_run(config, context, summary, run_row, dump_row),
        left_out=_left_out(ask, run_row, dump_row, evaluated, bool(edges.height), all_slices),
        sections=[
            Section(
                "Circuit",
                _select(figures, set(TRACE_FIGURES) - set(EVALUATION_FIGURES)),
                [Table("From each root", ask("trace_summary"), "How far the trace went.")],
            ),
            Section(
                "Evaluation",
                _select(figures, EVALUATION_FIGURES),
                _evaluation(ask, all_slices) if evaluated else [],
            ),
            Section("Heads", _select(figures, HEAD_FIGURES), _roles(ask)),
            Section(
                "Interventions",
                _select(figures, INTERVENTION_FIGURES),
                intervention_tables(edges, sets),
            ),
            Section(
                "The paper",
                (),
                paper_tables(ask, summary["prompts"], config.model, all_slices)
                if is_papers_experiment(con, context.roots)
                else [],
            ),
            Section("Numbers", (), _numbers(run_row, dump_row)),
        ],
        config=json.loads(run_row["config"]),
        sql={a.query: load_query(a.query).text for figure in figures for a in figure.calls},
    )


def _select(figures: Sequence[Figure], names: Any) -> list[Figure]:
    return [figure for figure in figures if figure.name in names]


def _facts(ask: RunQuery, context: Context, summary: Mapping[str, Any]) -> list[Fact]:
    """Return the headline numbers of the store, the trace and its evaluation."""
    nodes, edges, share = ask("graph_nodes"), ask("shown_edges"), summary["accuracy"]
    deepest = max(ask("trace_summary")["deepest"].to_list())
    facts = [
        Fact(
            "prompts",
            f"{summary['prompts']:,}",
            f"answered correctly: {'no answers' if share is None else f'{share:.1%}'}",
        ),
        Fact("firing pairs a prompt", f"{summary['firing_pairs_a_prompt']:.1f}"),
        Fact(
            "slices in a signal", f"{summary['median_signal_size']:.0f}", "median of a firing pair"
        ),
        Fact("heads in the graph", f"{nodes.height}", plural(edges.height, "edge")),
        Fact("deepest trace", f"{deepest}", "edges from a root"),
    ]
    rows = ask("precision_recall", count=context.trace.count, min_count=context.min_count)
    return facts + precision_facts(rows)


def _headline(con: duckdb.DuckDBPyConnection, ask: RunQuery, context: Context) -> list[str]:
    rows = ask("precision_recall", count=context.trace.count, min_count=context.min_count)
    n_known = con.execute("SELECT reference, count(*) FROM reference_heads GROUP BY 1").fetchall()
    sentences = precision_sentences(rows, dict(n_known), ask("random_baseline"))
    return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences]


def precision_facts(rows: pl.DataFrame) -> list[Fact]:
    """Return the facts on every reference; rows: of the query `precision_recall`."""
    facts = []
    for row in rows.to_dicts():
        precision, recall, reachable = (
            ratio(row[key], "–") for key in ("precision", "recall", "recall_reachable")
        )
        facts += [
            Fact("precision", precision, f"against {row['reference']}"),
            Fact("recall", recall, f"reachable: {reachable}"),
        ]
    return facts


def _describe_run(
    config: Config,
    context: Context,
    summary: Mapping[str, Any],
    run_row: Mapping[str, Any],
    dump_row: Mapping[str, Any],
) -> dict[str, str]:
    """Return descriptions of the model, data, thresholds, versions and time of the run."""
    trace, stores = context.trace, Stores.from_text(run_row["store_path"])
    versions = json.loads(dump_row["library_versions"])
    rule = (
        f"coverage {trace.coverage:g} of {trace.slices} slices"
        if trace.rule == "coverage"
        else f"effects of at least {trace.min_effect:g}"
    )
    seconds = sum(_seconds(run_row, dump_row).values())
    return {
        "model": f"{summary['model']}: {summary['layers']} layers, {summary['heads']} heads",
        "data": f"{config.dataset.name}: {plural(summary['prompts'], 'prompt')}, "
        f"{plural(summary['tokens'], 'token')}",
        "roots": f"{head_names(context.roots)}, attending from {trace.root_dest} to "
        f"{trace.root_src}",
        "thresholds": f"firing from an attention weight of {trace.firing_weight:g}, {rule}, "
        f"edges in at least {counted(context.min_count, trace.count)}",
        "versions": f"svt {run_row['svt_version']}"
        + "".join(f", {name} {version}" for name, version in versions.items()),
        "time": f"{seconds:.1f} seconds, with at most "
        f"{dump_row['peak_bytes'] / 1e9:.1f} GB of memory",
        "store": str(Stores.of(Path(path.name) for path in stores.paths)),
    }


def _left_out(
    ask: RunQuery,
    run_row: Mapping[str, Any],
    dump_row: Mapping[str, Any],
    evaluated: bool,
    intervened: bool,
    all_slices: bool,
) -> list[str]:
    row = ask("left_out").to_dicts()[0]
    sentences = [*json.loads(run_row["warnings"]), *json.loads(dump_row["notes"] or "[]")]
    sentences += rare_edges_sentences(row["rare_edges"])
    if row["trace_edges_without_role"]:
        sentences.append(
            f"{row['trace_edges_without_role']:,} of {row['trace_edges']:,} traced edges write "
            "into tokens without a role; they are in trace_edges, not in the graph "
            "(trace.unlabelled)."
        )
    sentences.append(_without_upstream(json.loads(dump_row["config"])["dump"]))
    if not evaluated:
        sentences.append("No reference was set for this model, so nothing was evaluated.")
    if not all_slices:
        sentences.append(
            "The trace without singular vectors is not shown: the store holds no contributions "
            "through all slices; dump with dump.all_slices=true for it."
        )
    if not intervened:
        sentences.append(
            "No edge was changed, so none is shown to be causal; add intervene to the stages."
        )
    return sentences


def _without_upstream(dump: Mapping[str, Any]) -> str:
    """Return a sentence on the pairs without upstream contributions in the store."""
    weak = f"with attention weight below {dump['min_weight']:g}"
    if dump["pairs"] == "eligible" and dump["min_weight"] > 0:
        weak += ", a negative score or the first token as source"
    return f"Pairs {weak} have no upstream contributions in the store."


def _evaluation(ask: RunQuery, all_slices: bool) -> list[Table]:
    random = [
        Table(
            "Beside random head sets",
            ask("random_baseline"),
            "1,000 random sets of as many heads; the last column is the share of them that "
            "do at least as well.",
        ),
        Table(
            "Beside random head sets with the same roots",
            ask("random_baseline", keep_roots=True, among="reachable"),
            "The roots were chosen by their effect, so this is the fairer comparison: the "
            "same roots, the other heads drawn from the layers below them.",
        ),
    ]
    if not all_slices:
        return random
    baseline = Table(
        "With and without singular vectors",
        ask("baseline_without_svd"),
        "The same trace over signal slices and over all slices, against the reference.",
    )
    return [baseline, *random]


def _roles(ask: RunQuery) -> list[Table]:
    """Return the roles of the traced heads, in the names of the field, and the strongest chains."""
    chains = ask("head_chains").filter(pl.col("n_heads") > 1)
    roles = Table(
        "Roles of the heads",
        ask("head_roles", min_share=0.5),
        "Between which tokens the traced heads attend in at least half of the prompts, and what "
        "the field calls a head that does so.",
    )
    chained = Table(
        "Strongest chains",
        chains,
        "From below up to each root: the steps whose removal takes the most attention weight.",
    )
    return [roles, chained] if chains.height else [roles]


def _numbers(run_row: Mapping[str, Any], dump_row: Mapping[str, Any]) -> list[Table]:
    contrast = json.loads(dump_row["config"])["dump"].get("score") == "contrast"
    of_slices = "the score's lead over the other sources" if contrast else "score"
    unless = "none unless every component was dumped"
    residuals = {
        f"largest |sum of slices − {of_slices}|": dump_row["worst_residual"],
        "largest relative error of a head's SVD": dump_row["worst_reconstruction"],
        f"largest closure of a side ({unless})": dump_row["worst_closure"],
    }
    return [
        Table(
            "Numerical residuals",
            _pairs(residuals, "measure", "value"),
            "How exactly the parts add up to the whole.",
        ),
        Table("Time", _pairs(_seconds(run_row, dump_row), "phase", "seconds")),
    ]


def _seconds(run_row: Mapping[str, Any], dump_row: Mapping[str, Any]) -> dict[str, float]:
    """Return wall time by phase; the dump may be of an earlier run with the same store."""
    dumped = {f"dump: {k}": v for k, v in json.loads(dump_row["seconds"]).items()}
    return dumped | {k: v for k, v in json.loads(run_row["seconds"]).items() if k != "dump"}


def _pairs(values: Mapping[str, object], key: str, value: str) -> pl.DataFrame:
    return pl.DataFrame({key: list(values), value: list(values.values())})
