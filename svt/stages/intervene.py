"""The intervene stage: change traced edges in the model's forward pass and measure the effects.

1. Choose edges, and sets of edges to be changed together (svt/query/edges.py). An intervention
   changes one of them in one scope and kind, by its signal or, as a control, by random slices.
2. Group prompts so that the activations kept of their undisturbed runs stay below `MEMORY` bytes.
   Within a group, about `UNIT_RUNS` changed runs, in all variants, form a unit of work.
3. Compute each unit (svt/compute/intervene.py) and add it to the file of finished units
   (svt/store/resumable.py), from which a stage that was killed resumes.
4. When all units are finished, write them into the run's results.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from itertools import groupby, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import polars as pl

from svt.config import Config, InterveneConfig
from svt.dataset.prompt import Prompt
from svt.db.catalog import insert_rows, register_tables
from svt.db.connect import connect
from svt.db.files import open_database
from svt.db.stores import Stores
from svt.errors import SvtError
from svt.paths import read_sql
from svt.query.edges import Edge, choose_edges, choose_sets, load_signal_slices, select_pairs
from svt.store.results import NAME
from svt.store.resumable import Units, open_units, remove_units
from svt.system.progress import Progress
from svt.version import VERSION
from svt.words import Kind, Scope

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from svt.compute.decompose import HeadSVD
    from svt.compute.model import Model
    from svt.compute.runner import Runner

FINISHED = "interventions.partial.duckdb"
NOT_CHANGED = "Sets of edges that were not changed:"
MEMORY = 1_000_000_000  # bytes
UNIT_RUNS = 8_192


@dataclass(frozen=True)
class Change:
    """One edge, changed pair by pair, or a set of edges, changed together in each prompt."""

    label: str
    edges: tuple[Edge, ...]
    is_set: bool


@dataclass(frozen=True)
class Variant:
    """How a change is made; `seed` draws the slices of a control and is None for the signal."""

    scope: Scope
    kind: Kind
    seed: int | None


@dataclass(frozen=True)
class Plan:
    """All interventions of a stage, numbered change * len(variants) + variant."""

    changes: tuple[Change, ...]
    variants: tuple[Variant, ...]
    pairs: pl.DataFrame
    """The pairs of each change: change pair_id prompt_id layer head dest src side up_layer up_head,
    and `run`, the number of the changed run that they belong to."""
    left_out: tuple[str, ...] = ()
    """Names of sets with an edge that the graph lacks."""


@dataclass(frozen=True)
class Unit:
    """Pairs of a plan that are computed together."""

    number: int
    group: int
    pairs: pl.DataFrame

    @property
    def n_runs(self) -> int:
        return self.pairs["run"].n_unique()


def make_plan(con: duckdb.DuckDBPyConnection, config: InterveneConfig) -> Plan:
    """Return the interventions of a stage (step 1); SvtError for invalid edges or without any."""
    named = choose_sets(con, config.sets)
    sets = [chosen for chosen in named if chosen.edges]
    members = (edge for chosen in sets for edge in chosen.edges)
    edges = tuple(dict.fromkeys((*choose_edges(con, config.edges), *members)))
    if not edges:
        raise SvtError(
            f"intervene.edges={config.edges}: there is no edge to change; lower trace.min_share "
            "or name other edges"
        )
    changes = [Change(edge.label, (edge,), False) for edge in edges]
    changes += [Change(chosen.name, chosen.edges, True) for chosen in sets]
    edge_pairs = select_pairs(con, edges).rename({"edge": "member"})
    membership = pl.DataFrame(
        [
            (c, edges.index(edge), change.is_set)
            for c, change in enumerate(changes)
            for edge in change.edges
        ],
        schema={"change": pl.Int64, "member": edge_pairs.schema["member"], "is_set": pl.Boolean},
        orient="row",
    )
    together = (pl.col("change", "prompt_id"), pl.when(~pl.col("is_set")).then("pair_id"))
    pairs = (
        membership.join(edge_pairs, on="member")
        .unique(["change", "pair_id", "side", "up_layer", "up_head"])
        .sort("change", "prompt_id", "pair_id", "side", "up_layer", "up_head")
        .with_columns(run=pl.struct(*together).rle_id())
        .drop("member", "is_set")
    )
    seeds = (None, *range(config.seed, config.seed + config.repeats))
    chosen = dict.fromkeys(product(config.scopes, config.kinds, seeds))
    left_out = tuple(each.name for each in named if not each.edges)
    return Plan(tuple(changes), tuple(Variant(*variant) for variant in chosen), pairs, left_out)


@contextmanager
def run_interventions(
    config: Config, folder: Path, stores: Stores, model: "Model", prompts: Sequence[Prompt]
) -> Iterator["Finished"]:
    """Run all interventions and yield their results, which are removed when the block succeeds."""
    from svt.compute.decompose import decompose_model
    from svt.compute.runner import Runner, bytes_per_token

    settings = config.intervene
    with connect(stores, folder / NAME) as con:
        plan = make_plan(con, settings)
        groups = list(_group_prompts(plan, prompts, bytes_per_token(model)))
        work = list(_divide_units(plan, groups))
        path = folder / FINISHED
        with open_units(path, _hash_request(con, settings, plan), "intervention_effects") as units:
            if units.done:
                logger.info(
                    f"interventions: {len(units.done)} of {len(work)} parts are finished already"
                )
            left = [unit for unit in work if unit.number not in units.done]
            svd = decompose_model(model)
            n_runs = sum(unit.n_runs for unit in left) * len(plan.variants)
            logger.info(
                f"interventions: {n_runs:,} changed runs in {len(left):,} parts, from "
                f"{len(plan.changes):,} edges and sets in {len(plan.variants)} variants each; "
                "finished parts are kept when the stage is stopped"
            )
            with (
                _log_kept_when_stopped(units, len(work)),
                Progress("interventions", n_runs, "changed runs") as bar,
            ):
                for g, group_units in groupby(left, key=lambda unit: unit.group):
                    runner = Runner(model, groups[g])
                    for unit in group_units:
                        effects = _measure_effects(con, settings, plan, unit, runner, svd)
                        units.add(unit.number, effects)  # 3
                        bar.advance(unit.n_runs * len(plan.variants))
                    del runner  # frees its memory before the next group
    yield Finished(plan, path)
    remove_units(path)


@contextmanager
def _log_kept_when_stopped(units: Units, n_units: int) -> Iterator[None]:
    """Log the number of units that are kept when the block is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        logger.info("interventions: %d of %d parts are kept", len(units.done), n_units)
        raise


