"""Signal sets: which slices of a head make the score of one token pair (paper section 4.1).

1. Contributions within 1e-12 of the sum of magnitudes of a pair count as 0.
2. Sort descending (ties by k) and sum up, in float64. For a negative total the rule is mirrored.
3. The signal is the shortest prefix that reaches the last value of that same cumulative sum: what
   is left, the noise, is then the largest set whose sum is at most zero.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt16
from numpy.typing import NDArray

from svt.compute.ranking import sort_descending

NEGLIGIBLE = 1e-12


def select_signals(
    contributions: Float[np.ndarray, "pair slice"],
) -> tuple[UInt16[np.ndarray, "pair slice"], Bool[np.ndarray, "pair slice"]]:
    """Rank of every slice (from 1, in the order of step 2) and whether it belongs to the signal.

    A total of zero leaves the signal empty.
    """
    magnitude = np.abs(contributions)
    small = magnitude <= NEGLIGIBLE * magnitude.sum(axis=1, keepdims=True, dtype=np.float64)
    values = np.where(small, contributions.dtype.type(0), contributions)  # 1
    order, running = _summed_up(values)  # 2
    negative = running[:, -1] < 0
    if negative.any():
        order[negative], running[negative] = _summed_up(-values[negative])
    total = running[:, -1:]
    size = np.where(total[:, 0] > 0, (running >= total).argmax(axis=1) + 1, 0)  # 3
    rank = np.empty(values.shape, np.uint16)
    places = np.arange(1, values.shape[1] + 1, dtype=np.uint16)
    np.put_along_axis(rank, order, np.broadcast_to(places, values.shape), axis=1)
    return rank, rank <= size[:, None]


def _summed_up(
    values: NDArray[np.floating],
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    order, ranked = sort_descending(values)
    return order, np.cumsum(ranked, axis=1, dtype=np.float64)
