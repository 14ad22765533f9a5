"""The values that conf/config.yaml leaves to svt: the bundled model's folder, the run's folder.

OmegaConf holds the resolvers until Python ends. They are in a module of their own, so that nothing
of DuckDB is held with them, of which it would complain.
"""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from svt.cli.own_files import KEYS
from svt.paths import PACKAGE
from svt.store.results import NAME as RESULTS


def register_resolvers() -> None:
    OmegaConf.register_new_resolver("svt.bundled", lambda name: str(PACKAGE / name), replace=True)
    OmegaConf.register_new_resolver("svt.run_dir", choose_run_dir, replace=True)


def choose_run_dir(path: object, overwrite: object, stages: object, fresh: str) -> str:
    """Return the folder that a run works in: `fresh`, or `path` for a stage on an existing run.

    A new trace of an existing run goes into a new folder beside it, unless `overwrite`; for a job
    of a sweep, beside which no run may be, into `fresh`.
    """
    if not isinstance(path, str) or not (Path(path) / RESULTS).is_file():
        return fresh
    if overwrite is True or not isinstance(stages, Sequence) or "trace" not in stages:
        return path
    beside = Path(path).absolute().parent
    return fresh if (beside / KEYS).is_file() else str(beside / Path(fresh).name)
