"""The interventions in the report: the number of causal edges, the heaviest edges, and sets.

Facts and single edges are of one scope and kind of change, the first that was run: global before
local, ablation before boosting.
"""

import polars as pl

from svt.charts.interventions import (
    DISCOVERIES,
    KIND_NAMES,
    SCOPE_NAMES,
    discoveries,
    kinds_of,
    scopes_of,
    verdicts,
)
from svt.report.page import Fact, Table, write_values

HEAVIEST = 12


def intervention_facts(edges: pl.DataFrame) -> list[Fact]:
    """Return the main numbers of the rows of `edge_effects`; none if nothing was decided."""
    tested = edges.drop_nulls("random_low")
    if tested.is_empty():
        return []
    chosen, change = _select_first(tested)
    significance = discoveries(chosen)
    note = f"beyond random slices, {change}" + (f"; {significance}" if significance else "")
    return [Fact("causal edges", verdicts(chosen), note)]


def intervention_tables(edges: pl.DataFrame, sets: pl.DataFrame) -> list[Table]:
    """Return tables of the rows of `edge_effects` and `additivity`: counts, edges, sets."""
    tables = [] if edges.is_empty() else [_count_table(edges), _heaviest_table(edges)]
    return tables if sets.is_empty() else [*tables, _set_table(sets)]


def _select_first(rows: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Return the rows of the first scope and kind, and these in words."""
    scope = scopes_of(rows)[0]
    of_scope = rows.filter(scope=scope)
    kind = kinds_of(of_scope)[0]
    return of_scope.filter(kind=kind), f"{SCOPE_NAMES[scope]} {KIND_NAMES[kind]}"


def _count_table(edges: pl.DataFrame) -> Table:
    counts = edges.group_by("scope", "kind", maintain_order=True).agg(
        edges=pl.len(),
        beyond_random_slices=pl.col("beyond").sum(),
        helping=pl.col("helps").sum(),
        hindering=(~pl.col("helps")).sum(),
        false_discovery_below_5_percent=(pl.col("q_value") <= DISCOVERIES).sum(),
        too_few_prompts=(pl.col("beyond").is_null() & pl.col("random_low").is_not_null()).sum(),
        mean_effect=pl.col("effect").mean(),
        mean_random_effect=pl.col("random_effect").mean(),
    )
    return Table(
        "Edges beyond chance",
        counts.sort("scope", "kind").with_columns(
            pl.col("scope").cast(pl.String).replace(SCOPE_NAMES)
        ),
        "An edge counts as causal when the interval of its effect on the logit difference does not "
        "contain 0 and lies farther from it than that of the same change to random slices. It "
        "helps the answer when the difference falls without it, and hinders it when it rises. "
        "Intervals draw prompts, those of random slices also the seeds. The false discovery rate "
        "(Benjamini and Hochberg, over all edges of a row) is of p-values that rank an effect "
        "among its random controls.",
    )


def _heaviest_table(edges: pl.DataFrame) -> Table:
    chosen, change = _select_first(edges)
    heaviest = chosen.head(HEAVIEST)
    return Table(
        "The heaviest edges, changed one at a time",
        heaviest.select(
            pl.col("label").alias("edge"),
            "weight",
            "effect",
            _write_interval(heaviest, "effect_low", "effect_high").alias("interval"),
            pl.col("effect_share").alias("share"),
            "random_effect",
            _write_interval(heaviest, "random_low", "random_high").alias("random_interval"),
            "beyond",
            "p_value",
            "q_value",
        ),
        f"{change.capitalize()}: the change of the logit difference and its share of the whole, "
        "beside the same change to random slices; the intervals are of 95% from a bootstrap.",
    )


def _set_table(sets: pl.DataFrame) -> Table:
    chosen, change = _select_first(sets)
    return Table(
        "Edges changed together",
        chosen.select(
            pl.col("label").alias("set"),
            pl.col("n_edges").alias("edges"),
            "effect",
            "sum_of_members",
            "ratio",
            "difference",
            _write_interval(chosen, "difference_low", "difference_high").alias("interval"),
        ),
        f"{change.capitalize()}: where the interval of the difference contains 0, the edges act "
        "independently of one another; the ratio is unreliable where the sum is near 0.",
    )


def _write_interval(rows: pl.DataFrame, low: str, high: str) -> pl.Series:
    """`−0.57 to −0.47`, null where there is none."""
    ends = write_values(pl.concat([rows[low], rows[high].alias(low)]))
    texts = pl.Series([f"{a} to {b}" for a, b in zip(ends, ends[rows.height :], strict=False)])
    return texts.cast(pl.String).set(rows[low].is_null(), None)
