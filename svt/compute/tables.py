"""The columns of the fact tables, from what slices.py and upstream.py worked out."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float32, Float64, UInt16
from numpy.typing import NDArray

from svt.compute.columns import HEAD, Batch, Columns, chain, to_lists, to_ragged_lists
from svt.compute.forward import Activations, Layout
from svt.compute.pairs import Integers, Pairs
from svt.compute.slices import Basis, Slices, compute_coordinates
from svt.compute.upstream import LayerContributions, Readout
from svt.compute.writers import Writers


def pair_columns(
    batch: Layout, pairs: Pairs, found: Slices, read: Readout, scaling: Float64[np.ndarray, " pair"]
) -> Columns:
    """Return one row a stored pair; `scaling`: what its layer multiplies scores by."""
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
        "omega_score": found.omega_score,
        "eligible": pairs.eligible,
        "sampled": pairs.sampled,
        "n_slices": found.in_signal.sum(axis=1).astype(np.uint16),
        "dest_scale": read.scale[:, 0].astype(np.float32),
        "src_scale": read.scale[:, 1].astype(np.float32),
        "residual": np.abs(found.omega_score - found.score / scaling),
    }
    for kind in range(offsets.shape[2]):
        columns |= dict(zip(names[kind], offsets[:, :, kind].T, strict=True))
    return columns


def slice_columns(pairs: Pairs, found: Slices) -> Columns:
    """One row a pair; its signal by rank."""
    size = found.in_signal.sum(axis=1)
    order = np.argsort(found.rank, axis=1).astype(np.uint16)  # ranks have no ties
    places = np.arange(order.shape[1])
    return {
        "pair_id": pairs.pair_id,
        "dest_coords": to_lists(found.dest_coord.astype(np.float32)),
        "src_coords": to_lists(found.src_coord.astype(np.float32)),
        "signal": to_ragged_lists(order[places < size[:, None]], size),
    }


def upstream_tables(
    pairs: Pairs,
    writers: Writers,
    received: Iterable[LayerContributions],
    readings: Float64[np.ndarray, "pair side"] | None,
) -> Batch:
    """`sides`, and `pair_upstream` where there are pairs: layer by layer the heads, then the other
    writers.

    `readings` are of the whole normalised residual, where all components were dumped.
    """
    upstream: list[Columns] = []
    shape = (len(pairs), 2)
    n_heads, total, total_all, closure = np.zeros(shape, np.uint16), *np.zeros((3, *shape))
    total_all += np.nan
    for got in received:
        pair_id = pairs.pair_id[got.pairs]
        if got.from_heads.shape[-1]:
            upstream.append(_upstream_rows(pair_id, HEAD, got.from_heads, got.without_heads))
        of_others = writers.component[got.others]
        for component in np.unique(of_others).tolist():
            some = of_others == component
            without = None if got.without_others is None else got.without_others[..., some]
            rows = _upstream_rows(pair_id, component, got.from_others[..., some], without)
            upstream.append(rows)
        n_heads[got.pairs] = got.from_heads.shape[-1]
        total[got.pairs], *every = _totals(got.from_heads)
        for of_every_slice in every:
            total_all[got.pairs] = of_every_slice
        closure[got.pairs] = _totals(got.from_others)[0]
    closure += np.nan if readings is None else total - readings
    sides = _sides(pairs.pair_id) | {
        "total": total.ravel(),
        "total_all": total_all.ravel(),
        "n_heads": n_heads.ravel(),
        "closure": closure.ravel(),
    }
    return {"sides": sides} | ({"pair_upstream": _joined(upstream)} if upstream else {})


def writer_columns(writers: Writers) -> Columns:
    """One row a writer, counted from 0 within its component as its contributions are stored."""
    first = np.searchsorted(writers.component, writers.component)  # components ascend
    return {
        "component": writers.component,
        "writer": (np.arange(len(writers)) - first).astype(np.uint16),
        "up_layer": _nullable(writers.layer),
        "up_head": _nullable(writers.head),
    }


def _upstream_rows(
    pair_id: Integers,
    component: int,
    contributions: Float32[np.ndarray, "pair side kind writer"],
    without: UInt16[np.ndarray, "pair side writer"] | None,
) -> Columns:
    """Return one row a (pair, side).

    `without` is None where it was not computed.
    """
    of_writers: dict[str, NDArray[np.generic]] = dict(
        zip(("contributions", "contributions_all"), np.moveaxis(contributions, 2, 0), strict=False)
    )
    if without is not None:
        of_writers["weights_without"] = without
    return (
        _sides(pair_id)
        | {"component": np.full(2 * len(pair_id), component, np.uint8)}
        | {
            name: to_lists(values.reshape(2 * len(pair_id), -1))
            for name, values in of_writers.items()
        }
    )


def _totals(
    contributions: Float32[np.ndarray, "pair side kind writer"],
) -> Float64[np.ndarray, "kind pair side"]:
    """Return the sums over what writes."""
    return np.moveaxis(contributions.sum(axis=-1, dtype=np.float64), -1, 0)


def _sides(pair_id: Integers) -> Columns:
    """pair_id and side of a row for each side of the pairs."""
    return {
        "pair_id": np.repeat(pair_id, 2),
        "side": np.tile(np.arange(2, dtype=np.uint8), len(pair_id)),
    }


def _joined(parts: Sequence[Columns]) -> Columns:
    """Rows of all parts."""
    joined: Columns = {}
    for name, first in parts[0].items():
        values = [part[name] for part in parts]
        joined[name] = np.concatenate(values) if isinstance(first, np.ndarray) else chain(values)
    return joined


def coordinate_columns(
    of: Basis, batch: Layout, acts: Activations, chosen: tuple[tuple[int, int], ...]
) -> Columns:
    """One row a (prompt, position, chosen head, slice)."""
    heads = np.array(chosen, np.int64)  # [chosen, 2]
    prompt = np.repeat(np.arange(len(batch.prompts)), batch.lengths)  # [token]
    token, which = (index.ravel() for index in np.indices((len(prompt), len(heads))))
    layer, head = heads[which].T
    dest, src = (compute_coordinates(of, side, acts, layer, head, token) for side in range(2))
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
