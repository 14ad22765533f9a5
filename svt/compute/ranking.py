"""Descending order with ties in their original order."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.floating)


def sort_descending(values: NDArray[Number]) -> tuple[NDArray[np.intp], NDArray[Number]]:
    """Return the indices that sort `values` along the last axis, and the sorted values.

    An unstable sort is much faster, so only rows with ties are sorted a second time, stably.
    """
    order = np.argsort(-values, axis=-1)
    ranked = np.take_along_axis(values, order, axis=-1)
    tied = ~(ranked[..., :-1] > ranked[..., 1:]).all(axis=-1)
    order[tied] = np.argsort(-values[tied], axis=-1, kind="stable")
    return order, ranked
