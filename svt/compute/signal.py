"""Signal sets: the slices of a head that produce the score of one token pair (paper section 4.1).

1. Contributions within 1e-12 of the sum of a pair's magnitudes count as 0.
2. Sort in descending order (ties by k) and take the cumulative sum in float64. For a negative
   total the rule is mirrored.
3. The signal is the shortest prefix that reaches the last value of that cumulative sum. The rest,
   the noise, is then the largest set whose sum is at most zero.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt16
from numpy.typing import NDArray

from svt.compute.ranking import sort_descending

NEGLIGIBLE = 1e-12


def select_signals(
    contributions: Float[np.ndarray, "pair slice"],
) -> tuple[UInt16[np.ndarray, "pair slice"], Bool[np.ndarray, "pair slice"]]:
    """Return the rank of every slice in the order of step 2, from 1, and whether it is signal.

    A total of zero leaves the signal empty.
    """
    magnitude = np.abs(contributions)
    small = magnitude <= NEGLIGIBLE * magnitude.sum(axis=1, keepdims=True, dtype=np.float64)
    values = np.where(small, contributions.dtype.type(0), contributions)  # 1
    order, running = _sum_descending(values)  # 2
    negative = running[:, -1] < 0
    if negative.any():
        order[negative], running[negative] = _sum_descending(-values[negative])
    total = running[:, -1:]
    size = np.where(total[:, 0] > 0, (running >= total).argmax(axis=1) + 1, 0)  # 3
    rank = np.empty(values.shape, np.uint16)
    ranks = np.arange(1, values.shape[1] + 1, dtype=np.uint16)
    np.put_along_axis(rank, order, np.broadcast_to(ranks, values.shape), axis=1)
    return rank, rank <= size[:, None]


def _sum_descending(
    values: NDArray[np.floating],
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the descending order of each row and the cumulative sum in that order."""
    order, ranked = sort_descending(values)
    return order, np.cumsum(ranked, axis=1, dtype=np.float64)
