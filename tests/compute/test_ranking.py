"""Falling order, and the place that decides between equals."""

import numpy as np
import pytest

from svt.compute.ranking import sort_descending


@pytest.mark.parametrize("shape", [(50, 12), (50, 2, 144), (3, 2, 1), (3, 2, 0), (0, 5)])
def test_ties_are_ordered_by_place(shape: tuple[int, ...]) -> None:
    """Rows of few distinct values, beside one without equals: np.argsort alone shuffles them."""
    numbers = np.random.default_rng(0)
    values = numbers.integers(-2, 3, shape).astype(np.float32)
    values[:1] = numbers.permuted(np.arange(values[:1].size)).reshape(values[:1].shape)
    order, ranked = sort_descending(values)
    assert order.shape == ranked.shape == shape
    for index in np.ndindex(shape[:-1]):
        row = values[index].tolist()
        wanted = sorted(range(len(row)), key=lambda place: (-row[place], place))
        assert order[index].tolist() == wanted
        assert ranked[index].tolist() == [row[place] for place in wanted]
