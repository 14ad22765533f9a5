"""What a store saves: a new trace, a new threshold, and interventions, against forward passes.

1. From the uppermost heads that fire at the end: traces at other coverages, and graphs at other
   count thresholds.
2. Scope by scope, on the heaviest edges of that trace into the upper half of the layers: changed
   runs a second, set-up and writing included, against one full forward pass each.
"""

import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import polars as pl

from svt.bench.rows import Row, ratios, timed
from svt.compute.model import Model
from svt.config import Config, Head, Scope
from svt.dataset import Dataset
from svt.intervene import intervening
from svt.progress import say
from svt.query.connect import connect
from svt.query.sql import run as run_query
from svt.query.trace import trace
from svt.results import writing_results

N_ROOTS = 12
SCOPES: tuple[Scope, ...] = ("global", "local_qk", "local_qkv")
UPPER_EDGES = "select * from graph_edges where layer >= 6 order by total desc limit 4"
COVERAGES = (0.5, 0.6, 0.8)
THRESHOLDS = (32, 65, 170)


def trace_rows(config: Config, folder: Path, store: Path, passes: list[float]) -> list[Row]:
    """Step 1; `passes`: seconds of the bare forward pass."""
    base = median(passes)
    roots = top_firing_heads(store)
    traced, graphs = [], []
    for coverage in COVERAGES:
        asked = replace(config.trace, coverage=coverage, roots=roots)
        with writing_results(folder / str(coverage), store, keep=False) as con:
            traced.append(timed(trace, con, asked))
            graphs += [timed(run_query, con, "graph_edges", min_count=n) for n in THRESHOLDS]
    return [
        Row("a trace at a new coverage", traced, "s"),
        Row("a new trace / bare forward pass", [t / base for t in traced], "", ("at most", 0.05)),
        Row("a graph at a new count threshold", graphs, "s"),
    ]


def intervention_rows(
    config: Config,
    folder: Path,
    store: Path,
    model: Model,
    dataset: Dataset,
    passes: list[float],
) -> list[Row]:
    """Step 2, on the first trace of step 1."""
    whole = [len(dataset.prompts) / seconds for seconds in passes]
    rows = []
    for scope in SCOPES:
        rates = []
        for turn in range(len(passes)):
            say(f"interventions, {scope}: turn {turn + 1} of {len(passes)}")
            settings = replace(
                config.intervene, edges=UPPER_EDGES, sets=None, scopes=(scope,), repeats=1
            )
            start = time.perf_counter()
            with intervening(
                replace(config, intervene=settings),
                folder / str(COVERAGES[0]),
                store,
                model,
                dataset.prompts,
            ) as done:
                n_runs = done.plan.pairs["run"].n_unique() * len(done.plan.variants)
            rates.append(n_runs / (time.perf_counter() - start))
        rows += [
            Row(f"interventions, {scope}, a second", rates),
            Row(f"interventions, {scope} / full forward passes", ratios(rates, whole)),
        ]
    return rows


def top_firing_heads(store: Path) -> tuple[Head, ...]:
    """Heads that fire from the last token, the uppermost first."""
    with connect(store) as con:
        rows = run_query(con, "firings").filter(pl.col("dest_role") == "end")
    heads = rows.select("layer", "head").unique().sort("layer", "head", descending=True).rows()
    return tuple(heads[:N_ROOTS])
