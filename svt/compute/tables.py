"""The columns of the fact tables, from what slices.py and upstream.py worked out."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from svt.compute.columns import HEAD, Batch, Columns
from svt.compute.forward import Activations, Layout
from svt.compute.pairs import Integers, Pairs
from svt.compute.slices import Basis, Slices, coordinates
from svt.compute.upstream import Doubles, Ranking, Readout, Received, Writers, rank_heads


def pair_columns(
    batch: Layout, pairs: Pairs, found: Slices, read: Readout, scaling: Doubles
) -> Columns:
    """Return one row a stored pair; scaling: [pair], what its layer multiplies scores by."""
    offsets = read.offsets  # [pair, side, kind]
    return {
        "pair_id": pairs.pair_id,
        "prompt_id": batch.prompt_ids[pairs.row],
        "layer": pairs.layer.astype(np.uint8),
        "head": pairs.head.astype(np.uint8),
        "dest": pairs.dest.astype(np.uint16),
        "src": pairs.src.astype(np.uint16),
        "weight": pairs.weight,
        "score": pairs.score,
        "omega_score": found.omega_score,
        "eligible": pairs.eligible,
        "sampled": pairs.sampled,
        "n_slices": found.in_signal.sum(axis=1).astype(np.uint16),
        "dest_scale": read.scale[:, 0].astype(np.float32),
        "src_scale": read.scale[:, 1].astype(np.float32),
        "dest_offset": offsets[:, 0, 0],
        "src_offset": offsets[:, 1, 0],
        "dest_offset_all": offsets[:, 0, 1],
        "src_offset_all": offsets[:, 1, 1],
        "residual": np.abs(found.omega_score - pairs.score.astype(np.float64) / scaling),
    }


def slice_columns(pairs: Pairs, found: Slices) -> Columns:
    """One row a (pair, slice)."""
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


def upstream_tables(
    pairs: Pairs, writers: Writers, received: Iterable[Received], readings: Doubles | None
) -> Batch:
    """`sides`, and `upstream` where there are pairs: layer by layer the heads by rank, then the
    other writers.

    readings: [pair, side], of the whole normalised residual, where all components were dumped.
    """
    upstream, shape = [], (len(pairs), 2)
    n_heads, total, total_all, closure = np.zeros(shape, np.uint16), *np.zeros((3, *shape))
    for got in received:
        ranking = rank_heads(got)
        upstream.append(_head_rows(pairs, writers, got, ranking))
        if len(got.others):
            upstream.append(_other_rows(pairs, writers, got))
        n_heads[got.pairs] = got.from_heads.shape[-1]
        total[got.pairs] = ranking.total
        total_all[got.pairs] = got.from_heads[:, :, 1].sum(axis=-1, dtype=np.float64)
        closure[got.pairs] = got.from_others[:, :, 0].sum(axis=-1, dtype=np.float64)
    closure += np.nan if readings is None else total - readings
    sides = _sides(pairs.pair_id, 1) | {
        "total": total.ravel(),
        "total_all": total_all.ravel(),
        "n_heads": n_heads.ravel(),
        "closure": closure.ravel(),
    }
    return {"sides": sides} | ({"upstream": _joined(upstream)} if upstream else {})


def _head_rows(pairs: Pairs, writers: Writers, got: Received, ranking: Ranking) -> Columns:
    n_heads = ranking.order.shape[-1]
    rows = _sides(pairs.pair_id[got.pairs], n_heads)
    contribution_all = np.take_along_axis(got.from_heads[:, :, 1], ranking.order, axis=-1)
    rank = np.arange(1, n_heads + 1, dtype=np.uint16)
    return rows | {
        "component": np.full(len(rows["side"]), HEAD, np.uint8),
        "up_layer": writers.layer.astype(np.uint8)[ranking.order].ravel(),
        "up_head": writers.head.astype(np.uint8)[ranking.order].ravel(),
        "contribution": ranking.contribution.ravel(),
        "contribution_all": contribution_all.ravel(),
        "rank": np.tile(rank, 2 * len(got.pairs)),
        "cum_before": ranking.cum_before.ravel(),
    }


def _other_rows(pairs: Pairs, writers: Writers, got: Received) -> Columns:
    rows = _sides(pairs.pair_id[got.pairs], len(got.others))
    n = len(rows["side"])
    writer = np.tile(got.others, 2 * len(got.pairs))
    return rows | {
        "component": writers.component[writer],
        "up_layer": _nullable(writers.layer[writer]),
        "up_head": _nullable(writers.head[writer]),
        "contribution": got.from_others[:, :, 0].ravel(),
        "contribution_all": got.from_others[:, :, 1].ravel(),
        "rank": np.ma.masked_all(n, np.uint16),
        "cum_before": np.full(n, np.nan),
    }


def _sides(pair_id: Integers, n_rows: int) -> Columns:
    """pair_id and side of so many rows for each side of the pairs."""
    return {
        "pair_id": np.repeat(pair_id, 2 * n_rows),
        "side": np.tile(np.repeat(np.arange(2, dtype=np.uint8), n_rows), len(pair_id)),
    }


def _joined(parts: Sequence[Columns]) -> Columns:
    """Rows of all parts, a column masked where one of them has it masked."""
    joined: Columns = {}
    for name in parts[0]:
        values = [part[name] for part in parts]
        masked = any(isinstance(some, np.ma.MaskedArray) for some in values)
        joined[name] = np.ma.concatenate(values) if masked else np.concatenate(values)
    return joined


def coordinate_columns(
    of: Basis, batch: Layout, acts: Activations, chosen: tuple[tuple[int, int], ...]
) -> Columns:
    """One row a (prompt, position, chosen head, slice)."""
    heads = np.array(chosen, np.int64)  # [chosen, 2]
    prompt = np.repeat(np.arange(len(batch.prompts)), batch.lengths)  # [token]
    token, which = (index.ravel() for index in np.indices((len(prompt), len(heads))))
    layer, head = heads[which].T
    dest, src = (coordinates(of, side, acts, layer, head, token) for side in range(2))
    r = dest.shape[1]
    return {
        "prompt_id": np.repeat(batch.prompt_ids[prompt[token]], r),
        "pos": np.repeat((token - batch.starts[prompt[token]]).astype(np.uint16), r),
        "layer": np.repeat(layer.astype(np.uint8), r),
        "head": np.repeat(head.astype(np.uint8), r),
        "k": np.tile(np.arange(r, dtype=np.uint16), len(token)),
        "dest_coord": dest.ravel().astype(np.float32),
        "src_coord": src.ravel().astype(np.float32),
    }


def _nullable(index: Integers) -> NDArray[np.generic]:
    """-1 means none."""
    column: NDArray[np.generic] = np.ma.array(index.astype(np.uint8), mask=index < 0)
    return column
