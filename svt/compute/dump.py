"""The dump: one forward pass a batch of prompts, out of which come all columns of the store.

1. Prompts are batched by length; inside a batch they stand in order of prompt_id.
2. A forward pass keeps activations and the pairs to store (forward.py, pairs.py).
3. The pairs are worked off in chunks, so that memory stays bounded however many are stored: slice
   contributions and signal sets (slices.py), then, for the pairs that reached dump.min_weight,
   what every upstream component contributed to each side (upstream.py); then, their columns
   (tables.py).
4. Once a batch: logit differences and direct effects (effects.py), coordinates of the heads asked
   for.

Rows are sorted by pair_id, then slice, or side and component. Batches and padding change no row
beyond float32 rounding.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from svt.compute.columns import COMPONENTS, Batch
from svt.compute.decompose import HeadSVD
from svt.compute.effects import asked, head_effects, prompt_columns
from svt.compute.forward import Activations, Layout, forward, layout
from svt.compute.model import Model
from svt.compute.pairs import Chooser, Pairs, take
from svt.compute.slices import slices
from svt.compute.tables import (
    coordinate_columns,
    pair_columns,
    side_columns,
    slice_columns,
    upstream_columns,
)
from svt.compute.upstream import (
    contributions,
    outputs,
    rank_heads,
    readout,
    residual_readings,
    writers,
)
from svt.config import DumpConfig
from svt.errors import SvtError

if TYPE_CHECKING:
    from svt.dataset.prompt import Prompt

CHUNK_ROWS = 2_000_000  # rows of upstream and slices that a chunk aims at
CHUNK_NUMBERS = 64_000_000  # floats of writers' outputs that a chunk aims at


def dump_batches(
    model: Model, svd: HeadSVD, prompts: Sequence["Prompt"], dump: DumpConfig
) -> Iterator[Batch]:
    """Batches of the tables prompts, head_effects, coordinates, pairs, slices, upstream and sides.

    A forward pass yields one batch or more; every row comes exactly once. Raises SvtError for
    dump.coordinates heads that the model does not have. The prompts must fit the model.
    """
    by_length = sorted(prompts, key=lambda p: (len(p.tokens), p.prompt_id))  # 1
    batches = [
        layout(sorted(by_length[i : i + dump.batch_size], key=lambda p: p.prompt_id))
        for i in range(0, len(by_length), dump.batch_size)
    ]
    worker = _Worker(model, svd, dump)
    for batch in batches:
        acts, pairs = worker.forward(batch)  # 2
        tables = worker.batch_tables(batch, acts)  # 4
        for tokens, chunk in worker.chunks(batch, pairs):
            yield tables | worker.pair_tables(batch, acts, tokens, chunk)  # 3
            tables = {}


class _Worker:
    """What stays the same from batch to batch."""

    def __init__(self, model: Model, svd: HeadSVD, dump: DumpConfig) -> None:
        self.model, self.svd, self.dump = model, svd, dump
        self.w_o, self.b_o, self.w_u = (model.weight(name) for name in ("W_O", "b_O", "W_U"))
        self.writers = writers(model, dump.components)
        self.coordinate_heads = _coordinate_heads(model, dump)

    @torch.inference_mode()
    def forward(self, batch: Layout) -> tuple[Activations, Pairs]:
        chooser = Chooser(self.model, batch, self.dump)
        acts = forward(self.model, batch, self.dump.components, chooser)
        return acts, chooser.pairs()

    @torch.inference_mode()
    def batch_tables(self, batch: Layout, acts: Activations) -> Batch:
        """Step 4: prompts, and where asked for head_effects and coordinates."""
        tables = {"prompts": prompt_columns(self.model, batch, acts)}
        if any(asked(prompt) for prompt in batch.prompts):
            tables["head_effects"] = head_effects(self.w_o, self.w_u, batch, acts)
        if self.coordinate_heads:
            heads = self.coordinate_heads
            tables["coordinates"] = coordinate_columns(self.svd, batch, acts, heads)
        return tables

    def chunks(self, batch: Layout, pairs: Pairs) -> Iterator[tuple[slice, Pairs]]:
        """Consecutive pairs, with the tokens of their prompts; every prompt has a pair."""
        model = self.model
        upstream = np.where(pairs.sampled, 0, 2 * pairs.layer * model.n_heads)
        numbers = batch.lengths * len(self.writers) * model.d_model / np.bincount(pairs.row)
        cost = (upstream + model.d_head) / CHUNK_ROWS + numbers[pairs.row] / CHUNK_NUMBERS
        first = np.flatnonzero(np.diff(np.floor(np.cumsum(cost)), prepend=-1))
        for start, stop in zip(first, [*first[1:], len(pairs)], strict=True):
            top, bottom = pairs.row[[start, stop - 1]]
            tokens = slice(batch.starts[top], batch.starts[bottom] + batch.lengths[bottom])
            yield tokens, take(pairs, slice(start, stop))

    @torch.inference_mode()
    def pair_tables(self, batch: Layout, acts: Activations, tokens: slice, pairs: Pairs) -> Batch:
        """Step 3: pairs, slices, upstream and sides of a chunk."""
        start = batch.starts[pairs.row]
        token = np.stack([start + pairs.dest, start + pairs.src], axis=1)  # [pair, side]
        scales = torch.stack(acts.scale).double().cpu().numpy()  # [layer, token]
        found = slices(self.svd, acts, pairs, *token.T)
        read = readout(self.svd, pairs, found, scales[pairs.layer[:, None], token])
        tables = {
            "pairs": pair_columns(batch, pairs, found, read, self.model.d_head),
            "slices": slice_columns(pairs, found),
        }
        strong = ~pairs.sampled
        pairs, found, read = take(pairs, strong), take(found, strong), take(read, strong)
        written = outputs(self.w_o, self.b_o, acts, self.writers, tokens)
        token = token[strong] - tokens.start
        contributed = contributions(self.svd, pairs, read, written, token)
        visible = self.writers.layer < pairs.layer[:, None]  # [pair, writer]
        ranking = rank_heads(self.writers, contributed, visible)
        closed = set(self.dump.components) == set(COMPONENTS)
        readings = residual_readings(read, found) if closed else None
        return tables | {
            "upstream": upstream_columns(pairs, self.writers, contributed, visible, ranking),
            "sides": side_columns(pairs, self.writers, contributed, visible, ranking, readings),
        }


def _coordinate_heads(model: Model, dump: DumpConfig) -> tuple[tuple[int, int], ...]:
    if dump.coordinates == "none":
        return ()
    if dump.coordinates == "all":
        return tuple(itertools.product(range(model.n_layers), range(model.n_heads)))
    for layer, head in dump.coordinates:
        if not (0 <= layer < model.n_layers and 0 <= head < model.n_heads):
            raise SvtError(
                f"dump.coordinates names head {layer}.{head}; the model has layers 0 to "
                f"{model.n_layers - 1} with heads 0 to {model.n_heads - 1}"
            )
    return tuple(sorted(set(dump.coordinates)))
