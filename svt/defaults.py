"""Read the defaults of conf/ without Hydra.

1. The default of a key is in the file that conf/config.yaml selects for its group.
2. The keys of a dataset and their defaults are in the file with its name.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from svt.config import DATASETS
from svt.paths import conf_dir


def default(key: str) -> Any:
    """Return the default of `GROUP.KEY`; KeyError for a key that conf/ lacks (step 1)."""
    group, last = key.split(".")
    name = next(choice[group] for choice in _read("config")["defaults"] if group in choice)
    return _read(f"{group}/{name}")[last]


def whole_dataset(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored dataset's settings with exactly the keys of this version of svt (step 2)."""
    if stored.get("name") not in DATASETS:
        return dict(stored)
    defaults = _read(f"dataset/{stored['name']}")
    return {key: stored.get(key, value) for key, value in defaults.items()}


@cache
def _read(name: str) -> Any:
    return yaml.safe_load((conf_dir() / f"{name}.yaml").read_text(encoding="utf-8"))
