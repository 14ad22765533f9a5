"""The section of the report that compares a run with the paper: its numbers and two thresholds.

A run is the paper's experiment when it was traced from the paper's roots and evaluated against the
heads of Wang et al., with any model.
"""

from collections.abc import Sequence
from math import ceil

import duckdb
import polars as pl

from svt.charts import RunQuery
from svt.config import Head, ModelConfig
from svt.report.page import Table

ROOTS = {(9, 6), (9, 9), (10, 0)}
PROMPTS, THRESHOLDS = 256, (65, 170)


def is_papers_experiment(con: duckdb.DuckDBPyConnection, roots: Sequence[Head]) -> bool:
    """Return whether a run's numbers are comparable with those of the paper."""
    rows = con.execute("SELECT 1 FROM evaluation WHERE reference = 'wang2023' LIMIT 1").fetchall()
    return set(roots) == ROOTS and bool(rows)


def paper_tables(
    ask: RunQuery, n_prompts: int, model: ModelConfig, all_slices: bool
) -> list[Table]:
    """Return the paper's numbers beside the run's, and the evaluation at the paper's thresholds.

    The second table needs contributions through all slices. The first names the source of the
    weights, as model.name alone does not identify them.
    """
    numbers = ask("paper_numbers").with_columns(
        pl.col("measured").map_elements(_write_number, return_dtype=pl.String)
    )
    weights = model.path or f"{model.name} on the Hugging Face hub"
    scaled = f" Thresholds of {PROMPTS} prompts are scaled to the {n_prompts:,} of this run."
    comparison = Table(
        "The paper's numbers beside this run's",
        numbers,
        "What Franco and Crovella state of GPT-2 small, in numbers or words, and what was "
        f"measured here, with the weights of {weights}; a dash where a stage did not run or a "
        f"head never fired. The published graph counts visits, as trace=released does."
        + (scaled if n_prompts != PROMPTS else ""),
    )
    return [comparison, _threshold_table(ask, n_prompts)] if all_slices else [comparison]


def _threshold_table(ask: RunQuery, n_prompts: int) -> Table:
    counts = {n: ceil(n_prompts * n / PROMPTS) for n in THRESHOLDS}
    thresholds = " and ".join(f"{n} ({count} of {n_prompts:,})" for n, count in counts.items())
    return Table(
        "At the paper's thresholds",
        pl.concat([ask("baseline_without_svd", min_count=count) for count in counts.values()]),
        f"The trace over signal slices and over all slices, which needs no singular vectors, "
        f"at the paper's counts of 256 prompts: {thresholds}.",
    )


def _write_number(value: float) -> str:
    """Return whole numbers without decimals, others with four significant digits."""
    return f"{value:,.0f}" if value == round(value) else f"{value:.4g}"
