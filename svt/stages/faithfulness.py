"""The faithfulness curve: the logit difference that circuits keep with all other heads ablated.

1. A circuit consists of the heads of all edges of the graph with at least a threshold count, and
   the roots. There is one for every threshold of trace.count that changes it
   (sql/intervene/circuits.sql).
2. Its random controls are sets of as many heads from the whole model, intervene.repeats of them:
   the first heads of a seeded order, so that the sets of a seed are nested.
3. For each set, all other heads are ablated at all tokens (svt/compute/ablate.py); for the baseline
   all heads are.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import polars as pl

from svt.config import Config, Head
from svt.dataset import Prompt
from svt.db.catalog import insert_rows
from svt.paths import read_sql
from svt.stages.reference import list_heads, select_answerable
from svt.system.progress import Progress

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from svt.compute.model import Model

MAX_THRESHOLDS = 40


@dataclass(frozen=True)
class Circuit:
    """Heads that are not ablated: traced at a threshold, or a random control of that size."""

    min_count: int
    control: str
    seed: int | None
    heads: frozenset[Head]


def measure_faithfulness(
    con: duckdb.DuckDBPyConnection, config: Config, model: "Model", prompts: Sequence[Prompt]
) -> None:
    """Replace faithfulness of `results`, from its graph and the store's `prompts`.

    The table is empty when intervene.faithfulness is none, or no prompt has answer and distractor.
    """
    from svt.compute.ablate import Ablation

    settings, answerable = config.intervene, select_answerable(prompts)
    con.execute("DELETE FROM results.faithfulness")
    if settings.faithfulness == "none":
        return
    if not answerable:
        logger.info("faithfulness: left out, as no prompt has an answer and a distractor")
        return
    every, nothing = frozenset(list_heads(model)), frozenset[Head]()
    traced = _load_circuits(con, config.trace.count)
    seeds = range(settings.seed, settings.seed + settings.repeats)
    circuits = [*traced, *_draw_circuits(traced, sorted(every), seeds)]
    kept = list(dict.fromkeys([nothing, *(circuit.heads for circuit in circuits)]))
    with Progress("faithfulness", len(kept) * len(answerable), "ablated runs") as progress:
        ablation = Ablation(
            model, answerable, settings.faithfulness, settings.seed, settings.batch_size
        )
        diffs = ablation.logit_diffs([every - heads for heads in kept], progress.advance)  # 3
    measured = dict(zip(kept, diffs, strict=True))
    rows = pl.DataFrame(
        {
            "min_count": circuit.min_count,
            "n_heads": len(circuit.heads),
            "control": circuit.control,
            "seed": circuit.seed,
            "ablation": settings.faithfulness,
            "logit_diff": float(measured[circuit.heads].mean()),
            "logit_diff_full": float(ablation.full.mean()),
            "logit_diff_none": float(measured[nothing].mean()),
            "accuracy": float((measured[circuit.heads] > 0).mean()),
        }
        for circuit in circuits
    )
    insert_rows(con, "results.faithfulness", rows)


def _load_circuits(con: duckdb.DuckDBPyConnection, count: str) -> list[Circuit]:
    """Return the circuits by ascending threshold, evenly spaced if over MAX_THRESHOLDS (step 1)."""
    rows = con.execute(read_sql("intervene/circuits"), {"count": count}).fetchall()
    n = min(MAX_THRESHOLDS, len(rows))
    if n < len(rows):
        logger.info(f"faithfulness: measured at {n} of {len(rows)} thresholds, evenly spaced")
    chosen = np.linspace(0, len(rows) - 1, n).round().astype(int)
    return [
        Circuit(min_count, "traced", None, frozenset((layer, head) for layer, head in heads))
        for min_count, heads in (rows[i] for i in chosen)
    ]


def _draw_circuits(
    traced: Sequence[Circuit], heads: Sequence[Head], seeds: range
) -> Iterator[Circuit]:
    """Yield the random controls of the traced circuits, for every seed (step 2)."""
    for seed in seeds:
        order = [heads[i] for i in np.random.default_rng(seed).permutation(len(heads))]
        for circuit in traced:
            same_size = frozenset(order[: len(circuit.heads)])
            yield Circuit(circuit.min_count, "random", seed, same_size)
