"""The parts of a dump as they are handed over: their order, and the threads they are made with."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from svt.compute import dump as module
from svt.compute.decompose import decompose_model
from svt.compute.model import Model
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


@pytest.mark.parametrize(("there", "taken"), [(3, 2), (1, 1)])
def test_a_thread_is_left_to_the_writer(
    model: Model, monkeypatch: pytest.MonkeyPatch, there: int, taken: int
) -> None:
    seen, slices, before = set(), module.compute_slices, torch.get_num_threads()

    def watched(*args: object) -> object:
        seen.add(torch.get_num_threads())
        return slices(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "compute_slices", watched)
    torch.set_num_threads(there)
    try:
        parts(model, decompose_model(model), PROMPTS[:1], ALL)
        assert seen == {taken}
        assert torch.get_num_threads() == there
    finally:
        torch.set_num_threads(before)
