"""The identity of a store: a hash of everything that determines its content.

1. Files (weights, model configuration, tokenizer, dataset files) enter by the SHA-256 of their
   bytes, so that a moved or renamed copy is the same input.
2. Settings (dataset without its paths, dump, dtype) enter as JSON with sorted keys, without those
   that change no row (batch size and memory).
3. The versions of schema and numerics enter, so that stores of other versions of svt differ.

Digests of files are cached (svt/system/digests.py), so that weights are read once.
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
    """The hash `key` of a store, and the hash `weights` of the weight files alone."""

    key: str
    weights: str

    def file_name(self, model: ModelConfig, dataset: DatasetConfig) -> str:
        """Return the name of the store's file: model, dataset, shard and the start of `key`."""
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
    """Return the identity of the store of these inputs.

    `others` are the input files except weights, `cache` is the file of cached digests, and
    `prompts` is the digest of prompts that no input file determines.
    """
    digests = Digests(cache)
    weight_digest = digest([digests.of(path) for path in weights])
    content = {
        "weights": weight_digest,
        "files": [digests.of(path) for path in others],  # 1
        "prompts": prompts,
        "dtype": model.dtype,
        "dataset": {k: v for k, v in asdict(dataset).items() if k not in DATASET_FILES},  # 2
        "dump": select_content_settings(asdict(dump)),
        "schema": SCHEMA_VERSION,  # 3
        "numerics": NUMERICS_VERSION,
    }
    digests.save()
    return Identity(key=digest(content), weights=weight_digest)


def select_content_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a dump that affect its rows."""
    return {k: v for k, v in settings.items() if k not in ("batch_size", "memory_gb")}


def check_schema(path: object, svt_version: str, schema_version: int) -> None:
    """Raise StoreError for a store of another schema."""
    if schema_version != SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by svt {svt_version} in schema {schema_version}, "
            f"this svt reads schema {SCHEMA_VERSION}; move it away and dump again"
        )
