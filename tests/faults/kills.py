"""SIGKILL at random moments, spread over the whole of a command.

1. Undisturbed, the command takes so long. The k-th of n kills falls at random into the k-th n-th
   of that time.
2. A command that ends before its kill gives a shorter time, and is repeated.
"""

import os
from collections.abc import Callable

import numpy as np

from tests.faults.forked import KILLED, Child, Ended

_TRIES = 8


def kills(n: int) -> int:
    """`make check-long` makes `n`, in all 51; with `SVT_KILLS=10` ten times as many."""
    return max(1, round(n * float(os.environ.get("SVT_KILLS", "1"))))


def killed(begin: Callable[[], Child], seconds: float, k: int, n: int) -> Ended:
    """A child that died of the k-th of n kills; `begin` starts it where no other left anything."""
    numbers = np.random.default_rng([k, n])
    for _ in range(_TRIES):
        ended = begin().kill_after(seconds * (k + numbers.random()) / n)
        if ended.code == KILLED:
            return ended
        seconds = 0.97 * min(seconds, ended.seconds)
    raise AssertionError(f"it always ended before: {ended.message}")