def _hash_request(con: duckdb.DuckDBPyConnection, config: InterveneConfig, plan: Plan) -> str:
    """Return a hash of the store, settings, pairs, changes and version, which determine units."""
    ((identity,),) = con.execute("SELECT identity FROM store.dump").fetchall()
    deciding = replace(config, batch_size=1, faithfulness="none")
    units = repr((VERSION, MEMORY, UNIT_RUNS))
    content = [units, identity, repr(deciding), repr(plan.changes), plan.pairs.write_csv()]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def _group_prompts(
    plan: Plan, prompts: Sequence[Prompt], token_bytes: int
) -> Iterator[tuple[Prompt, ...]]:
    """Yield groups of the prompts that are changed, as large as the memory allows (step 2)."""
    changed = set(plan.pairs["prompt_id"].to_list())
    group: list[Prompt] = []
    n_bytes = 0
    for prompt in prompts:
        if prompt.prompt_id not in changed:
            continue
        size = len(prompt.tokens) * token_bytes
        if group and n_bytes + size > MEMORY:
            yield tuple(group)
            group, n_bytes = [], 0
        group.append(prompt)
        n_bytes += size
    yield tuple(group)


def _divide_units(plan: Plan, groups: Sequence[Sequence[Prompt]]) -> Iterator[Unit]:
    """Yield units of about `UNIT_RUNS` complete runs of a group (step 2)."""
    number, size = 0, -(-UNIT_RUNS // len(plan.variants))
    for g, group in enumerate(groups):
        ids = [prompt.prompt_id for prompt in group]
        group_pairs = plan.pairs.filter(pl.col("prompt_id").is_in(ids))
        part = (pl.col("run").rle_id() // size).alias("part")
        for (_,), pairs in group_pairs.group_by(part, maintain_order=True):
            yield Unit(number, g, pairs)
            number += 1


def _measure_effects(
    con: duckdb.DuckDBPyConnection,
    config: InterveneConfig,
    plan: Plan,
    unit: Unit,
    runner: "Runner",
    svd: "HeadSVD",
) -> Iterator[dict[str, Any]]:
    """Yield the rows of intervention_effects of a unit as columns, by variant (step 3)."""
    from svt.compute import intervene as engine

    row = {prompt.prompt_id: i for i, prompt in enumerate(runner.layout.prompts)}
    columns = {
        name: unit.pairs[name].cast(pl.Int64).to_numpy()
        for name in ("pair_id", "layer", "head", "dest", "src", "up_layer", "up_head")
    }
    edits = engine.Edits(
        run=unit.pairs["run"].rle_id().cast(pl.Int64).to_numpy(),
        prompt=unit.pairs["prompt_id"].replace_strict(row, return_dtype=pl.Int64).to_numpy(),
        side=(unit.pairs["side"] == "src").cast(pl.Int64).to_numpy(),
        **columns,
    )
    change_of_run = unit.pairs.group_by("run", maintain_order=True).first()["change"].to_numpy()
    signal = load_signal_slices(con, edits.pair_id)
    variants = [
        engine.EditMode(
            scope=variant.scope,
            strength=config.strength if variant.kind == "boost" else -config.strength,
            slices=signal
            if variant.seed is None
            else engine.draw_random_slices(signal, edits.pair_id, variant.seed),
        )
        for variant in plan.variants
    ]
    measured = engine.intervene(
        runner,
        svd,
        edits,
        variants,
        homogeneous=config.homogeneous,
        local_base=config.local_base,
        batch_size=config.batch_size,
    )
    ids = np.array([prompt.prompt_id for prompt in runner.layout.prompts], np.int32)
    for v, values in enumerate(measured):
        effects = dict(values)
        change = change_of_run[effects.pop("run")]
        yield {
            "intervention_id": (change * len(plan.variants) + v).astype(np.int32),
            "prompt_id": ids[effects.pop("prompt")],
            **effects,
        }


@dataclass(frozen=True)
class Finished:
    """A plan and the file with its measured effects."""

    plan: Plan
    path: Path

    @property
    def warnings(self) -> list[str]:
        """A sentence for the report on the sets that were not changed, if any."""
        names = ", ".join(f"“{name}”" for name in self.plan.left_out)
        return [f"{NOT_CHANGED} {names}: the graph lacks an edge of each."] if names else []

    def fill_tables(self, con: duckdb.DuckDBPyConnection, strength: float) -> None:
        """Replace the tables of interventions in `results` (step 4)."""
        for table in ("interventions", "intervention_edges", "intervention_effects"):
            con.execute(f"DELETE FROM results.{table}")
        with open_database(self.path, read_only=True) as units:  # `con` itself opens no other file
            rows = units.sql("FROM intervention_effects").fetch_arrow_reader()
            with register_tables(con, finished=rows):
                con.execute(read_sql("intervene/effects"))
        numbered = list(enumerate(product(self.plan.changes, self.plan.variants)))
        planned = [
            {"intervention_id": number, "label": change.label, "strength": strength}
            | dict.fromkeys(field.name for field in fields(Edge))
            | ({} if change.is_set else asdict(change.edges[0]))
            | {"scope": variant.scope, "kind": variant.kind, "seed": variant.seed}
            | {"control": "signal" if variant.seed is None else "random"}
            for number, (change, variant) in numbered
        ]
        with register_tables(con, planned=pl.DataFrame(planned, infer_schema_length=None)):
            con.execute(read_sql("intervene/interventions"))
        edges = [
            {"intervention_id": number} | asdict(edge)
            for number, (change, _) in numbered
            for edge in change.edges
        ]
        frame = pl.DataFrame(edges, infer_schema_length=None)
        insert_rows(con, "results.intervention_edges", frame)
