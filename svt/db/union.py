"""The union of stores: check that they are compatible, and merge their rows `dump`.

1. The stores must have the same model and the same dump settings.
2. No prompt may be in two stores; the stores are ordered by their first prompt.
3. Merge the rows `dump`: seconds are added, the worst value is the maximum, notes are joined, the
   identity is a hash of the identities. Other values (names, versions, the dataset) are those of
   the first store; if all shards of a dataset are present, the dataset is the whole one. The
   configuration gets the keys `datasets` and `identities` of all stores; a store that was exported
   from a union has those of the union's stores.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import duckdb

from svt.db.identity import DATASET_FILES, select_content_settings
from svt.errors import StoreError

Row = Mapping[str, Any]

SHAPE = ("n_layers", "n_heads", "d_model", "d_head", "n_ctx")
_SHOWN = 10  # missing shards in a note


def check_compatible(path: Path, row: Row, other: Path, other_row: Row) -> None:
    """Raise StoreError when two stores differ in model or dump settings (step 1)."""
    values, other_values = _compared_values(row), _compared_values(other_row)
    for name in dict.fromkeys([*values, *other_values]):
        if values.get(name) != other_values.get(name):
            raise StoreError(
                f"{path} and {other} do not go together: {name} is {values.get(name)} in the one, "
                f"{other_values.get(name)} in the other; name stores of one model and of the same "
                "dump settings"
            )


def _compared_values(row: Row) -> dict[str, Any]:
    """Return the values that all stores of a union must have, from the row dump of one."""
    config = json.loads(row["config"])
    settings = select_content_settings(config.get("dump", {}))
    return {
        "weights": row["weights_fingerprint"][:16],
        **{column: row[column] for column in SHAPE},
        "model.dtype": config.get("model", {}).get("dtype"),
        **{f"dump.{key}": value for key, value in settings.items()},
    }


def order_by_prompts(con: duckdb.DuckDBPyConnection, paths: Mapping[str, Path]) -> list[str]:
    """Return the names of catalogs by their first prompt; StoreError for a shared prompt (step 2).

    `paths` maps the name of each catalog to its store.
    """
    prompts = " UNION ALL ".join(
        f"SELECT '{name}' AS name, prompt_id FROM {name}.prompts" for name in paths
    )
    twice = con.execute(
        f"SELECT prompt_id, list(name ORDER BY name) FROM ({prompts}) "
        "GROUP BY prompt_id HAVING count(*) > 1 ORDER BY prompt_id LIMIT 1"
    ).fetchall()
    for prompt_id, names in twice:
        stores = " and ".join(str(paths[name]) for name in names[:2])
        raise StoreError(
            f"{stores} both hold prompt {prompt_id}; name stores whose prompts differ, such as the "
            "shards of one dataset"
        )
    rows = con.execute(f"SELECT name FROM ({prompts}) GROUP BY name ORDER BY min(prompt_id)")
    return [name for (name,) in rows.fetchall()]


def merge_dump_rows(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the merged row dump of stores in the order of their prompts (step 3)."""
    configs = [json.loads(row["config"]) for row in rows]
    seconds: dict[str, float] = {}
    for row in rows:
        for phase, spent in json.loads(row["seconds"]).items():
            seconds[phase] = round(seconds.get(phase, 0.0) + spent, 3)
    parts = [config.get("datasets", [config.get("dataset", {})]) for config in configs]
    notes = [
        note
        for row, part in zip(rows, parts, strict=True)
        for note in json.loads(row["notes"] or "[]")
        if note not in _note_missing(part)
    ]
    datasets = list(chain.from_iterable(parts))
    if has_all_shards(datasets):
        configs[0]["dataset"] = datasets[0] | {"shard": 0, "n_shards": 1}
    worst = {
        column: max((row[column] for row in rows if row[column] is not None), default=None)
        for column in rows[0]
        if column.startswith("worst_") or column == "peak_bytes"
    }
    all_identities = list(chain.from_iterable(map(list_identities, rows)))
    configs[0] |= {"datasets": datasets, "identities": all_identities}
    return {
        **rows[0],
        "identity": hash_identities(all_identities),
        "config": json.dumps(configs[0]),
        "notes": json.dumps(list(dict.fromkeys([*notes, *_note_missing(datasets)]))),
        "seconds": json.dumps(seconds),
        **worst,
    }


def has_all_shards(datasets: Sequence[Row]) -> bool:
    """Return whether these are all shards of one dataset."""
    return _count_missing(datasets) == 0


def _count_missing(datasets: Sequence[Row]) -> int | None:
    """Return the number of missing shards, None when these are not shards of one dataset."""
    first, *others = (_without_shard(dataset) for dataset in datasets)
    if "n_shards" not in first or any(other != first for other in others):
        return None
    n_shards: int = first["n_shards"]
    return n_shards - len({dataset["shard"] for dataset in datasets})


def _without_shard(dataset: Row) -> dict[str, Any]:
    """Return the settings of a dataset without its shard, and files without their folders."""
    return {
        key: Path(value).name if key in DATASET_FILES and value else value
        for key, value in dataset.items()
        if key != "shard"
    }


def _note_missing(datasets: Sequence[Row]) -> list[str]:
    """Return a note on the missing shards of one dataset, none when all are present."""
    n_stores, n_lacking = len(datasets), _count_missing(datasets)
    if not n_lacking:
        return []
    present = {dataset["shard"] for dataset in datasets}
    lacking = (shard for shard in range(n_stores + n_lacking) if shard not in present)
    missing = ",".join(map(str, islice(lacking, _SHOWN)))
    more = f" and {n_lacking - _SHOWN} more" if n_lacking > _SHOWN else ""
    return [
        f"{n_stores} of {n_stores + n_lacking} shards are here, dataset.shard={missing}{more} is "
        "not"
    ]


def list_identities(row: Row) -> list[str]:
    """Return the identities of the stores of a row dump: one, unless it is that of a union."""
    identities: list[str] = json.loads(row["config"]).get("identities", [row["identity"]])
    return identities


def hash_identities(identities: Sequence[str]) -> str:
    """Return the identity of a union, independent of the order of its stores."""
    return hashlib.sha256("\n".join(sorted(identities)).encode()).hexdigest()
