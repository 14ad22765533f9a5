"""A row of the benchmark: what was measured, how often, and what it should be."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Literal

import torch

_LIBRARIES = ("torch", "transformer_lens", "duckdb", "numpy")

Limit = tuple[Literal["at most", "at least"], float]


@dataclass(frozen=True)
class Row:
    """Measurements of one thing in the order they were taken; a ratio has no unit."""

    name: str
    values: Sequence[float]
    unit: str = ""
    limit: Limit | None = None
    device: str = "cpu"

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median keeps to the limit; None without one."""
        if self.limit is None:
            return None
        word, limit = self.limit
        return self.median <= limit if word == "at most" else self.median >= limit

    def told(self) -> tuple[str, str, str]:
        """What is printed: the median with its spread, the limit, and whether it is kept to."""
        low, high = min(self.values), max(self.values)
        spread = f" ({number(low)} to {number(high)})" if len(self.values) > 1 else ""
        asked = f"{self.limit[0]} {number(self.limit[1])}" if self.limit else ""
        met = {None: "", True: "yes", False: "NO"}[self.met]
        return f"{number(self.median)} {self.unit}".strip() + spread, asked, met

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"median": self.median, "met": self.met}


def number(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Turn by turn."""
    return [a / b for a, b in zip(above, below, strict=True)]


def timed(work: Callable[..., object], *args: Any, **named: Any) -> float:
    """Seconds that one call takes, the device's work included."""
    start = time.perf_counter()
    work(*args, **named)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    """What the numbers were taken on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
