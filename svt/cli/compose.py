"""What Hydra composed, and what a run or stores that are there have decided already.

1. With `run.path` the run's own configuration is taken, and only what the command line names is
   laid over it. Its stores stay, and with them model, dataset and dump; the device may be another.
2. With a list or a pattern of stores, model, dataset and dump are those of the stores. What the
   command line says of them otherwise is refused.
3. Keys that svt did not know yet when run or stores were made have their composed value; those of
   a dataset, whose keys depend on its name, their default. Keys that svt no longer knows are left.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from svt.config import Config, from_mapping
from svt.db.identity import DATASET_FILES, of_dump
from svt.db.stores import Stores
from svt.defaults import whole_dataset
from svt.errors import ConfigError
from svt.store.results import load_config
from svt.system.text import first_line

Tree = dict[str, Any]

_OF_STAGES = ("trace", "intervene", "reference", "evaluate")  # groups that only their stage reads
_OF_STORES = ("model", "dataset", "dump")
_ANEW = ("intervene", "reference")  # stages that run the model again


def configuration(composed: DictConfig, overrides: Sequence[str]) -> Config:
    """The configuration of one run; ConfigError names what is wrong with it."""
    try:
        missing = OmegaConf.missing_keys(composed)
        tree: Any = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {first_line(error)}") from error
    if missing:
        key = sorted(missing)[0]
        raise ConfigError(f"{key} has no value yet: add {key}=...")
    keys = [override.split("=", 1)[0].lstrip("+") for override in overrides]
    path = tree["run"]["path"]
    if path is not None and not isinstance(path, str):
        raise ConfigError(f"run.path={path}: must be the folder of a finished run")
    if path is not None:
        return from_mapping(_of_run(tree, keys))
    stores = Stores.expand(tree["store"]["path"])
    return from_mapping(tree if stores is None else _of_stores(tree, keys, stores))


def _of_run(tree: Tree, keys: Sequence[str]) -> Tree:
    """Step 1."""
    stored = _with_new_keys(load_config(Path(tree["run"]["path"])), tree)
    stored["run"], stored["stages"] = tree["run"], tree["stages"]
    stored["store"] = tree["store"]  # where svt writes is never a stored configuration's choice
    for key in keys:
        group = key.split(".")[0]
        if key == "model.device":
            if not set(_ANEW) & set(stored["stages"]):
                raise ConfigError(f"{key}: changes nothing unless you add intervene to the stages")
        elif group in (*_OF_STORES, "store", "experiment"):
            raise ConfigError(
                f"{key}: run.path works on the store that the run has; "
                f"start a new run without run.path to change {group}"
            )
        if group in _OF_STAGES and group not in stored["stages"]:
            raise ConfigError(f"{key}: changes nothing unless you add {group} to the stages")
        _lay_over(stored, tree, key)
    return stored


def _of_stores(tree: Tree, keys: Sequence[str], stores: Stores) -> Tree:
    """Step 2."""
    stored = _with_new_keys({group: stores.config[group] for group in _OF_STORES}, tree)
    for key in dict.fromkeys(_deciding(keys, stored)):
        told, held = (_at(values, key) for values in (tree, stored))
        if told != held:
            raise ConfigError(
                f"{key}={told}: store.path names stores with {key}={held}; leave it out, or name "
                "other stores"
            )
    if "model.device" in keys:
        stored["model"]["device"] = tree["model"]["device"]
    return stored


def _deciding(keys: Sequence[str], stored: Tree) -> Iterator[str]:
    """The keys that are told; of a group or an experiment, those that decide what a store holds."""
    deciding = {
        "model": ("name", "dtype"),
        "dataset": [key for key in stored["dataset"] if key not in DATASET_FILES],
        "dump": of_dump(stored["dump"]),
    }
    for key in keys:
        groups = _OF_STORES if key == "experiment" else {key} & set(_OF_STORES)
        yield from (f"{group}.{last}" for group in groups for last in deciding[group])
        if key.split(".")[0] in _OF_STORES and key not in (*groups, "model.device"):
            yield key


def _with_new_keys(stored: Tree, composed: Tree) -> Tree:
    """Step 3."""
    if "dataset" in stored:
        composed = composed | {"dataset": whole_dataset(stored["dataset"])}
    return {
        key: _with_new_keys(stored[key], value)
        if isinstance(value, dict) and key in stored
        else stored.get(key, value)
        for key, value in composed.items()
    }


def _at(values: Tree, key: str) -> Any:
    group, last = key.split(".")
    return values[group].get(last)  # dataset.KEY: only of some names


def _lay_over(stored: Tree, composed: Tree, key: str) -> None:
    *groups, last = key.split(".")
    try:
        for group in groups:
            stored, composed = stored[group], composed[group]
        stored[last] = composed[last]
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{key}: no such key; svt --help lists them") from error
