"""Falling order, ties by place."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.floating)


def sort_descending(values: NDArray[Number]) -> tuple[NDArray[np.intp], NDArray[Number]]:
    """What stands where along the last axis when it is sorted descending, and the sorted values.

    Sorting without care for ties is several times as fast, so only rows that have some are sorted
    again with it.
    """
    order = np.argsort(-values, axis=-1)
    ranked = np.take_along_axis(values, order, axis=-1)
    tied = ~(ranked[..., :-1] > ranked[..., 1:]).all(axis=-1)
    order[tied] = np.argsort(-values[tied], axis=-1, kind="stable")
    return order, ranked
