"""The page that compares two runs: their graphs next to each other, and tables of what differs.

1. Facts: the heads and edges in both circuits and in one alone.
2. The traced graph of each run, side by side.
3. What each run found, line by line, and the settings that differ.
4. Heads by role: which heads attend between the same roles, in the field's names. This holds for
   two models as well; layers and heads of two models have nothing to do with each other, so step 5
   is left out for them.
5. Edges and heads of one circuit alone, and the edges whose place by weight changed most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from svt.charts import Context, Figure, RunQuery
from svt.charts.style import head_names, plural, ratio
from svt.config import Config
from svt.report.interventions import intervention_facts
from svt.report.page import Fact, Report, Section, Table, flatten

MOST_EDGES = 25
"""Rows of a table of edges."""
_NOT_COMPARED = ("stages", "run", "store", "chart")
_EDGE = ("up_layer", "up_head", "layer", "head", "side", "role")


@dataclass(frozen=True)
class Compared:
    """One of the two runs, with the figure of its graph."""

    folder: str
    """Its name; the page calls the runs A and B."""
    config: Config
    settings: Mapping[str, Any]
    context: Context
    ask: RunQuery
    graph: Figure

    @property
    def model(self) -> str:
        return self.config.model.name


def make_comparison(one: Compared, other: Compared, both: RunQuery) -> Report:
    """Return the page; `both` runs queries with the second run attached as `other`."""
    imported = (one.context.imported, other.context.imported) != (None, None)
    same_model = imported or one.model == other.model  # an import names no model
    facts: Sequence[Fact] = ()
    left_out: Sequence[str] = ()
    sections = [
        Section("Graphs", [_label_graph(one, "A"), _label_graph(other, "B")], beside=True),
        Section("Runs", (), [_results(one, other), _settings(one, other)]),
        Section("Roles", (), [_roles(one, other)]),
    ]
    if same_model:
        edges, heads = both("compare_edges"), both("compare_heads")
        facts = _facts(edges, heads)
        sections.append(Section("Differences", (), _differences(edges, heads)))
    else:
        left_out = [
            f"{one.model} and {other.model} number their heads independently, so heads and edges "
            "are compared by role alone."
        ]
    return Report(
        title=f"svt: {one.folder} beside {other.folder}",
        lead=f"Two traced circuits. A: {_describe(one)}. B: {_describe(other)}.",
        facts=facts,
        left_out=left_out,
        sections=sections,
    )


def _describe(run: Compared) -> str:
    return f"{run.folder} ({run.model} on {run.config.dataset.name})"


def _facts(edges: pl.DataFrame, heads: pl.DataFrame) -> list[Fact]:
    """Return the sizes of the overlap (step 1)."""
    facts = []
    for what, rows in (("heads", heads), ("edges", edges)):
        counts = dict(rows.group_by("found").len().iter_rows())
        here, there, shared = (counts.get(key, 0) for key in ("this", "other", "both"))
        alone = f"{here} only in A, {there} only in B"
        facts.append(Fact(f"{what} in both", f"{shared} of {rows.height}", alone))
    correlation: Any = edges["rank_correlation"].first() if edges.height else None
    return [
        *facts,
        Fact("rank correlation", ratio(correlation, "–"), "of the weights of edges in both"),
    ]


def _label_graph(run: Compared, letter: str) -> Figure:
    """Return the graph with the run as its title, and a name of its own on the page (step 2)."""
    reading = "The traced graph. The slider says in how many prompts an edge is, to be shown."
    title = f"{letter}: {_describe(run)}"
    return replace(run.graph, name=f"graph_{letter}", title=title, reading=reading, calls=())


def _results(one: Compared, other: Compared) -> Table:
    """Return what was found, with a column for each run (step 3)."""
    columns = [_summarise(run) for run in (one, other)]
    results = _side_by_side(list(columns[0] | columns[1]), columns)
    return Table("Results", results, "The same lines for both runs.")


def _summarise(run: Compared) -> dict[str, str]:
    context = run.context
    data = f"{run.config.dataset.name}: {plural(context.n_prompts, 'prompt')}"
    lines = {
        "model": run.model,
        "data": "imported" if context.imported else data,
        "roots": head_names(context.roots) or "none",
        "heads in the graph": f"{run.ask('graph_nodes').height:,}",
        "edges in the graph": f"{run.ask('shown_edges').height:,}",
    }
    at = {"count": context.trace.count, "min_count": context.min_count}
    for row in run.ask("precision_recall", **at).to_dicts():
        ratios = f"{ratio(row['precision'])}, {ratio(row['recall'])}"
        lines[f"precision, recall against {row['reference']}"] = ratios
    causal = intervention_facts(run.ask("edge_effects"))
    return lines | {f"{fact.label} {fact.note}": fact.value for fact in causal}


def _settings(one: Compared, other: Compared) -> Table:
    """Return the keys of the configurations that differ, but for paths (step 3)."""
    columns = [
        {k: v for k, v in flatten(run.settings) if k.split(".")[0] not in _NOT_COMPARED}
        for run in (one, other)
    ]
    keys = [key for key in columns[0] if columns[0][key] != columns[1].get(key, columns[0][key])]
    reading = "Keys with different values, but for stages, charts and paths."
    if not keys:
        reading = "The settings are the same, but for stages, charts and paths."
    return Table("Settings that differ", _side_by_side(keys, columns), reading)


def _side_by_side(keys: Sequence[str], columns: Sequence[Mapping[str, str]]) -> pl.DataFrame:
    values = {n: [c.get(key) for key in keys] for n, c in zip("AB", columns, strict=True)}
    frame = {"": list(keys), **values}
    return pl.DataFrame(frame, schema=dict.fromkeys(frame, pl.String))


def _roles(one: Compared, other: Compared) -> Table:
    """Return the heads of each run that attend between the same roles (step 4)."""
    frames = []
    for run, name in zip((one, other), "AB", strict=True):
        rows = run.ask("head_roles", min_share=0.5)
        heads = pl.format("{}.{}", "layer", "head")
        share = pl.format(" ({}%)", (pl.col("share") * 100).round().cast(pl.Int64))
        frames.append(
            rows.with_columns(text=heads + share)
            .group_by("pattern", "dest_role", "src_role", maintain_order=True)
            .agg(pl.col("text").str.join(", ").alias(name))
        )
    joined = frames[0].join(
        frames[1],
        on=["pattern", "dest_role", "src_role"],
        how="full",
        nulls_equal=True,
        coalesce=True,
    )
    return Table(
        "Heads by role",
        joined.sort("pattern", "dest_role", "src_role", nulls_last=True),
        "Heads that attend between the same roles in at least half of the prompts (their share), "
        "with what the field calls such a head.",
    )


def _differences(edges: pl.DataFrame, heads: pl.DataFrame) -> list[Table]:
    """Return edges and heads of one circuit alone, and changes of places (step 5)."""
    shown = [name for name in _EDGE if edges[name].is_not_null().any()]
    named = {
        f"{other}{name}": f"{name} {letter}"
        for other, letter in (("", "A"), ("other_", "B"))
        for name in ("count", "weight", "rank")
    }
    edges, heads = (frame.rename(named, strict=False) for frame in (edges, heads))
    tables = []
    for circuit, letter in (("this", "A"), ("other", "B")):
        alone = edges.filter(found=circuit)
        alone = alone.sort(f"weight {letter}", descending=True, nulls_last=True)
        tables.append(
            Table(
                f"Edges only in {letter}",
                alone.head(MOST_EDGES).select(*shown, f"count {letter}", f"weight {letter}"),
                f"{_count_shown(alone.height)}, by weight.",
            )
        )
    both = edges.filter(found="both")
    moved = both.with_columns(moved=(pl.col("rank A").cast(pl.Int64) - pl.col("rank B")).abs())
    moved = moved.sort("moved", descending=True, nulls_last=True)
    values = [f"{name} {letter}" for name in ("count", "weight", "rank") for letter in "AB"]
    tables.append(
        Table(
            "Edges in both",
            moved.head(MOST_EDGES).select(*shown, *values),
            f"{_count_shown(moved.height)}; those first whose rank by weight differs most.",
        )
    )
    alone = heads.filter(pl.col("found") != "both")
    letters = pl.col("found").replace_strict({"this": "A", "other": "B"}, return_dtype=pl.String)
    tables.append(
        Table(
            "Heads in one circuit alone",
            alone.select(letters.alias("only in"), "layer", "head", "count A", "count B"),
            "Ends of shown edges, and roots, that the other circuit does not have.",
        )
    )
    return tables


def _count_shown(n: int) -> str:
    return f"{MOST_EDGES} of {n:,} edges" if n > MOST_EDGES else plural(n, "edge").capitalize()
