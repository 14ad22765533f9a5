"""SHA-256 digests of files, cached so that weights are read once.

1. The key of a digest is the file's path, inode, size and times. Writing or replacing the file
   changes one of them, even when the modification time is set back.
2. The digest of a file that changed while it was read is not cached.
3. The cache is a JSON file with a digest of its own; a damaged one counts as empty.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from svt.system.atomic import write_atomically


class Digests:
    """The digests of files by their state (`file_state`), cached in the file `cache`."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._changed = False
        try:
            content = json.loads(cache.read_text())
            known = content["digests"]
            known = known if content["sha256"] == digest(known) else {}
        except (OSError, ValueError, KeyError, TypeError):
            known = {}
        self._known: dict[str, str] = known

    def of(self, path: Path) -> str:
        """Return the SHA-256 of the file's bytes, in hexadecimal digits."""
        key = file_state(path)
        if key not in self._known:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            if file_state(path) != key:  # 2
                return sha256
            self._known[key] = sha256
            self._changed = True
        return self._known[key]

    def save(self) -> None:
        """Write new digests to the cache; an error of the disk is ignored."""
        if self._changed:
            with suppress(OSError):
                content = {"digests": self._known, "sha256": digest(self._known)}
                write_atomically(self._cache, json.dumps(content, indent=0).encode())


def digest(content: Any) -> str:
    """Return the SHA-256 of JSON values with sorted keys, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_state(path: Path) -> str:
    """Return the path, inode, size and times of a file, which change whenever the file does."""
    stat = path.stat()
    times = f"{stat.st_mtime_ns}|{stat.st_ctime_ns}"
    return f"{path.resolve()}|{stat.st_ino}|{stat.st_size}|{times}"
