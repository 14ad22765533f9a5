"""Threads for work that consists of many small products."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from svt.compute.model import Model

MAX_THREADS = 4  # each takes memory, and between products all wait for Python's lock

Item = TypeVar("Item")
Result = TypeVar("Result")


class Threads(ThreadPoolExecutor):
    """Threads in which torch computes without further threads: one for a GPU, else a few."""

    def __init__(self, model: Model) -> None:
        """`model`: whose device the products are computed on."""
        self._of_torch = torch.get_num_threads()
        self.n = min(self._of_torch, MAX_THREADS) if model.device.type == "cpu" else 1
        super().__init__(self.n, initializer=torch.set_num_threads, initargs=(1,))

    def run(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield work(item) for every item, in their order; up to `n` are computed ahead."""
        running: deque[Future[Result]] = deque()
        for item in items:
            running.append(self.submit(work, item))
            if len(running) == self.n:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop the threads, and give torch its own back."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        torch.set_num_threads(self._of_torch)
