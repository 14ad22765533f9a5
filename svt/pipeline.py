"""The stages of a run, in their order, and what each needs.

1. dump       prompts, model -> a store (found by content, or made)
2. trace      store -> trace_pairs, trace_edges, graph_edges
3. evaluate   graph, a reference -> reference_heads, evaluation
4. chart      queries -> figures, graph.graphml
5. report     the same figures -> report.html

1 leaves an immutable store; 2 and 3 fill results.duckdb, written aside and renamed; 4 and 5 read.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

import svt
from svt.config import Config, to_mapping
from svt.dataset import dataset_files, load_prompts, load_tokenizer
from svt.dump import Seconds, dump
from svt.errors import SvtError
from svt.figures import CHARTS, REPORT, draw_figures
from svt.model_files import CONFIG, localise, weight_files
from svt.progress import say
from svt.query.evaluate import evaluate, reference_file
from svt.query.trace import trace
from svt.requests import check_inputs, check_requests
from svt.results import load_store_path, writing_results
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
        remove_pictures(folder)
    if {"chart", "report"} & set(config.stages):
        draw_figures(config, folder, store)
    return store


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
    check_inputs(config, dataset, folder)
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


def remove_pictures(folder: Path) -> None:
    """Takes away the pictures of results that are no more."""
    if (folder / CHARTS).exists() or (folder / REPORT).exists():
        shutil.rmtree(folder / CHARTS, ignore_errors=True)
        (folder / REPORT).unlink(missing_ok=True)
        say("the earlier results' charts and report were removed")


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
