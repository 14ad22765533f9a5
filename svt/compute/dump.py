"""The dump: one forward pass for each batch of prompts, and all columns of the store.

1. The prompts come in batches (batches.py).
2. A forward pass returns activations and the pairs to store (forward.py, pairs.py).
3. With dataset.only_correct, prompts that the model answers wrongly are dropped.
4. The pairs are processed in chunks of bounded memory, several at once in threads: slice
   contributions and signal sets (slices.py); for pairs that are not sampled, the contribution of
   every upstream component to each side (upstream.py) and the pair's weight without it
   (removal.py); then their columns (tables.py).
5. Once a batch: logit differences, direct effects (effects.py) and coordinates of the heads of
   dump.coordinates.

A chunk's rows are sorted by pair_id, then side; those of pair_upstream by layer and component
first. Batches and padding change no row beyond float32 rounding.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise, product
from math import ceil

import numpy as np
import torch

from svt.compute.answers import has_logit_diff
from svt.compute.batches import NUMBER_BYTES, SLICE_BYTES, memory_share
from svt.compute.columns import Batch
from svt.compute.decompose import HeadSVD
from svt.compute.effects import head_effects, prompt_columns
from svt.compute.forward import Activations, Layout, forward, pad_prompts, select_prompts
from svt.compute.model import Model
from svt.compute.pairs import PairCollector, Pairs, select, select_prompt_pairs
from svt.compute.removal import Removal
from svt.compute.slices import compute_slices, make_basis
from svt.compute.tables import coordinate_columns, pair_columns, slice_columns, upstream_tables
from svt.compute.threads import ThreadPool
from svt.compute.upstream import Outputs, compute_contributions, compute_readout
from svt.compute.writers import list_writers
from svt.config import DumpConfig
from svt.dataset.prompt import Prompt


def dump_batches(
    model: Model,
    svd: HeadSVD,
    batches: Iterable[Sequence[Prompt]],
    dump: DumpConfig,
    only_correct: bool = False,
) -> Generator[Iterator[Batch]]:
    """Yield for each batch its rows of the tables in one or more parts, every row once.

    The tables are prompts, head_effects, coordinates, pairs, pair_slices, pair_upstream and sides.
    The parts of a batch must be consumed before the next batch. The prompts must fit the model.
    """
    with ThreadPool(model) as threads:
        worker = _Worker(model, svd, dump, only_correct, threads)
        for batch in batches:
            yield worker.parts(*worker.forward(pad_prompts(batch)))


class _Worker:
    """The model, the settings and the weights that all batches share."""

    def __init__(
        self, model: Model, svd: HeadSVD, dump: DumpConfig, only_correct: bool, threads: ThreadPool
    ) -> None:
        self.model, self.dump, self.only_correct = model, dump, only_correct
        self.threads, self.share = threads, memory_share(dump) / threads.n_threads
        self.w_o, self.w_u = model.weight("W_O"), model.unembedding[0]
        self.writers = list_writers(model, dump.components)
        self.outputs = Outputs(model, self.writers, self.share)
        self.basis = make_basis(svd, model)
        self.removal = (
            Removal(model, self.basis, self.writers, self.share) if dump.effects else None
        )
        self.contrast = model.scoring if dump.score == "contrast" else None
        self.coordinate_heads = _coordinate_heads(model, dump)

    @torch.inference_mode()
    def forward(self, batch: Layout) -> tuple[Layout, Activations, Pairs]:
        """Run the model on a batch and collect the pairs to store (step 2)."""
        collector = PairCollector(self.model, batch, self.dump)
        acts = forward(self.model, batch, self.dump.components, collector, self.dump.effects)
        return batch, acts, collector.pairs()

    @torch.inference_mode()
    def parts(self, batch: Layout, acts: Activations, pairs: Pairs) -> Iterator[Batch]:
        """Yield the columns of a batch, table by table (steps 3 to 5)."""
        prompts = prompt_columns(self.model, batch, acts)
        if self.only_correct:  # 3
            correct = np.ma.filled(prompts["correct"], False).astype(bool)
            if not correct.any():
                return
            prompts = {name: values[correct] for name, values in prompts.items()}
            batch, acts = select_prompts(batch, acts, correct)
            pairs = select_prompt_pairs(pairs, correct)
        tables = {"prompts": prompts} | self.batch_tables(batch, acts)  # 5
        compute = partial(self.pair_tables, batch, acts)
        for columns in self.threads.run(compute, self.chunks(pairs)):  # 4
            yield tables | columns
            tables = {}
        if tables:  # no pairs
            yield tables

    def batch_tables(self, batch: Layout, acts: Activations) -> Batch:
        """Return head_effects and coordinates of a batch, those that are dumped (step 5)."""
        tables: Batch = {}
        if any(has_logit_diff(prompt) for prompt in batch.prompts):
            tables["head_effects"] = head_effects(self.w_o, self.w_u, batch, acts)
        if self.coordinate_heads:
            heads = self.coordinate_heads
            tables["coordinates"] = coordinate_columns(self.basis, batch, acts, heads)
        return tables

    def chunks(self, pairs: Pairs) -> Iterator[Pairs]:
        """Yield chunks of consecutive pairs of about equal cost, for each thread as many.

        A prompt is cut only where its own pairs exceed a thread's share of the memory, since the
        writers' outputs at its tokens are computed once a chunk.
        """
        model, n_kinds = self.model, 1 + self.dump.all_slices + self.dump.effects
        upstream = NUMBER_BYTES * pairs.layer * model.n_heads
        probe = model.d_model * model.work_dtype.itemsize
        of_upstream = np.where(pairs.sampled, 0, 2 * n_kinds * (upstream + probe))
        cost = of_upstream + SLICE_BYTES * model.d_head
        before, total, of_prompt = np.cumsum(cost) - cost, cost.sum(), np.bincount(pairs.row, cost)
        first_of_prompt = np.searchsorted(pairs.row, pairs.row)  # rows ascend with pair_id
        is_whole = of_prompt[pairs.row] <= self.share
        n_chunks = ceil(total / memory_share(self.dump)) * self.threads.n_threads
        chunk = np.where(is_whole, before[first_of_prompt], before) * n_chunks // total
        first = np.flatnonzero(np.diff(chunk, prepend=-1))
        for start, stop in pairwise([*first, len(pairs)]):
            yield select(pairs, slice(start, stop))

    @torch.inference_mode()
    def pair_tables(self, batch: Layout, acts: Activations, pairs: Pairs) -> Batch:
        """Return pairs, pair_slices, pair_upstream and sides of a chunk (step 4)."""
        start = batch.starts[pairs.row]
        token = np.stack([start + pairs.dest, start + pairs.src], axis=1)  # [pair, side]
        slices = compute_slices(self.basis, acts, pairs, token, self.contrast)
        read = compute_readout(self.basis, acts, pairs, slices, token, self.dump.all_slices)
        scaling = np.array([scoring.scale for scoring in self.model.scoring])[pairs.layer]
        tables = {
            "pairs": pair_columns(batch, pairs, slices, read, scaling),
            "pair_slices": slice_columns(pairs, slices),
        }
        strong = ~pairs.sampled
        pairs, read = select(pairs, strong), select(read, strong)
        by_layer = compute_contributions(
            self.basis, acts, pairs, read, self.outputs, token[strong], self.removal
        )
        closed = self.model.writing <= set(self.dump.components)
        readings = read.readings if closed else None
        return tables | upstream_tables(pairs, self.writers, by_layer, readings)


def _coordinate_heads(model: Model, dump: DumpConfig) -> tuple[tuple[int, int], ...]:
    """Return the heads of dump.coordinates, sorted."""
    if dump.coordinates == "none":
        return ()
    if dump.coordinates == "all":
        return tuple(product(range(model.n_layers), range(model.n_heads)))
    return tuple(sorted(set(dump.coordinates)))
