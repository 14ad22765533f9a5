"""What a store is named by: a hash of everything that decides its content.

1. Files (weights, model configuration, tokenizer, dataset files) enter by the SHA-256 of their
   bytes, so a moved or renamed copy is the same input.
2. Settings (dataset without its paths, dump, dtype) enter as JSON with sorted keys. The batch size
   stays out: it changes no row.
3. The versions of schema and numerics enter, so that a store of another svt is never taken for one
   of this.

Digests are remembered by path, size and time of change, so a second look reads no weights.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from svt.config import DatasetConfig, DumpConfig, ModelConfig
from svt.files import write_atomically

SCHEMA_VERSION = 1
NUMERICS_VERSION = 1

_PATHS = ("path", "templates", "names", "nouns")


@dataclass(frozen=True)
class Identity:
    """`key` names the store; `weights` is the fingerprint of the weight files alone."""

    key: str
    weights: str

    def file_name(self, model: ModelConfig, dataset: DatasetConfig) -> str:
        slug = "".join(c if c.isalnum() or c in "-." else "-" for c in model.name)
        return f"{slug}-{dataset.name}-{self.key[:16]}.duckdb"


def identify(
    model: ModelConfig,
    dataset: DatasetConfig,
    dump: DumpConfig,
    *,
    weights: Iterable[Path],
    others: Iterable[Path],
    cache: Path,
) -> Identity:
    """The identity of the store that these inputs give; `cache` is the file of known digests."""
    digests = _Digests(cache)
    weight_digest = _hash([digests.of(path) for path in weights])
    content = {
        "weights": weight_digest,
        "files": [digests.of(path) for path in others],  # 1
        "dtype": model.dtype,
        "dataset": {k: v for k, v in asdict(dataset).items() if k not in _PATHS},  # 2
        "dump": {k: v for k, v in asdict(dump).items() if k != "batch_size"},
        "schema": SCHEMA_VERSION,  # 3
        "numerics": NUMERICS_VERSION,
    }
    digests.save()
    return Identity(key=_hash(content), weights=weight_digest)


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class _Digests:
    """SHA-256 of files, kept in a JSON file by path, size and time of change."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._changed = False
        try:
            known = json.loads(cache.read_text())
        except (OSError, ValueError):
            known = {}
        self._known: dict[str, str] = known if isinstance(known, dict) else {}

    def of(self, path: Path) -> str:
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in self._known:
            with path.open("rb") as file:
                self._known[key] = hashlib.file_digest(file, "sha256").hexdigest()
            self._changed = True
        return self._known[key]

    def save(self) -> None:
        if self._changed:
            with suppress(OSError):  # without it the next look only takes longer
                write_atomically(self._cache, json.dumps(self._known, indent=0).encode())
