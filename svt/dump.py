"""The dump stage: one forward pass of the prompts, and everything it shows, into a store.

1. Load and fold the model, decompose every head (compute).
2. Batch by batch: forward pass, slice and upstream contributions, as columns, into the store; one
   batch is written while the next is computed.
3. Prompts with their logit difference, and one row about the dump itself.
"""

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import svt
from svt.config import Config, to_mapping
from svt.dataset import Dataset
from svt.dataset.rows import prompt_rows
from svt.progress import Progress, say
from svt.store.identity import SCHEMA_VERSION, Identity
from svt.store.writer import StoreWriter, writing

_LIBRARIES = ("torch", "transformer_lens", "transformers", "numpy", "duckdb", "polars", "pyarrow")


def dump(config: Config, dataset: Dataset, identity: Identity, path: Path) -> None:
    """Writes the store at `path`; nothing stands there unless all of it does."""
    from svt.compute.decompose import decompose_model
    from svt.compute.dump import dump_batches
    from svt.compute.model import load_model
    from svt.dataset import check_fits

    seconds = Seconds()
    prompts = dataset.prompts
    with seconds.of("load"):
        model = load_model(config.model)  # 1
    check_fits(prompts, model.n_ctx, model.d_vocab)
    say(
        f"{config.model.name}: {model.n_layers} layers, {model.n_heads} heads, "
        f"width {model.d_model}, on {model.device}"
    )
    with seconds.of("decompose"):
        svd = decompose_model(model)
    measured: list[dict[str, np.ndarray[Any, Any]]] = []
    with writing(path) as store:
        with (
            seconds.of("contributions"),
            Progress("dump", len(prompts), "prompts") as progress,
            ThreadPoolExecutor(max_workers=1) as thread,
        ):
            written = thread.submit(lambda: None)
            for batch in dump_batches(model, svd, prompts, config.dump):  # 2
                if (prompts_done := batch.pop("prompts", None)) is not None:
                    measured.append(prompts_done)
                    progress.advance(len(prompts_done["prompt_id"]))
                with seconds.of("waiting for the disk"):
                    written.result()
                written = thread.submit(store.append_all, batch)
            with seconds.of("waiting for the disk"):
                written.result()
        seconds.move("contributions", "waiting for the disk")
        store.append("singular_values", svd.singular_values())
        _append_prompts(store, dataset, measured)  # 3
        store.append_row(
            "dump",
            {
                "svt_version": svt.__version__,
                "schema_version": SCHEMA_VERSION,
                "identity": identity.key,
                "model_name": config.model.name,
                "weights_fingerprint": identity.weights,
                "n_layers": model.n_layers,
                "n_heads": model.n_heads,
                "d_model": model.d_model,
                "d_head": model.d_head,
                "n_ctx": model.n_ctx,
                "config": to_mapping(config),
                "library_versions": {name: version(name) for name in _LIBRARIES},
                "notes": list(dataset.notes),
                "seconds": seconds.rounded(),
                "peak_bytes": peak_bytes(),
                "worst_residual": store.worst("residual", "pairs"),
                "worst_closure": store.worst("closure", "sides"),
                "worst_reconstruction": float(svd.error.max()),
            },
        )


def _append_prompts(
    store: StoreWriter, dataset: Dataset, measured: Sequence[dict[str, np.ndarray[Any, Any]]]
) -> None:
    """The dataset's tables; logit difference and correctness join their prompts by id."""
    rows = prompt_rows(dataset.prompts)
    ids = np.concatenate([part["prompt_id"] for part in measured])
    order = np.argsort(ids)
    place = order[np.searchsorted(ids, np.asarray(rows["prompts"]["prompt_id"]), sorter=order)]
    for column in ("logit_diff", "correct"):
        values = np.ma.concatenate([part[column] for part in measured])
        rows["prompts"][column] = values[place]
    store.append_all(rows)


def peak_bytes() -> int:
    """Peak resident memory of this process, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Seconds:
    """Wall time by phase, added up; seconds."""

    def __init__(self) -> None:
        self._by_phase: dict[str, float] = {}

    @contextmanager
    def of(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self._by_phase[phase] = self._by_phase.get(phase, 0.0) + spent

    def move(self, outer: str, inner: str) -> None:
        """Takes the time of `inner`, which ran inside `outer`, out of it."""
        self._by_phase[outer] -= self._by_phase.get(inner, 0.0)

    def rounded(self) -> dict[str, float]:
        return {phase: round(spent, 3) for phase, spent in self._by_phase.items()}
