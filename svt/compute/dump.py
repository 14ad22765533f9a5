"""The dump: one forward pass a batch of prompts, out of which come all columns of the store.

1. Prompts are batched by length; inside a batch they stand in order of prompt_id.
2. A forward pass keeps activations and the pairs to store (forward.py, pairs.py).
3. The pairs are worked off in chunks, so that memory stays bounded however many are stored: slice
   contributions and signal sets (slices.py), then, for the pairs that reached dump.min_weight,
   what every upstream component contributed to each side (upstream.py).
4. Once a batch: logit differences and direct effects (effects.py), coordinates of the heads asked
   for.

Rows are sorted by pair_id, then slice, or side and component. Batches and padding change no row
beyond float32 rounding.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from svt.compute.columns import COMPONENTS, Batch, Columns
from svt.compute.decompose import HeadSVD
from svt.compute.effects import asked, head_effects, prompt_columns
from svt.compute.forward import Activations, Layout, forward, layout
from svt.compute.model import Model
from svt.compute.pairs import Chooser, Integers, Pairs, take
from svt.compute.slices import Slices, coordinates, slices
from svt.compute.upstream import (
    Floats,
    Ranking,
    Readout,
    contributions,
    outputs,
    probes,
    rank_heads,
    readout,
    residual_readings,
    writers,
)
from svt.config import DumpConfig
from svt.errors import SvtError

if TYPE_CHECKING:
    from svt.dataset.prompt import Prompt

HEAD = COMPONENTS.index("head")
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
            tables["coordinates"] = self._coordinates(batch, acts)
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
        strong = ~pairs.sampled
        return {
            "pairs": _pair_columns(batch, pairs, found, read, self.model.d_head),
            "slices": _slice_columns(pairs, found),
        } | self._upstream_tables(
            acts,
            tokens,
            take(pairs, strong),
            take(found, strong),
            take(read, strong),
            token[strong],
        )

    def _upstream_tables(
        self,
        acts: Activations,
        tokens: slice,
        pairs: Pairs,
        found: Slices,
        read: Readout,
        token: Integers,
    ) -> Batch:
        """Step 3 of the pairs that reached dump.min_weight."""
        written = outputs(
            self.w_o, self.b_o, acts, self.writers, tokens
        )  # [writer, token, d_model]
        directions = probes(self.svd, pairs, read, self.model.work_dtype)
        contributed = contributions(directions, written, token - tokens.start)
        visible = self.writers.layer < pairs.layer[:, None]  # [pair, writer]
        n_heads = int((self.writers.component == HEAD).sum())
        ranking = rank_heads(contributed[:, :, 0, :n_heads], visible[:, :n_heads])
        side_columns: Columns = {
            "pair_id": np.repeat(pairs.pair_id, 2),
            "side": np.tile(np.arange(2, dtype=np.uint8), len(pairs)),
            "total": ranking.total.ravel(),
            "total_all": _summed(contributed[:, :, 1, :n_heads], visible[:, :n_heads]).ravel(),
            "n_heads": np.repeat(visible[:, :n_heads].sum(axis=1), 2).astype(np.uint16),
            "closure": np.full(2 * len(pairs), np.nan),
        }
        if set(COMPONENTS) == set(self.dump.components):
            closure = _summed(contributed[:, :, 0], visible) - residual_readings(read, found)
            side_columns["closure"] = closure.ravel()
        return {
            "upstream": self._upstream_columns(pairs, contributed, visible, ranking),
            "sides": side_columns,
        }

    def _upstream_columns(
        self,
        pairs: Pairs,
        contributed: NDArray[np.float32],
        visible: NDArray[np.bool_],
        ranking: Ranking,
    ) -> Columns:
        """One row a (pair, side, visible writer), in this order."""
        shown = np.broadcast_to(visible[:, None], (len(pairs), 2, len(self.writers)))
        pair, side, writer = shown.nonzero()
        component = self.writers.component[writer]
        other = component != HEAD
        n_others = len(self.writers) - ranking.rank.shape[-1]

        def of_heads(values: NDArray[np.generic], fill: float) -> NDArray[np.generic]:
            """Values by (pair, side, head) as a column; `fill` in other components' rows."""
            padding = [(0, 0), (0, 0), (0, n_others)]
            return np.pad(values, padding, constant_values=fill)[shown]

        return {
            "pair_id": pairs.pair_id[pair],
            "side": side.astype(np.uint8),
            "component": component,
            "up_layer": _nullable(self.writers.layer[writer], np.uint8),
            "up_head": _nullable(self.writers.head[writer], np.uint8),
            "contribution": contributed[:, :, 0][shown],
            "contribution_all": contributed[:, :, 1][shown],
            "rank": np.ma.array(of_heads(ranking.rank, 0), mask=other),
            "cum_before": of_heads(ranking.cum_before, np.nan),
        }

    def _coordinates(self, batch: Layout, acts: Activations) -> Columns:
        """Coordinates of the chosen heads for every token, by prompt, pos, layer, head and k."""
        heads = np.array(self.coordinate_heads, np.int64)  # [chosen, 2]
        prompt = np.repeat(np.arange(len(batch.prompts)), batch.lengths)  # [token]
        token, which = (i.ravel() for i in np.indices((len(prompt), len(heads))))
        layer, head = heads[which].T
        svd = self.svd
        dest, src = (coordinates(w, svd.sigma, acts, layer, head, token) for w in (svd.u, svd.v))
        r = dest.shape[1]
        ids = np.array([p.prompt_id for p in batch.prompts], np.int64)
        return {
            "prompt_id": np.repeat(ids[prompt[token]], r),
            "pos": np.repeat((token - batch.starts[prompt[token]]).astype(np.uint16), r),
            "layer": np.repeat(layer.astype(np.uint8), r),
            "head": np.repeat(head.astype(np.uint8), r),
            "k": np.tile(np.arange(r, dtype=np.uint16), len(token)),
            "dest_coord": dest.ravel().astype(np.float32),
            "src_coord": src.ravel().astype(np.float32),
        }


