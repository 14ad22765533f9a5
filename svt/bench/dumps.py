"""The dump against the bare forward pass, and how its time and memory grow.

1. In each repeat, time the forward pass in the batches and with empty versions of the hooks of the
   dump, with the logits of every token and with none; then the dump stage, with strong pairs only
   and with the defaults. The stage times its phases.
2. Dump every causal pair of a few prompts with heads as components; report stored numbers per
   second and bytes per number, where numbers are upstream contributions and slice coordinates.
3. Dump each size in a separate process, for its peak memory. The exponent of growth is the slope of
   log time over log size.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import torch
from transformers import GPT2Config

from svt.bench.rows import Limit, Row, divide, time_call
from svt.bench.setting import EVERYTHING, STRONG, configuration, draw_ioi, draw_random
from svt.cli.console import say
from svt.compute.batches import plan_batches
from svt.compute.forward import pad_prompts, watched_hooks
from svt.compute.load import load_model
from svt.compute.model import Model
from svt.config import Config
from svt.dataset import Dataset
from svt.db.identity import Identity
from svt.stages.dump import dump, peak_bytes

N_PROMPTS = 256
N_EVERYTHING = 32
FEW, MANY = 256, 4096
MORE_PROMPTS = (64, FEW, 1024, MANY)
MORE_TOKENS = (16, 32, 64, 128, 256)
N_LONG = 16
STRONGEST: dict[str, Any] = {"min_weight": 0.5, "sample": 0.0}
_IDENTITY = Identity("bench", "bench")


@dataclass(frozen=True)
class DumpCost:
    """One run of the dump stage; seconds and bytes."""

    set_up: float  # load, fold, decompose
    work: float  # all other phases
    pairs: int
    firing: int
    upstream: int  # contributions, and weights without each writer
    numbers: int  # these and the coordinates of slices
    store: int
    peak: int

    @property
    def seconds(self) -> float:
        return self.set_up + self.work


def dump_rows(
    config: Config, dataset: Dataset, folder: Path, repeats: int, goals: Mapping[str, float]
) -> list[Row]:
    """Return the rows of step 1; the last stores remain as folder/KIND-DEVICE.duckdb.

    goals: upper limits for set_up and kinds of dump, in bare forward passes.
    """
    device = config.model.device
    plain, effects, strong = (
        replace(config, dump=replace(config.dump, **changed))
        for changed in ({"effects": False}, STRONGEST, STRONGEST | {"effects": False})
    )
    kinds = {
        "strong": (strong, "min_weight=0.5 sample=0 effects=false"),
        "effects": (effects, "min_weight=0.5 sample=0"),
        "defaults": (config, "the defaults"),
    }
    model = load_model(config.model)
    bare: dict[bool, list[float]] = {True: [], False: []}
    runs: dict[str, list[DumpCost]] = {kind: [] for kind in kinds}
    run_forward(model, plain, dataset, True)  # warm
    for repeat in range(repeats):
        where = f"{config.model.name}, {device}"
        say(f"{where}: repeat {repeat + 1} of {repeats}: bare forward pass, dumps")
        for logits, seconds in bare.items():
            seconds.append(time_call(run_forward, model, plain, dataset, logits))
        for kind, (settings, _) in kinds.items():
            runs[kind].append(measure_dump(settings, dataset, folder / f"{kind}-{device}.duckdb"))
    base, n_prompts = bare[True], len(dataset.prompts)
    set_up = [run.set_up for run in runs["strong"]]
    n_heads = model.n_layers * model.n_heads
    rows = [
        Row("bare forward pass, hooks, logits of every token", base, "s"),
        Row("the same without logits, as the dump runs it", bare[False], "s"),
        Row(f"set-up: load, fold, SVD of {n_heads} heads", set_up, "s"),
        Row("set-up / bare forward pass", divide(set_up, base), "", ("at most", goals["set_up"])),
    ]
    for kind, (_, words) in kinds.items():
        work, last = [run.work for run in runs[kind]], runs[kind][-1]
        limit: Limit | None = ("at most", goals[kind]) if kind in goals else None
        rows += [
            Row(f"dump at {words}", work, "s"),
            Row(f"dump at {words} / bare forward pass", divide(work, base), "", limit),
            Row(f"dump at {words} / the same without logits", divide(work, bare[False])),
            Row(f"{kind}: stored pairs a prompt", [last.pairs / n_prompts]),
            Row(f"{kind}: firing pairs a prompt", [last.firing / n_prompts]),
            Row(f"{kind}: upstream numbers", [last.upstream]),
            Row(f"{kind}: store", [last.store / 1e6], "MB"),
            Row(f"{kind}: store, bytes a number", [last.store / last.numbers]),
            Row(f"{kind}: peak memory", [last.peak / 1e9], "GB"),
        ]
    return [replace(row, device=device) for row in rows]


def everything_rows(checkpoint: Path, folder: Path, repeats: int) -> list[Row]:
    """Return the rows of step 2."""
    say(f"everything stored, {N_EVERYTHING} prompts")
    config, dataset = configuration(checkpoint, *EVERYTHING), draw_ioi(N_EVERYTHING)
    store = folder / "everything.duckdb"
    runs = [measure_dump(config, dataset, store) for _ in range(repeats)]
    last, name = runs[-1], "everything stored"
    rates = [run.numbers / run.seconds / 1e6 for run in runs]
    after = [run.numbers / run.work / 1e6 for run in runs]
    each = table_bytes(store, "pair_upstream") / last.upstream
    return [
        Row(f"{name}: upstream contributions", [last.upstream]),
        Row(f"{name}: stored numbers, coordinates included", [last.numbers]),
        Row(f"{name}: million numbers a second", rates, "", ("at least", 5)),
        Row(f"{name}: the same after set-up", after),
        Row(f"{name}: store, bytes a number", [last.store / last.numbers], "", ("at most", 4.5)),
        Row(f"{name}: table pair_upstream, bytes a contribution", [each]),
    ]


def growth_rows(checkpoint: Path, folder: Path) -> list[Row]:
    """Return the rows of step 3."""
    config, store = configuration(checkpoint, *STRONG), folder / "growth.duckdb"
    prompts, tokens = {}, {}
    for n in MORE_PROMPTS:
        say(f"growth: {n} prompts")
        prompts[n] = _measure_in_process(config, draw_ioi(n), store)
    for n in MORE_TOKENS:
        say(f"growth: {n} tokens")
        long = draw_random(N_LONG, n, GPT2Config().vocab_size)
        tokens[n] = _measure_in_process(config, long, store)
    exponents: dict[str, tuple[Sequence[int], Sequence[float]]] = {
        "dump: exponent in prompts": (MORE_PROMPTS, [run.work for run in prompts.values()]),
        "dump: exponent in tokens": (MORE_TOKENS, [run.work for run in tokens.values()]),
        "pairs: exponent in tokens": (MORE_TOKENS, [run.pairs for run in tokens.values()]),
    }
    ratio = prompts[MANY].peak / prompts[FEW].peak
    return [
        *(Row(f"{n} prompts: dump", [run.work], "s") for n, run in prompts.items()),
        *(Row(f"{n} prompts: peak memory", [run.peak / 1e9], "GB") for n, run in prompts.items()),
        *(Row(f"{N_LONG} prompts of {n} tokens: dump", [r.work], "s") for n, r in tokens.items()),
        *(Row(name, [fit_exponent(*points)]) for name, points in exponents.items()),
        Row(f"peak memory, {MANY:,} prompts / {FEW}", [ratio], "", ("at most", 1.15)),
    ]


def fit_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the p of the power law size^p that fits best."""
    slope, _ = np.polyfit(np.log(sizes), np.log(values), 1)
    return float(slope)


