"""Progress of long work: a bar on a terminal, log messages elsewhere."""

import logging
import sys
import time

from tqdm import tqdm

logger = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """A count of finished units of `total`, from `done`, that shows rate and remaining time."""

    def __init__(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._done = self._before = done
        self._start = self._last = time.monotonic()
        self._bar = (
            tqdm(total=total, initial=done, desc=what, unit=f" {unit}", delay=1)  # seconds
            if sys.stderr.isatty()
            else None
        )

    def __enter__(self) -> "Progress":
        return self

    def advance(self, n: int) -> None:
        """Count `n` more finished units and show the progress."""
        self._done += n
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(n)
        elif now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            rate = (self._done - self._before) / (now - self._start)
            left = (self._total - self._done) / rate
            logger.info(
                f"{self._what}: {self._done} of {self._total} {self._unit}, "
                f"{rate:.1f} a second, {left:.0f} s left"
            )

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