def _pair_columns(
    batch: Layout, pairs: Pairs, found: Slices, read: Readout, d_head: int
) -> Columns:
    ids = np.array([p.prompt_id for p in batch.prompts], np.int64)
    offsets = read.offsets()  # [pair, side, kind]
    return {
        "pair_id": pairs.pair_id,
        "prompt_id": ids[pairs.row],
        "layer": pairs.layer.astype(np.uint8),
        "head": pairs.head.astype(np.uint8),
        "dest": pairs.dest.astype(np.uint16),
        "src": pairs.src.astype(np.uint16),
        "weight": pairs.weight,
        "score": pairs.score,
        "omega_score": found.omega_score,
        "eligible": (pairs.score >= 0) & (pairs.src > 0),
        "sampled": pairs.sampled,
        "n_slices": found.in_signal.sum(axis=1).astype(np.uint16),
        "dest_scale": read.scale[:, 0].astype(np.float32),
        "src_scale": read.scale[:, 1].astype(np.float32),
        "dest_offset": offsets[:, 0, 0],
        "src_offset": offsets[:, 1, 0],
        "dest_offset_all": offsets[:, 0, 1],
        "src_offset_all": offsets[:, 1, 1],
        "residual": np.abs(found.omega_score - d_head**0.5 * pairs.score.astype(np.float64)),
    }


def _slice_columns(pairs: Pairs, found: Slices) -> Columns:
    n, r = found.contribution.shape
    return {
        "pair_id": np.repeat(pairs.pair_id, r),
        "k": np.tile(np.arange(r, dtype=np.uint16), n),
        "contribution": found.contribution.ravel(),
        "dest_coord": found.dest_coord.ravel().astype(np.float32),
        "src_coord": found.src_coord.ravel().astype(np.float32),
        "rank": found.rank.ravel(),
        "in_signal": found.in_signal.ravel(),
    }


def _summed(contributed: NDArray[np.float32], visible: NDArray[np.bool_]) -> Floats:
    """[pair, side] sums over the visible writers, float64."""
    seen = np.where(visible[:, None], contributed, np.float32(0))
    sums: Floats = seen.sum(axis=-1, dtype=np.float64)
    return sums


def _nullable(index: Integers, kind: type[np.unsignedinteger[Any]]) -> NDArray[np.generic]:
    """-1 means none."""
    column: NDArray[np.generic] = np.ma.array(index.astype(kind), mask=index < 0)
    return column


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
