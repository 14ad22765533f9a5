"""Dumps of small checkpoints, for tests."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import torch

from svt.compute.batches import plan_batches
from svt.compute.columns import Batch, Columns
from svt.compute.decompose import HeadSVD, decompose_model
from svt.compute.dump import dump_batches
from svt.compute.load import load_model
from svt.compute.model import Model
from svt.compute.tables import writer_columns
from svt.compute.writers import list_writers
from svt.config import DumpConfig, ModelConfig
from svt.dataset.prompt import Prompt
from svt.store.writer import StoreWriter
from tests.prompts import prompts_of as prompts_of
from tests.store_rows import connection

LONG = {
    "slices": "SELECT * FROM slices ORDER BY pair_id, k",
    "upstream": "SELECT * REPLACE (enum_code(side) AS side, enum_code(component) AS component) "
    "FROM upstream ORDER BY pair_id, side, component, up_layer NULLS FIRST, up_head NULLS FIRST",
}
LISTS = ("pair_slices", "pair_upstream")

SORTED_BY = ("pair_id", "prompt_id", "side", "component", "up_layer", "up_head")


def loaded(folder: Path, dtype: str = "float32", device: str = "cpu") -> Model:
    return load_model(ModelConfig("test", str(folder), None, device, dtype))  # type: ignore[arg-type]


def with_signs(svd: HeadSVD, signs: torch.Tensor) -> HeadSVD:
    """The same slices with u_k and v_k times signs [layer, head, slice] of 1 or -1."""
    columns, rows = signs[:, :, None], signs[..., None]
    turned = {name: getattr(svd, name) * columns for name in ("u", "v")}
    return replace(svd, **turned, g_q=svd.g_q * rows, g_k=svd.g_k * rows)


def in_order(svd: HeadSVD, order: torch.Tensor) -> HeadSVD:
    """The same slices in another order."""
    columns = {name: getattr(svd, name)[..., order] for name in ("u", "v", "sigma")}
    return replace(svd, **columns, g_q=svd.g_q[:, :, order], g_k=svd.g_k[:, :, order])


def parts(
    model: Model,
    svd: HeadSVD,
    prompts: Sequence[Prompt],
    dump: DumpConfig,
    only_correct: bool = False,
) -> list[Batch]:
    """The parts of all batches, one after the other."""
    batches = dump_batches(model, svd, plan_batches(model, prompts, dump), dump, only_correct)
    return [part for batch in batches for part in batch]


def dumped(
    source: Path | Model, prompts: Sequence[Prompt], dump: DumpConfig, dtype: str = "float32"
) -> dict[str, Columns]:
    """All batches of a dump as one, sorted by prompt or pair, side and what writes.

    Of the lists the long views, as the store shows them.
    """
    model = source if isinstance(source, Model) else loaded(source, dtype)
    batches = parts(model, decompose_model(model), prompts, dump)
    tables = long_views(model, dump, batches)
    for name in {name for batch in batches for name in batch} - set(LISTS):
        some = [batch[name] for batch in batches if name in batch]
        columns = {c: np.ma.concatenate([part[c] for part in some]) for c in some[0]}
        keys = [key for key in SORTED_BY if key in columns]
        order = np.lexsort([np.ma.filled(columns[key].astype(np.int64), -1) for key in keys[::-1]])
        tables[name] = {
            c: v[order] if any(np.ma.isMaskedArray(part[c]) for part in some) else v.data[order]
            for c, v in columns.items()
        }
    return tables


@cache
def empty_tables() -> duckdb.DuckDBPyConnection:
    """Tables of a store, made once a process; what fills them rolls back."""
    return connection()


def long_views(model: Model, dump: DumpConfig, batches: Sequence[Batch]) -> dict[str, Columns]:
    """slices and upstream of the lists in some parts; null is masked, or NaN in a float column."""
    con = empty_tables()
    con.begin()
    store = StoreWriter(con)
    store.append("writers", writer_columns(list_writers(model, dump.components)))
    for batch in batches:
        store.append_all({name: batch[name] for name in LISTS if name in batch})
    found = {name: con.execute(text).fetchnumpy() for name, text in LONG.items()}
    con.rollback()
    return {
        name: {column: _with_nan(values) for column, values in columns.items()}
        for name, columns in found.items()
        if len(columns["pair_id"])
    }


def _with_nan(values: np.ndarray) -> np.ndarray:
    return np.ma.filled(values, np.nan) if values.dtype.kind == "f" else values
