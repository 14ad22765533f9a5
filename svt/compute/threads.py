"""A thread pool for many small matrix products."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from svt.compute.model import Model

MAX_THREADS = 4  # each takes memory, and between products all wait for Python's lock

Item = TypeVar("Item")
Result = TypeVar("Result")


class ThreadPool(ThreadPoolExecutor):
    """One thread for a GPU, else a few, which share the threads of torch."""

    def __init__(self, model: Model) -> None:
        """`model`: whose device computes the products."""
        self._torch_threads = torch.get_num_threads()
        on_cpu = model.device.type == "cpu"
        self.n_threads = min(self._torch_threads, MAX_THREADS) if on_cpu else 1
        share = self._torch_threads // self.n_threads
        super().__init__(self.n_threads, initializer=torch.set_num_threads, initargs=(share,))

    def run(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield work(item) in the order of the items; at most `n_threads` are in progress."""
        running: deque[Future[Result]] = deque()
        for item in items:
            running.append(self.submit(work, item))
            if len(running) == self.n_threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop the threads and restore the number of threads of torch."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        torch.set_num_threads(self._torch_threads)