def run_forward(model: Model, config: Config, dataset: Dataset, logits: bool) -> None:
    """Run the bare forward pass in the dump's batches, with the logits of all tokens or of none."""
    keep = {} if logits else {"logits_to_keep": torch.zeros(0, dtype=torch.long)}
    hooks = [
        (name, _do_nothing)
        for name in watched_hooks(model, config.dump.components, config.dump.effects)
    ]
    with torch.inference_mode():
        for batch in plan_batches(model, dataset.prompts, config.dump):
            tokens = pad_prompts(batch).tokens.to(model.device)
            model.bridge.run_with_hooks(tokens, fwd_hooks=hooks, **keep)


def _do_nothing(value: object, hook: object) -> None:
    pass


def measure_dump(config: Config, dataset: Dataset, path: Path) -> DumpCost:
    """Run and measure the dump stage; the store remains at `path`."""
    seconds = time_call(dump, config, dataset, _IDENTITY, path)
    with duckdb.connect(str(path), read_only=True) as con:
        ((phases, pairs, firing, upstream, coordinates),) = con.execute(
            "SELECT (SELECT seconds FROM dump), (SELECT count(*) FROM pairs), "
            "(SELECT count(*) FROM pairs WHERE eligible AND weight >= 0.5), "
            "(SELECT coalesce(sum(len(contributions) + coalesce(len(weights_without), 0)), 0)"
            "::BIGINT FROM pair_upstream), "
            "(SELECT sum(len(dest_coords) + len(src_coords))::BIGINT FROM pair_slices)"
        ).fetchall()
    by_phase = json.loads(phases)
    set_up = by_phase["load"] + by_phase["decompose"]
    numbers, size = upstream + coordinates, path.stat().st_size
    return DumpCost(set_up, seconds - set_up, pairs, firing, upstream, numbers, size, peak_bytes())


def _measure_in_process(config: Config, dataset: Dataset, path: Path) -> DumpCost:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(measure_dump, config, dataset, path).result()


def table_bytes(store: Path, table: str) -> int:
    """Return the bytes of the blocks of a table."""
    with duckdb.connect(str(store), read_only=True) as con:
        ((blocks,),) = con.execute(
            f"SELECT count(DISTINCT block_id) FROM pragma_storage_info('{table}')"
        ).fetchall()
        ((size,),) = con.execute(
            "SELECT block_size FROM pragma_database_size() WHERE database_name = current_database()"
        ).fetchall()
    return int(blocks) * int(size)
