"""SHA-256 digests of files, remembered so that a second look reads no weights.

1. A digest is remembered under the file's path, inode, size and times of change: whatever writes or
   replaces the file changes one of them, also where it sets the time of modification back.
2. A file that changed while it was read is not remembered.
3. The memory is a JSON file with a digest of its own; a damaged one counts as empty.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from svt.system.atomic import write_atomically


class Digests:
    """Digests of files by what the file system says of them, kept in the file `cache`."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._changed = False
        try:
            held = json.loads(cache.read_text())
            known = held["digests"] if held["sha256"] == digest(held["digests"]) else {}
        except (OSError, ValueError, KeyError, TypeError):
            known = {}
        self._known: dict[str, str] = known

    def of(self, path: Path) -> str:
        """Return the SHA-256 of the file's bytes, in hexadecimal digits."""
        key = file_state(path)
        if key not in self._known:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if file_state(path) != key:  # 2
                return found
            self._known[key] = found
            self._changed = True
        return self._known[key]

    def save(self) -> None:
        """Write what was added; without it the next look only takes longer."""
        if self._changed:
            with suppress(OSError):
                content = {"digests": self._known, "sha256": digest(self._known)}
                write_atomically(self._cache, json.dumps(content, indent=0).encode())


def digest(content: Any) -> str:
    """Return the SHA-256 of JSON values, the keys in order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_state(path: Path) -> str:
    """Return a text that stays the same while a file does: its path, inode, size and times."""
    stat = path.stat()
    times = f"{stat.st_mtime_ns}|{stat.st_ctime_ns}"
    return f"{path.resolve()}|{stat.st_ino}|{stat.st_size}|{times}"
