"""The parts of a dump as they are handed over: their order, and the threads that compute them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Barrier, Event

import numpy as np
import pytest
import torch

from svt.compute import dump as module
from svt.compute.decompose import decompose_model
from svt.compute.model import Model
from svt.compute.pairs import Pairs
from svt.errors import ModelError
from svt.words import COMPONENTS
from tests.checkpoints import tiny_gpt2
from tests.compute.runs import loaded, parts, prompts_of
from tests.settings import DUMP

ALL = replace(DUMP, min_weight=0.3, pairs="all", sample=0.1, batch_size=4, components=COMPONENTS)
PROMPTS = prompts_of(0, n_prompts=6, lengths=(3, 9))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return loaded(tiny_gpt2(tmp_path_factory.mktemp("model"), sharp=4.0))


def assert_rising(*columns: np.ndarray) -> None:
    """Rows stand by the first column, then the second and so on, and no two are alike."""
    rows = list(zip(*(np.ma.filled(column.astype(int), -1) for column in columns), strict=True))
    assert len(rows) > 1
    assert rows == sorted(set(rows))


def test_rows_of_a_part_are_in_order(model: Model) -> None:
    """Those of pair_upstream layer by layer, heads before the other writers."""
    for part in parts(model, decompose_model(model), PROMPTS, ALL):
        pairs, upstream = part["pairs"], part["pair_upstream"]
        assert_rising(pairs["pair_id"])
        assert_rising(part["pair_slices"]["pair_id"])
        assert_rising(part["sides"]["pair_id"], part["sides"]["side"])
        layer = pairs["layer"][np.searchsorted(pairs["pair_id"], upstream["pair_id"])]
        assert_rising(layer, upstream["component"], upstream["pair_id"], upstream["side"])


@pytest.fixture
def three_threads() -> Iterator[None]:
    """Torch has three threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def watch_slices(
    monkeypatch: pytest.MonkeyPatch, before: Callable[[np.ndarray], object]
) -> list[int]:
    """`before` is called with the prompts of each chunk; returns torch's threads there."""
    n_threads: list[int] = []
    slices = module.compute_slices

    def watched(basis: object, acts: object, pairs: Pairs, *others: object) -> object:
        n_threads.append(torch.get_num_threads())
        before(pairs.row)
        return slices(basis, acts, pairs, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "compute_slices", watched)
    return n_threads


@pytest.mark.usefixtures("three_threads")
def test_chunks_are_computed_at_once(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    together = Barrier(3, timeout=20)  # raises when not all threads come
    n_threads = watch_slices(monkeypatch, lambda row: together.wait())
    found = parts(model, decompose_model(model), PROMPTS[:4], ALL)
    assert len(found) == len(n_threads) == 3
    assert set(n_threads) == {1}
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_chunks_that_end_early_keep_their_place(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    later_was_computed = Event()

    def let_the_first_wait(row: np.ndarray) -> None:
        if row.min() == 0:
            assert later_was_computed.wait(20)
        else:
            later_was_computed.set()

    watch_slices(monkeypatch, let_the_first_wait)
    found = parts(model, decompose_model(model), PROMPTS[:4], ALL)
    assert_rising(np.concatenate([part["pairs"]["pair_id"] for part in found]))


def test_an_error_in_a_chunk_ends_the_dump(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(row: np.ndarray) -> None:
        raise ModelError("no more")

    watch_slices(monkeypatch, fail)
    with pytest.raises(ModelError, match="no more"):
        parts(model, decompose_model(model), PROMPTS, ALL)
