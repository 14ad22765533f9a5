"""Dumps of small checkpoints, for tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from svt.compute.batches import plan
from svt.compute.columns import Batch, Columns
from svt.compute.decompose import HeadSVD, decompose_model
from svt.compute.dump import dump_batches
from svt.compute.model import Model, load_model
from svt.compute.tables import writer_columns
from svt.compute.upstream import writers
from svt.config import DumpConfig, ModelConfig
from svt.dataset.prompt import Prompt
from svt.store.writer import StoreWriter
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


def prompts_of(
    seed: int, n_prompts: int, lengths: tuple[int, int], d_vocab: int = 100
) -> tuple[Prompt, ...]:
    """Random tokens, lengths between the two; every prompt asks for an answer.

    From the third prompt on, in turn, two or three answers or distractors are asked for as well.
    """
    numbers = np.random.default_rng(seed)
    prompts = []
    for i in range(n_prompts):
        n = int(numbers.integers(lengths[0], lengths[1] + 1))
        tokens = tuple(int(token) for token in numbers.integers(d_vocab, size=n))
        answer, distractor = (int(token) for token in numbers.choice(d_vocab, 2, replace=False))
        more = [t % d_vocab for t in range(answer + 1, answer + 9) if t % d_vocab != distractor]
        answers, distractors = (answer, *more[: i // 2 % 3]), (distractor, *more[4 : 4 + i // 3])
        roles = {"end": n - 1}
        prompts.append(Prompt(i, "", tokens, (), roles, answers, distractors[:3]))
    return tuple(prompts)


def parts(
    model: Model,
    svd: HeadSVD,
    prompts: Sequence[Prompt],
    dump: DumpConfig,
    only_correct: bool = False,
) -> list[Batch]:
    """The parts of all batches, one after the other."""
    batches = dump_batches(model, svd, plan(model, prompts, dump), dump, only_correct)
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


def long_views(model: Model, dump: DumpConfig, batches: Sequence[Batch]) -> dict[str, Columns]:
    """slices and upstream of the lists in some parts; null is masked, or NaN in a float column."""
    con = connection()
    store = StoreWriter(con)
    store.append("writers", writer_columns(writers(model, dump.components)))
    for batch in batches:
        store.append_all({name: batch[name] for name in LISTS if name in batch})
    found = {name: con.execute(text).fetchnumpy() for name, text in LONG.items()}
    return {
        name: {column: _with_nan(values) for column, values in columns.items()}
        for name, columns in found.items()
        if len(columns["pair_id"])
    }


def _with_nan(values: np.ndarray) -> np.ndarray:
    return np.ma.filled(values, np.nan) if values.dtype.kind == "f" else values
