"""What a store is named by: a hash of everything that decides its content.

1. Files (weights, model configuration, tokenizer, dataset files) enter by the SHA-256 of their
   bytes, so a moved or renamed copy is the same input.
2. Settings (dataset without its paths, dump, dtype) enter as JSON with sorted keys. The batch size
   stays out: it changes no row.
3. The versions of schema and numerics enter, so that a store of another svt is never taken for one
   of this.

Digests are remembered by path, size and time of change, so a second look reads no weights; a
damaged memory is none.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from svt.config import DatasetConfig, DumpConfig, ModelConfig
from svt.errors import SvtError
from svt.files import write_atomically

SCHEMA_VERSION = 3
NUMERICS_VERSION = 2

DATASET_FILES = ("path", "templates", "names", "nouns")


@dataclass(frozen=True)
class Identity:
    """`key` names the store; `weights` is the fingerprint of the weight files alone."""

    key: str
    weights: str

    def file_name(self, model: ModelConfig, dataset: DatasetConfig) -> str:
        slug = "".join(c if c.isalnum() or c in "-." else "-" for c in model.name)
        n = dataset.n_shards
        shard = f"-shard-{dataset.shard:0{len(str(n))}d}-of-{n}" if n > 1 else ""
        return f"{slug}-{dataset.name}{shard}-{self.key[:16]}.duckdb"


def identify(
    model: ModelConfig,
    dataset: DatasetConfig,
    dump: DumpConfig,
    *,
    weights: Iterable[Path],
    others: Iterable[Path],
    cache: Path,
    prompts: str | None = None,
) -> Identity:
    """The identity of the store that these inputs give; `cache` is the file of known digests.

    `prompts` is their digest, where no file of `others` decides them.
    """
    digests = _Digests(cache)
    weight_digest = _hash([digests.of(path) for path in weights])
    content = {
        "weights": weight_digest,
        "files": [digests.of(path) for path in others],  # 1
        "prompts": prompts,
        "dtype": model.dtype,
        "dataset": {k: v for k, v in asdict(dataset).items() if k not in DATASET_FILES},  # 2
        "dump": of_dump(asdict(dump)),
        "schema": SCHEMA_VERSION,  # 3
        "numerics": NUMERICS_VERSION,
    }
    digests.save()
    return Identity(key=_hash(content), weights=weight_digest)


def of_dump(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of the dump's settings those that decide its rows."""
    return {k: v for k, v in settings.items() if k not in ("batch_size", "memory_gb")}


def check_schema(path: Path, svt_version: str, schema_version: int) -> None:
    """SvtError for a store of another schema."""
    if schema_version != SCHEMA_VERSION:
        raise SvtError(
            f"{path} was written by svt {svt_version} in schema {schema_version}, "
            f"this svt reads schema {SCHEMA_VERSION}; move it away and dump again"
        )


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class _Digests:
    """SHA-256 of files, kept in a JSON file by path, size and time of change."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._changed = False
        try:
            held = json.loads(cache.read_text())
            known = held["digests"] if held["sha256"] == _hash(held["digests"]) else {}
        except (OSError, ValueError, KeyError, TypeError):
            known = {}
        self._known: dict[str, str] = known

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
                content = {"digests": self._known, "sha256": _hash(self._known)}
                write_atomically(self._cache, json.dumps(content, indent=0).encode())
