"""Run the stages of a run in their order. Inputs and outputs of each:

1. dump       prompts, model -> a store (reused if one with this content exists)
2. reference  prompts, model -> reference.csv: the heads whose ablation matters
3. trace      store -> trace_pairs, trace_edges, graph_edges
4. intervene  graph, store, prompts, model -> interventions and their effects, faithfulness
5. evaluate   graph, a reference -> reference_heads, evaluation
6. chart      queries -> figures, graph.graphml
7. report     the same figures -> report.html

A store is never changed. Stages 3 to 5 fill results.duckdb, which is replaced atomically; 6 and 7
only read it.
"""

import json
import logging
from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from svt.config import Config, to_mapping
from svt.dataset import Prompt
from svt.db.damage import check_damage
from svt.db.stores import Stores
from svt.errors import StoreError
from svt.query.evaluate import evaluate, find_reference
from svt.query.trace import trace
from svt.stages.chart import CHARTS, draw_figures, list_pictures
from svt.stages.dump import Seconds, dump, estimate
from svt.stages.faithfulness import measure_faithfulness
from svt.stages.inputs import Inputs
from svt.stages.intervene import NOT_CHANGED, Finished, run_interventions
from svt.stages.preflight import check_inputs, check_requests, check_stores
from svt.stages.reference import make_reference
from svt.store.find import choose_store_path, find_or_make, holds_store
from svt.store.results import NAME, create_results, has_interventions, load_stores
from svt.version import VERSION

logger = logging.getLogger(__name__)


def run_stages(config: Config, folder: Path) -> Stores | None:
    """Run `config.stages` into `folder`; return the stores used, None if no stage needed any.

    SvtError when a stage fails; earlier results are then unchanged.
    """
    seconds = Seconds()
    stages = set(config.stages)
    stores, inputs = _check(config, folder)
    if stores is None and stages != {"reference"}:
        with seconds.measure("dump"):
            stores = find_store(config, inputs)
    if "reference" in stages:
        make_reference(config, inputs.model, inputs.dataset.prompts, folder)
    if stores is None or stages == {"reference"}:
        return None
    work = Work(config, folder, stores, inputs, seconds)
    try:
        if {"trace", "intervene", "evaluate"} & stages:
            work.write_results()
        if {"chart", "report"} & stages:
            draw_figures(config, folder, stores)
    except duckdb.Error as error:
        check_damage(error, [*stores.paths, folder / NAME])
        raise
    return stores


def preview(config: Config, folder: Path) -> list[str]:
    """Return lines on what the stages would do, with an estimate for a store to be made.

    SvtError as in `run_stages`, before any work.
    """
    stores, inputs = _check(config, folder)
    lines = [f"stages: {', '.join(config.stages)}", f"results: {folder}"]
    if stores is not None:
        return [*lines, f"store: {stores}, which exists"]
    path = choose_store_path(config, inputs.identity)
    if holds_store(path, inputs.identity):
        return [*lines, f"store: {path}, which exists"]
    if "dump" not in config.stages:
        return [*lines, f"store: {path}, which does not exist; add dump to the stages"]
    local = replace(config, model=inputs.model_config)
    return [*lines, f"store: {path}, to be made", f"dump: {estimate(local, inputs.dataset)}"]


def _check(config: Config, folder: Path) -> tuple[Stores | None, Inputs]:
    """Return the stores of the run or of store.path, if any, and the inputs, after all checks."""
    check_requests(config, folder)
    if config.run.path is not None:
        stores: Stores | None = load_stores(Path(config.run.path))
    else:
        stores = Stores.expand(config.store.path)
        for note in stores.notes if stores is not None else ():
            logger.info(note)
    inputs = Inputs(config, stores)
    if stores is None:
        check_inputs(config, inputs.dataset, inputs.folder)
    else:
        check_stores(config, stores, inputs)
    return stores, inputs


def find_store(config: Config, inputs: Inputs) -> Stores:
    """Return the store of the configuration; make it if it does not exist."""
    path = choose_store_path(config, inputs.identity)
    if "dump" not in config.stages:
        if not holds_store(path, inputs.identity):
            raise StoreError(f"there is no store {path} yet; add dump to the stages")
        return Stores.of(path)
    for note in inputs.dataset.notes:
        logger.info(note)

    local = replace(config, model=inputs.model_config)
    if find_or_make(
        path, inputs.identity, lambda path: dump(local, inputs.dataset, inputs.identity, path)
    ):
        logger.info(f"store {path} exists already; nothing to dump")
    return Stores.of(path)


