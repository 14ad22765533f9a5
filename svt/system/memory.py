"""How much memory this process may use.

1. Memory and swap of the machine, from psutil.
2. The limits of the control groups that this process is in, and of those around them.
"""

from dataclasses import dataclass
from pathlib import Path

import psutil

from svt.errors import SvtError

_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Limits:
    """Bytes of memory and swap: all that this process could ever get, and what is free now."""

    total: int
    free: int

    def check(self, least: int, holds: str, advice: str) -> None:
        """SvtError when what `holds` tells of needs more bytes than could ever be got."""
        if least > self.total:
            raise SvtError(
                f"{holds} at least {gigabytes(least)}; memory and swap are "
                f"{gigabytes(self.total)} in all; {advice}"
            )


def read_limits() -> Limits:
    """Return what the system and this process's control groups allow."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()  # 1
    groups = [limit + swap.total for limit in _group_limits()]  # 2
    most = min([memory.total + swap.total, *groups])
    return Limits(most, min(memory.available + swap.free, most))


def _group_limits() -> list[int]:
    """Memory limits of the control groups that this process is in, and of those around them."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, kinds, name = line.split(":", 2)
        if kinds == "":  # version 2
            top, file = _GROUPS, "memory.max"
        elif "memory" in kinds.split(","):
            top, file = _GROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        inner = top / name.lstrip("/")
        groups = [group for group in (inner, *inner.parents) if group.is_relative_to(top)]
        found += [limit for group in groups if (limit := _number(group / file)) is not None]
    return found


def _number(file: Path) -> int | None:
    """The bytes that a limit's file names; None when it names none, or is not there."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):  # "max" is no limit
        return None


def size(n: int) -> str:
    """Return bytes as people read the size of a file: `12.3 MB`, `1.4 GB`."""
    return f"{n / 1e6:.1f} MB" if n < 1e9 else gigabytes(n)


def gigabytes(n: int) -> str:
    return f"{n / 1e9:.1f} GB"
