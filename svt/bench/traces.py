"""Traces, thresholds and interventions over a store, compared with forward passes.

1. Time traces at other coverages, and graphs at other count thresholds, from the highest heads that
   fire at the end.
2. For each scope, time interventions on the heaviest edges of that trace into the upper half of the
   layers, with one random control per edge: runs per second, including set-up and writing, compared
   with one full forward pass each.
3. On SmolLM2, do the dump and step 1; and step 2 on fewer prompts, with the roots that svt selects
   and the default number of random controls.
"""

import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from svt.bench.dumps import N_PROMPTS, dump_rows, measure_dump, run_forward
from svt.bench.rows import Row, divide, time_call
from svt.bench.setting import load_smollm2
from svt.cli.console import say
from svt.compute.load import load_model
from svt.compute.model import Model
from svt.config import Config, Head
from svt.dataset import Dataset
from svt.db.connect import connect
from svt.db.stores import Stores
from svt.errors import SvtError
from svt.query.named import run as run_query
from svt.query.trace import trace
from svt.stages.intervene import run_interventions
from svt.store.results import create_results
from svt.words import SCOPES

N_ROOTS = 12
N_FEW = 96  # prompts of interventions on SmolLM2
COVERAGES = (0.5, 0.6, 0.8)
THRESHOLDS = (32, 65, 170)


def trace_rows(
    config: Config,
    folder: Path,
    store: Path,
    passes: list[float],
    limit: float,
) -> list[Row]:
    """Return the rows of step 1; `passes` are seconds of the bare forward pass."""
    base = median(passes)
    traced, graphs, heads = [], [], []
    for coverage in COVERAGES:
        with create_results(folder / str(coverage), Stores.of(store), keep=False) as con:
            traced.append(time_call(trace, con, replace(config.trace, coverage=coverage)))
            graphs += [time_call(run_query, con, "shown_edges", min_count=n) for n in THRESHOLDS]
            ((head,),) = con.execute("SELECT max([layer, head]) FROM trace_edges").fetchall()
            of_head = {"layer": head[0], "head": head[1], "side": "dest"}
            heads.append(time_call(run_query, con, "upstream_of", **of_head))
    return [
        Row("a trace at a new coverage", traced, "s"),
        Row("a new trace / bare forward pass", [t / base for t in traced], "", ("at most", limit)),
        Row("a graph at a new count threshold", graphs, "s"),
        Row("the query upstream_of for one head", heads, "s", ("at most", 1.0)),
    ]


def intervention_rows(
    config: Config,
    folder: Path,
    store: Path,
    model: Model,
    dataset: Dataset,
    passes: list[float],
    limit: float,
    repeats: int = 1,
) -> list[Row]:
    """Return the rows of step 2 on the trace in `folder`; `repeats` is the controls per edge."""
    full_rates = [len(dataset.prompts) / seconds for seconds in passes]
    upper = (
        f"select * from graph_edges where layer >= {model.n_layers // 2} "
        "order by total desc limit 4"
    )
    settings, rows = replace(config.intervene, edges=upper, sets=None, repeats=repeats), []
    for scope in SCOPES:
        one_scope = replace(config, intervene=replace(settings, scopes=(scope,)))
        rates = []
        for repeat in range(len(passes)):
            say(f"interventions, {scope}: repeat {repeat + 1} of {len(passes)}")
            start, stores = time.perf_counter(), Stores.of(store)
            with run_interventions(one_scope, folder, stores, model, dataset.prompts) as stage:
                n_runs = stage.plan.pairs["run"].n_unique() * len(stage.plan.variants)
            rates.append(n_runs / (time.perf_counter() - start))
        rows += [
            Row(f"interventions, {scope}, a second", rates),
            Row(
                f"interventions, {scope} / full forward passes",
                divide(rates, full_rates),
                limit=("at least", limit),
            ),
        ]
    return rows


def smollm2_rows(folder: Path, repeats: int) -> list[Row]:
    """Return the rows of step 3; none where the package with the model is not installed."""
    try:
        config, whole = load_smollm2(N_PROMPTS)
    except SvtError as error:
        say(f"SmolLM2 is left out: {error}")
        return []
    goals = {"set_up": 0.6, "strong": 1.25, "effects": 1.8, "defaults": 2.0}
    rows = dump_rows(config, whole, folder, repeats, goals)
    passes = list(rows[0].values)
    rows += trace_rows(config, folder / "traces", folder / "defaults-cpu.duckdb", passes, 0.1)
    strong = replace(config, dump=replace(config.dump, min_weight=0.5))
    dataset = Dataset(whole.prompts[:N_FEW])
    store, traced = folder / "smollm2.duckdb", folder / "smollm2"
    measure_dump(strong, dataset, store)
    with create_results(traced, Stores.of(store), keep=False) as con:
        trace(con, config.trace)
    model = load_model(config.model)
    run_forward(model, config, dataset, True)  # warm
    passes = [time_call(run_forward, model, config, dataset, True) for _ in range(repeats)]
    controls = config.intervene.repeats
    rows += intervention_rows(config, traced, store, model, dataset, passes, 3, controls)
    return [replace(row, name=f"SmolLM2: {row.name}") for row in rows]


def top_firing_heads(store: Path) -> tuple[Head, ...]:
    """Return the heads that fire from the last token, highest layer first."""
    with connect(Stores.of(store)) as con:
        rows = run_query(con, "firings").filter(dest_role="end")
    heads = rows.select("layer", "head").unique().sort("layer", "head", descending=True).rows()
    return tuple(heads[:N_ROOTS])
