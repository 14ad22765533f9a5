"""Merge the configuration that Hydra composed with that of an existing run or of existing stores.

1. With `run.path` the configuration is the run's, overridden only by keys on the command line. Its
   stores cannot change, and with them model, dataset and dump; only the device can.
2. With a list or pattern of stores, model, dataset and dump are those of the stores. A different
   value on the command line is refused.
3. A key that is newer than the run or the stores has its composed value, or its default in a
   dataset, whose keys depend on its name. A key that svt no longer has is ignored.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from svt.cli.explain import to_one_line
from svt.cli.resolvers import register_resolvers
from svt.config import Config, from_mapping
from svt.db.identity import DATASET_FILES, select_content_settings
from svt.db.stores import Stores
from svt.defaults import whole_dataset
from svt.errors import ConfigError, suggestion
from svt.paths import conf_dir
from svt.store.results import load_config
from svt.system.text import first_line

Tree = dict[str, Any]

_STAGE_GROUPS = ("trace", "intervene", "reference", "evaluate")  # read by their own stage only
_STORE_GROUPS = ("model", "dataset", "dump")
_MODEL_STAGES = ("intervene", "reference")  # stages that run the model

register_resolvers()  # at import, for every process that a launcher starts


def compose_config(composed: DictConfig, overrides: Sequence[str]) -> Config:
    """Return the configuration of one run; ConfigError names a key that is invalid."""
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
        return from_mapping(_merge_run(tree, keys))
    stores = Stores.expand(tree["store"]["path"])
    return from_mapping(tree if stores is None else _merge_stores(tree, keys, stores))


def load_run_config(folder: Path, **chart: Any) -> Config:
    """Return the configuration of a run, with today's defaults for keys that it does not have.

    `chart` are settings of `chart.*`. SvtError for an unknown one, and for an unfinished run.
    """
    composed, _ = compose_overrides(())
    composed.run.path, composed.stages = str(folder), ["chart"]
    for key, value in chart.items():
        if key not in composed.chart:
            known = ", ".join(map(str, composed.chart))
            near = suggestion(key, composed.chart)
            raise ConfigError(f"chart.{key}: no such setting; known: {known}{near}")
        composed.chart[key] = value
    return compose_config(composed, [f"chart.{key}" for key in chart])


def compose_overrides(overrides: Sequence[str]) -> tuple[DictConfig, Path]:
    """Return what Hydra composes of `overrides`, and the run folder that it stands for.

    An application of Hydra that calls this keeps its own state.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    earlier = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), job_name="svt", version_base="1.3"):
            composed = compose("config", list(overrides), return_hydra_config=True)
            folder = Path(composed.hydra.run.dir)
            with open_dict(composed):
                del composed["hydra"]
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(to_one_line(error)) from error
    finally:
        GlobalHydra.instance().hydra = earlier
    return composed, folder


def _merge_run(tree: Tree, keys: Sequence[str]) -> Tree:
    """Return the configuration of the run `run.path` with the overrides of `keys` (step 1)."""
    stored = _add_new_keys(load_config(Path(tree["run"]["path"])), tree)
    stored["run"], stored["stages"] = tree["run"], tree["stages"]
    stored["store"] = tree["store"]  # where svt writes is never a stored configuration's choice
    for key in keys:
        group = key.split(".")[0]
        if key == "model.device":
            if not set(_MODEL_STAGES) & set(stored["stages"]):
                raise ConfigError(f"{key}: changes nothing unless you add intervene to the stages")
        elif group in (*_STORE_GROUPS, "store", "experiment"):
            raise ConfigError(
                f"{key}: run.path works on the store that the run has; "
                f"start a new run without run.path to change {group}"
            )
        if group in _STAGE_GROUPS and group not in stored["stages"]:
            raise ConfigError(f"{key}: changes nothing unless you add {group} to the stages")
        _override(stored, tree, key)
    return stored


def _merge_stores(tree: Tree, keys: Sequence[str], stores: Stores) -> Tree:
    """Return the composed configuration with the groups of the stores (step 2)."""
    stored = _add_new_keys({group: stores.config[group] for group in _STORE_GROUPS}, tree)
    for key in dict.fromkeys(_list_deciding_keys(keys, stored)):
        group, last = key.split(".")
        value, stored_value = tree[group].get(last), stored[group].get(last)
        if value != stored_value:
            raise ConfigError(
                f"{key}={value}: store.path names stores with {key}={stored_value}; leave it out, "
                "or name other stores"
            )
    if "model.device" in keys:
        stored["model"]["device"] = tree["model"]["device"]
    return stored


def _list_deciding_keys(keys: Sequence[str], stored: Tree) -> Iterator[str]:
    """Yield overridden keys of the stores; a group counts as the keys that decide their content."""
    deciding = {
        "model": ("name", "dtype"),
        "dataset": [key for key in stored["dataset"] if key not in DATASET_FILES],
        "dump": select_content_settings(stored["dump"]),
    }
    for key in keys:
        groups = _STORE_GROUPS if key == "experiment" else {key} & set(_STORE_GROUPS)
        yield from (f"{group}.{last}" for group in groups for last in deciding[group])
        if key.split(".")[0] in _STORE_GROUPS and key not in (*groups, "model.device"):
            yield key


def _add_new_keys(stored: Tree, composed: Tree) -> Tree:
    """Return the stored values for the keys of `composed`, which fills in new keys (step 3)."""
    if "dataset" in stored:
        composed = composed | {"dataset": whole_dataset(stored["dataset"])}
    return {
        key: _add_new_keys(stored[key], value)
        if isinstance(value, dict) and key in stored
        else stored.get(key, value)
        for key, value in composed.items()
    }


def _override(stored: Tree, composed: Tree, key: str) -> None:
    *groups, last = key.split(".")
    try:
        for group in groups:
            stored, composed = stored[group], composed[group]
        stored[last] = composed[last]
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{key}: no such key; svt --help lists them") from error
