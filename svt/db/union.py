"""Several stores as one: what they must have in common, and their one row dump.

1. They are of one model and were dumped with the same settings.
2. No prompt stands in two of them; they follow one another by their first prompt.
3. The union's row dump is made of theirs: seconds are added up, the worst is the worst of all,
   notes are put together, the identity is a hash of theirs. What else may differ (names, versions,
   the dataset) is the first store's, but all shards of a dataset are told as the whole. The
   configuration has two keys more, `datasets` and `identities`, those of the stores; of a store
   that was a union when it was exported, those it was made of.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import duckdb

from svt.db.identity import DATASET_FILES, of_dump
from svt.errors import StoreError

Row = Mapping[str, Any]

_SHAPE = ("n_layers", "n_heads", "d_model", "d_head", "n_ctx")
_SHOWN = 10  # lacking shards in a note


def check_alike(path: Path, row: Row, other: Path, its: Row) -> None:
    """Step 1, for the rows dump of two stores; StoreError names what differs."""
    config, its_config = json.loads(row["config"]), json.loads(its["config"])
    settings, its_settings = (of_dump(c.get("dump", {})) for c in (config, its_config))
    dtype, its_dtype = (c.get("model", {}).get("dtype") for c in (config, its_config))
    pairs = {
        "weights": (row["weights_fingerprint"][:16], its["weights_fingerprint"][:16]),
        **{column: (row[column], its[column]) for column in _SHAPE},
        "model.dtype": (dtype, its_dtype),
        **{
            f"dump.{key}": (settings.get(key), its_settings.get(key))
            for key in dict.fromkeys([*settings, *its_settings])
        },
    }
    for what, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise StoreError(
                f"{path} and {other} do not go together: {what} is {ours} in the one, {theirs} in "
                "the other; name stores of one model and of the same dump settings"
            )


def by_prompts(con: duckdb.DuckDBPyConnection, given: Mapping[str, Path]) -> list[str]:
    """Step 2: the catalogs' names by their first prompt; StoreError when two hold the same one."""
    every = " UNION ALL ".join(
        f"SELECT '{name}' AS name, prompt_id FROM {name}.prompts" for name in given
    )
    twice = con.execute(
        f"SELECT prompt_id, list(name ORDER BY name) FROM ({every}) "
        "GROUP BY prompt_id HAVING count(*) > 1 ORDER BY prompt_id LIMIT 1"
    ).fetchall()
    for prompt_id, names in twice:
        stores = " and ".join(str(given[name]) for name in names[:2])
        raise StoreError(
            f"{stores} both hold prompt {prompt_id}; name stores whose prompts differ, such as the "
            "shards of one dataset"
        )
    found = con.execute(f"SELECT name FROM ({every}) GROUP BY name ORDER BY min(prompt_id)")
    return [name for (name,) in found.fetchall()]


def together(rows: Sequence[Row]) -> dict[str, Any]:
    """Step 3; `rows` are the stores', by prompts."""
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
        if note not in _told(part)
    ]
    datasets = list(chain.from_iterable(parts))
    if is_whole(datasets):
        configs[0]["dataset"] = datasets[0] | {"shard": 0, "n_shards": 1}
    worst = {
        column: max((row[column] for row in rows if row[column] is not None), default=None)
        for column in rows[0]
        if column.startswith("worst_") or column == "peak_bytes"
    }
    of_all = list(chain.from_iterable(map(identities, rows)))
    configs[0] |= {"datasets": datasets, "identities": of_all}
    return {
        **rows[0],
        "identity": union_identity(of_all),
        "config": json.dumps(configs[0]),
        "notes": json.dumps(list(dict.fromkeys([*notes, *_told(datasets)]))),
        "seconds": json.dumps(seconds),
        **worst,
    }


def is_whole(datasets: Sequence[Row]) -> bool:
    """Whether these are all the shards of one dataset."""
    return _n_lacking(datasets) == 0


def _n_lacking(datasets: Sequence[Row]) -> int | None:
    """How many shards are not among these; null when they are not all of one dataset."""
    wholes = [_whole(dataset) for dataset in datasets]
    if "n_shards" not in wholes[0] or any(whole != wholes[0] for whole in wholes):
        return None
    n_shards: int = wholes[0]["n_shards"]
    return n_shards - len({dataset["shard"] for dataset in datasets})


def _whole(dataset: Row) -> dict[str, Any]:
    """A dataset's settings without its shard; files by name, as they may lie elsewhere."""
    return {
        key: Path(value).name if key in DATASET_FILES and value else value
        for key, value in dataset.items()
        if key != "shard"
    }


def _told(datasets: Sequence[Row]) -> list[str]:
    n_stores, n_lacking = len(datasets), _n_lacking(datasets)
    if not n_lacking:
        return []
    there = {dataset["shard"] for dataset in datasets}
    lacking = (shard for shard in range(n_stores + n_lacking) if shard not in there)
    missing = ",".join(map(str, islice(lacking, _SHOWN)))
    more = f" and {n_lacking - _SHOWN} more" if n_lacking > _SHOWN else ""
    return [
        f"{n_stores} of {n_stores + n_lacking} shards are here, dataset.shard={missing}{more} is "
        "not"
    ]


def identities(row: Row) -> list[str]:
    """Of the stores that a row dump stands for: one, unless it is that of a union."""
    found: list[str] = json.loads(row["config"]).get("identities", [row["identity"]])
    return found


def union_identity(identities: Sequence[str]) -> str:
    """What several stores together are known by, in whatever order they are named."""
    return hashlib.sha256("\n".join(sorted(identities)).encode()).hexdigest()
