"""The dump stage: write one forward pass of the prompts, with all contributions, into a store.

1. Load and fold the model, and decompose every head (svt/compute).
2. For each batch, compute the forward pass and the slice and upstream contributions, and write them
   while the next batch is computed. Batches that an earlier process finished are skipped.
3. Write the prompts with their logit difference, and one row about the dump itself.
"""

import json
import logging
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from svt.config import Config, to_mapping
from svt.dataset import Dataset, Prompt
from svt.dataset.rows import make_prompt_rows
from svt.db.identity import SCHEMA_VERSION, Identity
from svt.db.stores import Stores
from svt.db.union import SHAPE
from svt.errors import SvtError
from svt.store.writer import StoreWriter, finish_renaming, open_writer, unfinished_bytes
from svt.system.memory import size as file_size
from svt.system.progress import Progress
from svt.version import VERSION

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from svt.compute.decompose import HeadSVD
    from svt.compute.model import Model

LONG = 60.0
"""Seconds of estimated time above which a dump logs its estimate."""
_LIBRARIES = ("torch", "transformer_lens", "transformers", "numpy", "duckdb", "polars", "pyarrow")


def dump(config: Config, dataset: Dataset, identity: Identity, path: Path) -> None:
    """Write the store at `path`, which exists only when it is complete.

    SvtError if the model cannot be loaded or does not fit the prompts, or, with
    dataset.only_correct, answers none of them correctly.
    """
    from svt.compute.batches import plan_batches
    from svt.compute.decompose import decompose_model
    from svt.compute.load import load_model
    from svt.compute.pairs import check_pair_ids
    from svt.compute.tables import writer_columns
    from svt.compute.writers import list_writers
    from svt.dataset import check_fit

    if finish_renaming(path, identity.key):
        logger.info(f"{path.name} was complete when a run was stopped; it is used")
        return
    seconds = Seconds()
    with seconds.measure("load"):
        model = load_model(config.model)  # 1
    check_fit(dataset.prompts, model.n_ctx, model.d_vocab)
    check_pair_ids(model, dataset.prompts)
    logger.info(
        f"{config.model.name}: {model.n_layers} layers, {model.n_heads} heads, "
        f"width {model.d_model}, on {model.device}"
    )
    with seconds.measure("decompose"):
        svd = decompose_model(model)
    batches = plan_batches(model, dataset.prompts, config.dump)
    with open_writer(path, _describe_request(identity, batches)) as store:
        with seconds.measure("contributions"), _log_kept_when_stopped(store, batches):
            _append_batches(config, model, svd, batches, store, seconds, path)  # 2
        seconds.exclude("contributions", "waiting for the disk")
        rows, notes = _prompt_rows(config, dataset, store.fetch_answers())  # 3
        chosen = writer_columns(list_writers(model, config.dump.components))
        with store.replace_tables(*rows, "singular_values", "writers", "dump"):
            store.append_all(rows | {"singular_values": svd.singular_values(), "writers": chosen})
            store.append_row(
                "dump",
                {
                    "svt_version": VERSION,
                    "schema_version": SCHEMA_VERSION,
                    "identity": identity.key,
                    "model_name": config.model.name,
                    "weights_fingerprint": identity.weights,
                    **{name: getattr(model, name) for name in SHAPE},
                    "config": to_mapping(config),
                    "library_versions": {name: version(name) for name in _LIBRARIES},
                    "notes": notes,
                    "seconds": seconds.rounded(),
                    "peak_bytes": peak_bytes(),
                    "worst_residual": store.max_abs("residual", "pairs"),
                    "worst_closure": store.max_abs("closure", "sides"),
                    "worst_reconstruction": float(svd.error.max()),
                },
            )


def _append_batches(
    config: Config,
    model: "Model",
    svd: "HeadSVD",
    batches: Sequence[Sequence[Prompt]],
    store: StoreWriter,
    seconds: "Seconds",
    path: Path,
) -> None:
    """Compute and write the batches that are missing (step 2); the first gives an estimate."""
    from svt.compute.dump import dump_batches

    left = [number for number in range(len(batches)) if number not in store.finished]
    sizes = [len(batch) for batch in batches]
    n_left = sum(sizes[number] for number in left)
    done = sum(sizes) - n_left
    if done:
        logger.info(
            f"{done} of {sum(sizes)} prompts were finished by a run that was stopped; going on"
        )
    only_correct = config.dataset.only_correct
    computed = dump_batches(
        model, svd, [batches[number] for number in left], config.dump, only_correct
    )
    start, bytes_before = time.perf_counter(), unfinished_bytes(path)
    with (
        closing(computed),
        Progress("dump", sum(sizes), "prompts", done) as progress,
        ThreadPoolExecutor(max_workers=1) as thread,
    ):
        written = thread.submit(lambda: None)
        for number, parts in zip(left, computed, strict=True):
            for part in parts:
                if (answered := part.pop("prompts", None)) is not None:
                    part["unfinished.answered"] = answered
                with seconds.measure("waiting for the disk"):
                    written.result()
                written = thread.submit(store.append_part, part)
            with seconds.measure("waiting for the disk"):
                written.result()
            written = thread.submit(store.commit_batch, number)
            progress.advance(sizes[number])
            if number == left[0]:
                share = n_left / sizes[number]
                took = share * (time.perf_counter() - start)
                if took > LONG:
                    written.result()
                    size = share * (unfinished_bytes(path) - bytes_before)
                    text = _format_estimate(took, size, n_left, path.parent)
                    logger.info(f"dump: {text}; what is finished is kept when it is stopped")
        with seconds.measure("waiting for the disk"):
            written.result()