@dataclass(frozen=True)
class Work:
    """The inputs of the stages that fill results.duckdb."""

    config: Config
    folder: Path
    stores: Stores
    inputs: Inputs
    seconds: Seconds

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts of the stores, for stages that run the model."""
        stored = self.stores.prompt_ids
        return tuple(prompt for prompt in self.inputs.dataset.prompts if prompt.prompt_id in stored)

    def write_results(self) -> None:
        """Write trace, interventions and evaluation; tables of other stages stay unchanged."""
        stages = set(self.config.stages)
        if {"trace", "intervene"} <= stages:  # interventions read a trace from the results
            self._write({"trace"}, None)
            stages.remove("trace")
        elif "intervene" in stages and has_interventions(self.folder):
            logger.info("the new interventions replace those of the run when they are finished")
        with ExitStack() as stack:
            changed = None
            if "intervene" in stages:
                with self.seconds.measure("intervene"):
                    model, prompts = self.inputs.model, self.prompts
                    changed = stack.enter_context(
                        run_interventions(self.config, self.folder, self.stores, model, prompts)
                    )
            self._write(stages, changed)

    def _write(self, stages: Collection[str], changed: Finished | None) -> None:
        config, seconds, keep = self.config, self.seconds, "trace" not in stages
        if not keep and has_interventions(self.folder):
            logger.info("a new trace replaces the earlier one and its interventions")
        with create_results(self.folder, self.stores, keep) as con:
            if keep:
                ((roots, warnings),) = con.execute(
                    "SELECT roots, warnings FROM results.run"
                ).fetchall()
                roots, warnings = json.loads(roots), json.loads(warnings)
                con.execute("DELETE FROM results.run")
            else:
                with seconds.measure("trace"):
                    traced = trace(con, config.trace)
                roots, warnings = traced.roots, traced.warnings
                for warning in warnings:
                    logger.warning(f"warning: {warning}")
            if changed is not None:
                changed.fill_tables(con, config.intervene.strength)
                earlier = [warning for warning in warnings if not warning.startswith(NOT_CHANGED)]
                warnings = [*earlier, *changed.warnings]
                if config.evaluate.edges == "validated":  # by the earlier interventions
                    con.execute("DELETE FROM results.evaluation")
                with seconds.measure("faithfulness"):
                    measure_faithfulness(con, config, self.inputs.model, self.prompts)
            if "evaluate" in stages:
                with seconds.measure("evaluate"):
                    reference = find_reference(config)
                    evaluate(con, reference, [tuple(root) for root in roots], config.evaluate.edges)
            self._insert_run(con, roots, warnings)
            con.execute("CHECKPOINT results")  # a full disk fails here, with the pictures intact
            remove_pictures(self.folder)  # now, so that a killed process leaves no outdated ones

    def _insert_run(
        self,
        con: duckdb.DuckDBPyConnection,
        roots: Sequence[Sequence[int]],
        warnings: Sequence[str],
    ) -> None:
        con.execute(
            "INSERT INTO results.run BY NAME SELECT $svt_version AS svt_version, $config AS "
            "config, $store_path AS store_path, (SELECT identity FROM store.dump) AS "
            "store_identity, nullif((SELECT count(*) FROM store.prompts), 0) AS n_prompts, "
            "$roots AS roots, $warnings AS warnings, $seconds AS seconds, 'done' AS status",
            {
                "svt_version": VERSION,
                "config": json.dumps(to_mapping(self.config)),
                "store_path": self.stores.to_text(),
                "roots": json.dumps([list(root) for root in roots]),
                "warnings": json.dumps(list(warnings)),
                "seconds": json.dumps(self.seconds.rounded()),
            },
        )


def remove_pictures(folder: Path) -> None:
    """Remove the pictures of replaced results; files that svt did not write stay."""
    drawn = list_pictures(folder)
    for path in drawn:
        path.unlink(missing_ok=True)
    with suppress(OSError):  # the folder holds other files
        (folder / CHARTS).rmdir()
    if drawn:
        logger.info("the earlier results' charts and report were removed")
