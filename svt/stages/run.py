"""The stages of a run, in their order, and what each needs.

1. dump       prompts, model -> a store (found by content, or made)
2. reference  prompts, model -> reference.csv: the heads whose ablation matters
3. trace      store -> trace_pairs, trace_edges, graph_edges
4. intervene  graph, store, prompts, model -> interventions and their effects, faithfulness
5. evaluate   graph, a reference -> reference_heads, evaluation
6. chart      queries -> figures, graph.graphml
7. report     the same figures -> report.html

1 leaves an immutable store; 3 to 5 fill results.duckdb, written aside and renamed; 6 and 7 read.
"""

import json
import shutil
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import duckdb

import svt
from svt.config import Config, to_mapping
from svt.dataset import Prompt
from svt.db.connect import connect
from svt.db.damage import check_damage
from svt.db.stores import Stores
from svt.errors import SvtError
from svt.query.evaluate import evaluate, reference_file
from svt.query.trace import trace
from svt.stages.chart import CHARTS, REPORT, draw_figures
from svt.stages.dump import Seconds, dump
from svt.stages.faithfulness import measure_faithfulness
from svt.stages.inputs import Inputs
from svt.stages.intervene import NOT_CHANGED, Finished, intervening
from svt.stages.preflight import check_inputs, check_requests, check_stores
from svt.stages.reference import make_reference
from svt.store.find import existing, find_or_make, store_path
from svt.store.results import NAME, has_interventions, load_stores, writing_results
from svt.system.progress import say


def run_stages(config: Config, folder: Path) -> Stores | None:
    """Runs `config.stages` into `folder` and returns the stores worked on, if a stage needed any.

    SvtError says what is wrong and leaves what stood.
    """
    seconds = Seconds()
    stages = set(config.stages)
    check_requests(config, folder)
    stores = stores_there(config)
    if stores is not None and not stores.paths:
        _check_imported(config)
    inputs = Inputs(config, stores)
    if stores is None:
        check_inputs(config, inputs.dataset, inputs.folder)
        if stages != {"reference"}:
            with seconds.of("dump"):
                stores = find_store(config, inputs)
    else:
        check_stores(config, stores)
        if {"intervene", "reference"} & stages:
            _check_unchanged(stores, inputs)
    if "reference" in stages:
        make_reference(config, inputs.model, inputs.dataset.prompts, folder)
    if stores is None or stages == {"reference"}:
        return None
    try:
        if {"trace", "intervene", "evaluate"} & stages:
            write_results(config, folder, stores, inputs, seconds)
        if {"chart", "report"} & stages:
            draw_figures(config, folder, stores)
    except duckdb.Error as error:
        check_damage(error, [*stores.paths, folder / NAME])
        raise
    return stores


def stores_there(config: Config) -> Stores | None:
    """The run's own stores, or those of a list or a pattern; null when one is asked for."""
    if config.run.path is not None:
        return load_stores(Path(config.run.path))
    stores = Stores.expand(config.store.path)
    if stores is not None:
        for note in stores.notes:
            say(note)
    return stores


def find_store(config: Config, inputs: Inputs) -> Stores:
    """The store that the configuration asks for, made if need be."""
    path = store_path(config, inputs.identity)
    if "dump" not in config.stages:
        if not existing(path, inputs.identity):
            raise SvtError(f"there is no store {path} yet; add dump to the stages")
        return Stores.of(path)
    for note in inputs.dataset.notes:
        say(note)

    local = replace(config, model=inputs.model_config)
    if find_or_make(
        path, inputs.identity, lambda path: dump(local, inputs.dataset, inputs.identity, path)
    ):
        say(f"store {path} is there already; nothing to dump")
    return Stores.of(path)


def _check_imported(config: Config) -> None:
    """SvtError for a stage that needs a store, which an imported circuit has not."""
    cannot = [stage for stage in config.stages if stage not in ("evaluate", "chart", "report")]
    if cannot:
        raise SvtError(
            f"stages={list(config.stages)}: {config.run.path} is an imported circuit without a "
            f"store, so there is no {' and no '.join(cannot)}; it has evaluate, chart and report"
        )


def _check_unchanged(stores: Stores, inputs: Inputs) -> None:
    """A model that runs again must run what the stores were made from."""
    if stores.identity != inputs.identity.key:
        raise SvtError(
            f"{stores}: the model's files or the prompts have changed since it was made, "
            "so they cannot be run again; start a new run without run.path"
        )


