"""What a store is named by: a hash of everything that decides its content.

1. Files (weights, model configuration, tokenizer, dataset files) enter by the SHA-256 of their
   bytes, so a moved or renamed copy is the same input.
2. Settings (dataset without its paths, dump, dtype) enter as JSON with sorted keys. The batch size
   stays out: it changes no row.
3. The versions of schema and numerics enter, so that a store of another svt is never taken for one
   of this.

Digests are remembered (svt/system/digests.py), so a second look reads no weights.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from svt.config import DatasetConfig, DumpConfig, ModelConfig
from svt.errors import StoreError
from svt.system.digests import Digests, digest

SCHEMA_VERSION = 4
NUMERICS_VERSION = 3

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
    digests = Digests(cache)
    weight_digest = digest([digests.of(path) for path in weights])
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
    return Identity(key=digest(content), weights=weight_digest)


def of_dump(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of the dump's settings those that decide its rows."""
    return {k: v for k, v in settings.items() if k not in ("batch_size", "memory_gb")}


def check_schema(path: object, svt_version: str, schema_version: int) -> None:
    """StoreError for a store of another schema."""
    if schema_version != SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by svt {svt_version} in schema {schema_version}, "
            f"this svt reads schema {SCHEMA_VERSION}; move it away and dump again"
        )
