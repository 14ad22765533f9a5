"""The faithfulness curve: how much of the logit difference a circuit keeps, all else ablated.

1. A circuit is the heads at the ends of the graph's edges with at least a count, and the roots;
   one for every threshold of trace.count that changes it (sql/intervene/circuits.sql).
2. Beside it stand as many heads drawn from the whole model, intervene.repeats times: the first of
   a seeded order of all heads, so that the sets of a seed lie one in the other.
3. Of each, all other heads are ablated at all tokens (compute/ablate.py), and of the empty set all.
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
from svt.db.connect import register_tables
from svt.paths import sql_dir
from svt.stages.reference import all_heads, answerable
from svt.system.progress import Progress

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from svt.compute.model import Model

MOST = 40  # thresholds


@dataclass(frozen=True)
class Circuit:
    """The heads that are kept, traced at a threshold or drawn in the number of those."""

    min_count: int
    control: str
    seed: int | None
    heads: frozenset[Head]


def measure_faithfulness(
    con: duckdb.DuckDBPyConnection, config: Config, model: "Model", prompts: Sequence[Prompt]
) -> None:
    """Fills faithfulness of `results` anew from its graph; `prompts` are those of the store.

    The table stays empty when intervene.faithfulness is none, or no prompt has what is measured.
    """
    from svt.compute.ablate import Ablation

    settings, asked = config.intervene, answerable(prompts)
    con.execute("DELETE FROM results.faithfulness")
    if settings.faithfulness == "none":
        return
    if not asked:
        logger.info("faithfulness: left out, as no prompt has an answer and a distractor")
        return
    every, nothing = frozenset(all_heads(model)), frozenset[Head]()
    traced = _traced(con, config.trace.count)
    seeds = range(settings.seed, settings.seed + settings.repeats)
    circuits = [*traced, *_drawn(traced, sorted(every), seeds)]
    kept = list(dict.fromkeys([nothing, *(circuit.heads for circuit in circuits)]))
    with Progress("faithfulness", len(kept) * len(asked), "ablated runs") as progress:
        ablation = Ablation(model, asked, settings.faithfulness, settings.seed, settings.batch_size)
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
    with register_tables(con, measured=rows.to_arrow()):
        con.execute("INSERT INTO results.faithfulness BY NAME SELECT * FROM measured")


def _traced(con: duckdb.DuckDBPyConnection, count: str) -> list[Circuit]:
    """Step 1, by rising threshold; of more than `MOST` an even choice with the first and last."""
    text = (sql_dir() / "intervene" / "circuits.sql").read_text(encoding="utf-8")
    found = con.execute(text, {"count": count}).fetchall()
    if len(found) > MOST:
        logger.info(f"faithfulness: measured at {MOST} of {len(found)} thresholds, evenly chosen")
    chosen = np.linspace(0, len(found) - 1, min(MOST, len(found))).round().astype(int)
    return [
        Circuit(min_count, "traced", None, frozenset((layer, head) for layer, head in heads))
        for min_count, heads in (found[i] for i in chosen)
    ]


def _drawn(traced: Sequence[Circuit], heads: Sequence[Head], seeds: range) -> Iterator[Circuit]:
    """Step 2."""
    for seed in seeds:
        order = [heads[i] for i in np.random.default_rng(seed).permutation(len(heads))]
        for circuit in traced:
            same_size = frozenset(order[: len(circuit.heads)])
            yield Circuit(circuit.min_count, "random", seed, same_size)
