"""The memory that this process may use.

1. Read memory and swap of the machine from psutil.
2. Apply the limits of the control groups of this process and of their ancestors.
"""

from dataclasses import dataclass
from pathlib import Path

import psutil

from svt.errors import SvtError

_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Limits:
    """Bytes of memory and swap: the total that this process may use, and what is free now."""

    total: int
    free: int

    def check(self, least: int, use: str, advice: str) -> None:
        """Raise SvtError, with the use and the advice, when `least` exceeds the total."""
        if least > self.total:
            raise SvtError(
                f"{use} at least {gigabytes(least)}; memory and swap are "
                f"{gigabytes(self.total)} in all; {advice}"
            )


def read_limits() -> Limits:
    """Return the limits of the system and of this process's control groups, in bytes."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()  # 1
    groups = [limit + swap.total for limit in _group_limits()]  # 2
    most = min([memory.total + swap.total, *groups])
    return Limits(most, min(memory.available + swap.free, most))


def _group_limits() -> list[int]:
    """Return the memory limits of this process's control groups and their ancestors, in bytes."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    limits: list[int] = []
    for line in lines:
        _, kinds, name = line.split(":", 2)
        if kinds == "":  # version 2
            top, file = _GROUPS, "memory.max"
        elif "memory" in kinds.split(","):
            top, file = _GROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = top / name.lstrip("/")
        groups = [group for group in (own, *own.parents) if group.is_relative_to(top)]
        limits += [limit for group in groups if (limit := _read_number(group / file)) is not None]
    return limits


def _read_number(file: Path) -> int | None:
    """Return the bytes in the file of a limit; None when it is missing or has no number."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):  # "max" is no limit
        return None


def size(n: int) -> str:
    """Return a number of bytes as text: `12.3 MB`, `1.4 GB`."""
    return f"{n / 1e6:.1f} MB" if n < 1e9 else gigabytes(n)


def gigabytes(n: int) -> str:
    return f"{n / 1e9:.1f} GB"