def estimate(config: Config, dataset: Dataset) -> str:
    """Return the estimated time and size of a dump as text, from a dump of its first batch.

    That dump goes into a temporary folder and is removed. SvtError as `dump`.
    """
    first = replace(dataset, prompts=dataset.prompts[: config.dump.batch_size])
    start = time.perf_counter()
    with TemporaryDirectory(prefix="svt-") as folder:
        path = Path(folder) / "first.duckdb"
        dump(config, first, Identity("", ""), path)
        stores = Stores.of(path)
        seconds: dict[str, float] = json.loads(stores.dump["seconds"])
        size = path.stat().st_size
    per_prompt = seconds["contributions"] + seconds["waiting for the disk"]
    times = len(dataset.prompts) / len(first.prompts)
    once = time.perf_counter() - start - per_prompt
    return _format_estimate(once + times * per_prompt, times * size, len(dataset.prompts), None)


def _format_estimate(seconds: float, size: float, n_prompts: int, folder: Path | None) -> str:
    """Return `about 12 min and 3.4 GB for 2,048 prompts`, and a warning if `folder` is too full."""
    duration = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
    text = f"about {duration} and {file_size(int(size))} for {n_prompts:,} prompts"
    free = shutil.disk_usage(folder).free if folder is not None else size
    return text + (f"; only {file_size(int(free))} are free in {folder}" if free < size else "")


@contextmanager
def _log_kept_when_stopped(
    store: StoreWriter, batches: Sequence[Sequence[Prompt]]
) -> Iterator[None]:
    """Log the number of prompts that the store keeps when the block is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        kept = sum(len(batches[number]) for number in store.finished)
        if kept:
            n_prompts = sum(map(len, batches))
            logger.info(
                "%d of %d prompts are kept; the same command goes on from there", kept, n_prompts
            )
        raise


def _describe_request(identity: Identity, batches: Sequence[Sequence[Prompt]]) -> str:
    """Return what an unfinished store must have been made for, so that a dump may resume it."""
    ids = [[prompt.prompt_id for prompt in batch] for batch in batches]
    return json.dumps({"identity": identity.key, "batches": ids})


def _prompt_rows(
    config: Config, dataset: Dataset, answered: Mapping[str, np.ndarray[Any, Any]]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the rows of the dataset's tables, with the model's answers, and notes (step 3)."""
    stored = set(answered["prompt_id"].tolist())
    prompts = [prompt for prompt in dataset.prompts if prompt.prompt_id in stored]
    notes = list(dataset.notes)
    if config.dataset.only_correct:
        if not prompts:
            raise SvtError(
                "dataset.only_correct=true: the model answers none of the "
                f"{len(dataset.prompts)} prompts correctly, so there is nothing to store; "
                "take other prompts, or dataset.only_correct=false"
            )
        notes.append(
            f"{len(dataset.prompts) - len(prompts)} of {len(dataset.prompts)} prompts are left "
            "out: the model does not answer them correctly (dataset.only_correct)"
        )
    rows = make_prompt_rows(prompts)
    for column in ("logit_diff", "correct"):  # both are in the order of prompt_id (load_prompts)
        rows["prompts"][column] = answered[column]
    return rows, notes


def peak_bytes() -> int:
    """Return the peak resident memory of this process in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Seconds:
    """Total wall time by phase, in seconds."""

    def __init__(self) -> None:
        self._by_phase: dict[str, float] = {}

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Add the time of the block to `phase`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self._by_phase[phase] = self._by_phase.get(phase, 0.0) + spent

    def exclude(self, outer: str, inner: str) -> None:
        """Subtract the time of `inner`, which ran inside `outer`, from it."""
        self._by_phase[outer] -= self._by_phase.get(inner, 0.0)

    def rounded(self) -> dict[str, float]:
        return {phase: round(spent, 3) for phase, spent in self._by_phase.items()}
