"""A row of the benchmark: the measurements and their limit."""

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
        """Whether the median is within the limit; None without one."""
        if self.limit is None:
            return None
        word, limit = self.limit
        return self.median <= limit if word == "at most" else self.median >= limit

    def cells(self) -> tuple[str, str, str]:
        """Return the printed cells: the median with its range, the limit, and whether it is met."""
        low, high = min(self.values), max(self.values)
        spread = f" ({format_number(low)} to {format_number(high)})" if len(self.values) > 1 else ""
        limit = f"{self.limit[0]} {format_number(self.limit[1])}" if self.limit else ""
        met = {None: "", True: "yes", False: "NO"}[self.met]
        return f"{format_number(self.median)} {self.unit}".strip() + spread, limit, met

    def to_json(self) -> dict[str, Any]:
        """Return the fields, the median and whether the limit is met."""
        return asdict(self) | {"median": self.median, "met": self.met}


def format_number(value: float) -> str:
    """Return a number with three significant digits, but all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def divide(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the ratios of paired measurements."""
    return [a / b for a, b in zip(above, below, strict=True)]


def time_call(work: Callable[..., object], *args: Any, **named: Any) -> float:
    """Return the seconds of one call, including the work on the GPU."""
    start = time.perf_counter()
    work(*args, **named)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def describe_machine() -> dict[str, Any]:
    """Return the hardware and software of the measurements."""
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
