"""The columns of the fact tables, from the arrays of slices.py and upstream.py."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Float64, UInt16
from numpy.typing import NDArray

from svt.compute.columns import HEAD, Batch, Columns, to_lists, to_ragged_lists
from svt.compute.forward import Activations, Layout
from svt.compute.pairs import Integers, Pairs
from svt.compute.slices import Basis, Slices, compute_coordinates
from svt.compute.upstream import LayerContributions, Readout
from svt.compute.writers import Writers


def pair_columns(
    batch: Layout, pairs: Pairs, slices: Slices, read: Readout, scale: Float64[np.ndarray, " pair"]
) -> Columns:
    """Return the columns of `pairs`, one row a stored pair; scale: Scoring.scale of its layer."""
    offsets = read.offsets  # [pair, side, kind]
    names = ("dest_offset", "src_offset"), ("dest_offset_all", "src_offset_all")
    columns: Columns = {
        "pair_id": pairs.pair_id,
        "prompt_id": batch.prompt_ids[pairs.row],
        "layer": pairs.layer.astype(np.uint8),
        "head": pairs.head.astype(np.uint8),
        "dest": pairs.dest.astype(np.uint16),
        "src": pairs.src.astype(np.uint16),
        "weight": pairs.weight,
        "score": pairs.score,
        "omega_score": slices.omega_score,
        "eligible": pairs.eligible,
        "sampled": pairs.sampled,
        "n_slices": slices.in_signal.sum(axis=1).astype(np.uint16),
        "dest_scale": read.scale[:, 0].astype(np.float32),
        "src_scale": read.scale[:, 1].astype(np.float32),
        "residual": np.abs(slices.omega_score - slices.score / scale),
    }
    for kind in range(offsets.shape[2]):
        columns |= dict(zip(names[kind], offsets[:, :, kind].T, strict=True))
    return columns


def slice_columns(pairs: Pairs, slices: Slices) -> Columns:
    """Return the columns of `pair_slices`, one row a pair; its signal is in the order of ranks."""
    size = slices.in_signal.sum(axis=1)
    order = np.argsort(slices.rank, axis=1).astype(np.uint16)  # ranks have no ties
    in_signal = np.arange(order.shape[1]) < size[:, None]
    return {
        "pair_id": pairs.pair_id,
        "dest_coords": to_lists(slices.dest_coord.astype(np.float32)),
        "src_coords": to_lists(slices.src_coord.astype(np.float32)),
        "signal": to_ragged_lists(order[in_signal], size),
    }


def upstream_tables(
    pairs: Pairs,
    writers: Writers,
    by_layer: Iterable[LayerContributions],
    readings: Float64[np.ndarray, "pair side"] | None,
) -> Batch:
    """Return the tables `sides` and, unless it is empty, `pair_upstream`.

    The rows of pair_upstream are layer by layer the heads', then the other writers'. readings: of
    the whole residual stream, for the closure; None where components are missing.
    """
    upstream: list[Columns] = []
    shape = (len(pairs), 2)
    n_heads, total, total_all, closure = np.zeros(shape, np.uint16), *np.zeros((3, *shape))
    total_all += np.nan
    for part in by_layer:
        pair_id = pairs.pair_id[part.pairs]
        if part.from_heads.shape[-1]:
            upstream.append(_upstream_columns(pair_id, HEAD, part.from_heads, part.without_heads))
        components = writers.component[part.others]
        for component in np.unique(components).tolist():
            chosen = components == component
            without = None if part.without_others is None else part.without_others[..., chosen]
            columns = _upstream_columns(pair_id, component, part.from_others[..., chosen], without)
            upstream.append(columns)
        n_heads[part.pairs] = part.from_heads.shape[-1]
        total[part.pairs], *of_all_slices = _sum_writers(part.from_heads)
        for values in of_all_slices:
            total_all[part.pairs] = values
        closure[part.pairs] = _sum_writers(part.from_others)[0]
    closure += np.nan if readings is None else total - readings
    sides = _side_columns(pairs.pair_id) | {
        "total": total.ravel(),
        "total_all": total_all.ravel(),
        "n_heads": n_heads.ravel(),
        "closure": closure.ravel(),
    }
    return {"sides": sides} | ({"pair_upstream": _concatenate(upstream)} if upstream else {})


def writer_columns(writers: Writers) -> Columns:
    """Return the columns of `writers`, one row a writer, counted from 0 within its component."""
    first = np.searchsorted(writers.component, writers.component)  # components ascend
    return {
        "component": writers.component,
        "writer": (np.arange(len(writers)) - first).astype(np.uint16),
        "up_layer": _mask_negative(writers.layer),
        "up_head": _mask_negative(writers.head),
    }


def _upstream_columns(
    pair_id: Integers,
    component: int,
    contributions: Float32[np.ndarray, "pair side kind writer"],
    without: UInt16[np.ndarray, "pair side writer"] | None,
) -> Columns:
    """Return columns of `pair_upstream`, one row a (pair, side); without: None if not computed."""
    of_writers: dict[str, NDArray[np.generic]] = dict(
        zip(("contributions", "contributions_all"), np.moveaxis(contributions, 2, 0), strict=False)
    )
    if without is not None:
        of_writers["weights_without"] = without
    n_rows = 2 * len(pair_id)
    columns = _side_columns(pair_id) | {"component": np.full(n_rows, component, np.uint8)}
    return columns | {name: to_lists(v.reshape(n_rows, -1)) for name, v in of_writers.items()}


def _sum_writers(
    contributions: Float32[np.ndarray, "pair side kind writer"],
) -> Float64[np.ndarray, "kind pair side"]:
    """Return the sums over writers, in float64."""
    return np.moveaxis(contributions.sum(axis=-1, dtype=np.float64), -1, 0)


def _side_columns(pair_id: Integers) -> Columns:
    """Return pair_id and side, one row for each side of the pairs."""
    return {
        "pair_id": np.repeat(pair_id, 2),
        "side": np.tile(np.arange(2, dtype=np.uint8), len(pair_id)),
    }


def _concatenate(parts: Sequence[Columns]) -> Columns:
    """Return the rows of all parts."""
    whole: Columns = {}
    for name, first in parts[0].items():
        values = [part[name] for part in parts]
        is_array = isinstance(first, np.ndarray)
        whole[name] = np.concatenate(values) if is_array else pa.chunked_array(values)
    return whole


def coordinate_columns(
    basis: Basis, batch: Layout, acts: Activations, chosen: tuple[tuple[int, int], ...]
) -> Columns:
    """Return the columns of `coordinates`, one row a (prompt, position, chosen head, slice)."""
    heads = np.array(chosen, np.int64)  # [chosen, 2]
    prompt = np.repeat(np.arange(len(batch.prompts)), batch.lengths)  # [token]
    token, index = (part.ravel() for part in np.indices((len(prompt), len(heads))))
    layer, head = heads[index].T
    dest, src = (compute_coordinates(basis, side, acts, layer, head, token) for side in range(2))
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


def _mask_negative(index: Integers) -> NDArray[np.generic]:
    """Return indices as uint8, with -1 masked."""
    column: NDArray[np.generic] = np.ma.array(index.astype(np.uint8), mask=index < 0)
    return column
