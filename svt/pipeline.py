"""The stages of a run, in their order, and what each needs.

1. dump       prompts, model -> a store (found by content, or made)
2. trace      store -> trace_pairs, trace_edges, graph_edges
3. evaluate   graph, a reference -> reference_heads, evaluation
4. chart      queries -> figures, graph.graphml
5. report     the same figures -> report.html

1 leaves an immutable store; 2 and 3 fill results.duckdb, written aside and renamed; 4 and 5 read.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

import svt
from svt.charts import known_figures
from svt.config import Config, TraceConfig, to_mapping
from svt.dataset import Dataset, dataset_files, load_prompts, load_tokenizer
from svt.dump import Seconds, dump
from svt.errors import SvtError
from svt.figures import draw_figures
from svt.model_files import CONFIG, localise, shape, weight_files
from svt.progress import say
from svt.query.evaluate import evaluate, reference_file
from svt.query.trace import trace
from svt.results import NAME, load_store_path, writing_results
from svt.store.find import existing, find_or_make, store_path
from svt.store.identity import identify


def run(config: Config, folder: Path) -> Path:
    """Runs `config.stages` into `folder` and returns the store that it worked on.

    SvtError says what is wrong and leaves what stood.
    """
    seconds = Seconds()
    check_requests(config, folder)
    with seconds.of("dump"):
        store = find_store(config)
    if {"trace", "evaluate"} & set(config.stages):
        write_results(config, folder, store, seconds)
    if {"chart", "report"} & set(config.stages):
        draw_figures(config, folder, store)
    return store


def check_requests(config: Config, folder: Path) -> None:
    """Refuses, before any work, what the configuration alone shows to be impossible."""
    reference_file(config.evaluate.reference, config.model.name)
    known_figures(config.chart.figures)
    stages = set(config.stages)
    if "trace" in stages:
        if config.trace.firing_weight < config.dump.min_weight:
            raise SvtError(
                f"trace.firing_weight={config.trace.firing_weight:g} lies below "
                f"dump.min_weight={config.dump.min_weight:g}: weaker pairs are not in the store; "
                "raise the one or dump again with a lower other"
            )
    elif stages - {"dump"} and not (folder / NAME).is_file():
        raise SvtError(
            f"stages={list(config.stages)}: {folder} has no results to work on; "
            "add trace to the stages, or name a finished run with run.path=DIR"
        )


def find_store(config: Config) -> Path:
    """The run's own store, or the one that the configuration asks for, made if need be."""
    if config.run.path is not None:
        return load_store_path(Path(config.run.path))
    model = localise(config.model)
    folder = Path(str(model.path))
    tokenizer = load_tokenizer(folder)
    dataset = load_prompts(config.dataset, tokenizer)
    identity = identify(
        config.model,
        config.dataset,
        config.dump,
        weights=weight_files(folder),
        others=(folder / CONFIG, *tokenizer.files, *dataset_files(config.dataset)),
        cache=Path(config.store.dir) / ".digests.json",
    )
    path = store_path(config, identity)
    if "trace" in config.stages:
        check_roots(config.trace, dataset, folder)
    if "dump" not in config.stages:
        if not existing(path, identity):
            raise SvtError(f"there is no store {path} yet; add dump to the stages")
        return path
    for note in dataset.notes:
        say(note)
    local = replace(config, model=model)
    if find_or_make(path, identity, lambda path: dump(local, dataset, identity, path)):
        say(f"store {path} is there already; nothing to dump")
    return path


def check_roots(trace: TraceConfig, dataset: Dataset, folder: Path) -> None:
    """Refuses, before any work, a trace that has nowhere to start in these prompts and model."""
    roles = {role for prompt in dataset.prompts for role in prompt.roles}
    for key, role in (("root_dest", trace.root_dest), ("root_src", trace.root_src)):
        if role not in roles | ({"any"} if key == "root_src" else set()):
            has = (
                f"the prompts have {', '.join(sorted(roles))}" if roles else "the prompts have none"
            )
            raise SvtError(
                f"trace.{key}={role}: no such role, {has}; choose one of them, or dump only: "
                '"stages=[dump]"'
            )
    if trace.roots == "auto":
        if all(prompt.answer is None or prompt.distractor is None for prompt in dataset.prompts):
            raise SvtError(
                "trace.roots=auto needs prompts with an answer and a distractor; "
                'give the roots: "trace.roots=[[LAYER,HEAD],...]"'
            )
        return
    n_layers, n_heads = shape(folder)
    for layer, head in trace.roots:
        if not (0 <= layer < n_layers and 0 <= head < n_heads):
            raise SvtError(
                f"trace.roots: there is no head [{layer},{head}]; the model has layers 0 to "
                f"{n_layers - 1} and heads 0 to {n_heads - 1}"
            )


def write_results(config: Config, folder: Path, store: Path, seconds: Seconds) -> None:
    """Trace and evaluation into results.duckdb; without a new trace the old one stays."""
    keep = "trace" not in config.stages
    with writing_results(folder, store, keep) as con:
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
        if "evaluate" in config.stages:
            with seconds.of("evaluate"):
                reference = reference_file(config.evaluate.reference, config.model.name)
                evaluate(con, reference, [tuple(root) for root in roots])
        _insert_run(con, config, store, roots, warnings, seconds)


def _insert_run(
    con: duckdb.DuckDBPyConnection,
    config: Config,
    store: Path,
    roots: Sequence[Sequence[int]],
    warnings: Sequence[str],
    seconds: Seconds,
) -> None:
    con.execute(
        "INSERT INTO results.run BY NAME SELECT $svt_version AS svt_version, $config AS config, "
        "$store_path AS store_path, identity AS store_identity, "
        "(SELECT count(*) FROM store.prompts) AS n_prompts, $roots AS roots, "
        "$warnings AS warnings, $seconds AS seconds, 'done' AS status FROM store.dump",
        {
            "svt_version": svt.__version__,
            "config": json.dumps(to_mapping(config)),
            "store_path": str(store.resolve()),
            "roots": json.dumps([list(root) for root in roots]),
            "warnings": json.dumps(list(warnings)),
            "seconds": json.dumps(seconds.rounded()),
        },
    )
