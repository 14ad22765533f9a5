"""The settings that tests start from: those of conf/."""

from copy import deepcopy
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from svt.cli.resolvers import register_resolvers
from svt.config import from_mapping
from svt.paths import conf_dir


@cache
def _composed(*overrides: str) -> Any:
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose("config", list(overrides)), resolve=True)


def composed(*overrides: str) -> dict[str, Any]:
    """Return what Hydra composes of conf/ and the overrides, for the test to change."""
    tree = deepcopy(_composed(*overrides))
    assert isinstance(tree, dict)
    return tree


def dataset(name: str = "ioi", **settings: Any) -> Any:
    """Return the settings of a dataset, by default those of its file in conf/dataset."""
    tree = composed(f"dataset={name}")
    tree["dataset"] |= settings
    return from_mapping(tree).dataset


_CONFIG = from_mapping(composed("chart.format=[json]"))
DATASET, DUMP, TRACE = _CONFIG.dataset, _CONFIG.dump, _CONFIG.trace
CHART, INTERVENE = _CONFIG.chart, _CONFIG.intervene