def write_results(
    config: Config, folder: Path, stores: Stores, inputs: Inputs, seconds: Seconds
) -> None:
    """Trace, interventions and evaluation into results.duckdb; what is not made anew stays."""
    stages = set(config.stages)
    if {"trace", "intervene"} <= stages:  # interventions start from a trace that is written
        _write(config, folder, stores, inputs, {"trace"}, None, seconds)
        stages.remove("trace")
    with ExitStack() as stack:
        changed = None
        if "intervene" in stages:
            with seconds.of("intervene"):
                changed = stack.enter_context(
                    intervening(
                        config, folder, stores, inputs.model, stored_prompts(stores, inputs)
                    )
                )
        _write(config, folder, stores, inputs, stages, changed, seconds)


def _write(
    config: Config,
    folder: Path,
    stores: Stores,
    inputs: Inputs,
    stages: Collection[str],
    changed: Finished | None,
    seconds: Seconds,
) -> None:
    keep = "trace" not in stages
    if not keep and has_interventions(folder):
        say("a new trace takes the place of the earlier one and of its interventions")
    with writing_results(folder, stores, keep) as con:
        if keep:
            ((roots, warnings),) = con.execute("SELECT roots, warnings FROM results.run").fetchall()
            roots, warnings = json.loads(roots), json.loads(warnings)
            con.execute("DELETE FROM results.run")
        else:
            with seconds.of("trace"):
                traced = trace(con, config.trace)
            roots, warnings = traced.roots, traced.warnings
            for warning in warnings:
                say(f"warning: {warning}")
        if changed is not None:
            changed.fill_tables(con, config.intervene.strength)
            earlier = [warning for warning in warnings if not warning.startswith(NOT_CHANGED)]
            warnings = [*earlier, *changed.warnings]
            if config.evaluate.edges == "validated":  # by the interventions that were there before
                con.execute("DELETE FROM results.evaluation")
            with seconds.of("faithfulness"):
                measure_faithfulness(con, config, inputs.model, stored_prompts(stores, inputs))
        if "evaluate" in stages:
            with seconds.of("evaluate"):
                reference = reference_file(config.evaluate.reference, config.model.name)
                evaluate(con, reference, [tuple(root) for root in roots], config.evaluate.edges)
        _insert_run(con, config, stores, roots, warnings, seconds)
        con.execute("CHECKPOINT results")  # a full disk says so while the pictures still stand
        remove_pictures(folder)  # and who dies here leaves none beside results that are not theirs


def stored_prompts(stores: Stores, inputs: Inputs) -> tuple[Prompt, ...]:
    """The prompts of the stores, for a model that runs again."""
    with connect(stores) as con:
        stored = {n for (n,) in con.execute("SELECT prompt_id FROM store.prompts").fetchall()}
    return tuple(prompt for prompt in inputs.dataset.prompts if prompt.prompt_id in stored)


def remove_pictures(folder: Path) -> None:
    """Takes away the pictures of results that are no more."""
    if (folder / CHARTS).exists() or (folder / REPORT).exists():
        shutil.rmtree(folder / CHARTS, ignore_errors=True)
        (folder / REPORT).unlink(missing_ok=True)
        say("the earlier results' charts and report were removed")


def _insert_run(
    con: duckdb.DuckDBPyConnection,
    config: Config,
    stores: Stores,
    roots: Sequence[Sequence[int]],
    warnings: Sequence[str],
    seconds: Seconds,
) -> None:
    con.execute(
        "INSERT INTO results.run BY NAME SELECT $svt_version AS svt_version, $config AS config, "
        "$store_path AS store_path, (SELECT identity FROM store.dump) AS store_identity, "
        "nullif((SELECT count(*) FROM store.prompts), 0) AS n_prompts, $roots AS roots, "
        "$warnings AS warnings, $seconds AS seconds, 'done' AS status",
        {
            "svt_version": svt.__version__,
            "config": json.dumps(to_mapping(config)),
            "store_path": stores.to_text(),
            "roots": json.dumps([list(root) for root in roots]),
            "warnings": json.dumps(list(warnings)),
            "seconds": json.dumps(seconds.rounded()),
        },
    )
