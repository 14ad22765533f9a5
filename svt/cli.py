"""`svt`: the Hydra application.

1. Hydra composes the configuration; with `run.path` the run's own configuration is loaded instead
   and only what the command line names is laid over it.
2. It becomes a frozen Config, or is refused by name before any work.
3. The pipeline runs in the run's folder; what it found and left is told at the end. An error is one
   message and exit code 1.
4. After a multirun the jobs' results are collected, also when some job failed.
"""

import logging
import os
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import duckdb
import hydra
from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from svt import pipeline, summary, sweep
from svt.config import Config, from_mapping
from svt.errors import SvtError
from svt.intervene import FINISHED
from svt.paths import conf_dir
from svt.progress import say

failures: list[str] = []
_OF_STAGES = ("trace", "intervene", "reference", "evaluate")  # groups that only their stage reads
_HYDRA_ADVICE = ("To append to your config", "full_key:", "object_type=", "Set the environment")


def main() -> None:
    """The console script `svt`."""
    _quiet()
    register_resolvers()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises and its errors are told here
    run = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)
    try:
        run()
    except KeyboardInterrupt:
        say("stopped; what was finished is kept, nothing half-written was left")
        sys.exit(130)
    except (HydraException, OmegaConfBaseException, OSError) as error:
        _fail(_one_line(error))
    finally:
        done = sweep.folder is None or sweep.collect(sweep.folder)  # 4
    if failures or not done:
        sys.exit(1)


def task(composed: DictConfig) -> None:
    """One run, alone or as a job of a sweep."""
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    overrides = [str(o) for o in settings.overrides.task]
    in_sweep = settings.mode is not None and settings.mode.name == "MULTIRUN"
    job = sweep.Job(folder, overrides, settings.runtime.choices) if in_sweep else None
    if job is not None:
        say(f"\njob {settings.job.num}: {' '.join(overrides)}")
    try:
        with _only_run_in(folder):
            config = _config(composed, overrides)  # 1, 2
            try:
                store = pipeline.run(config, folder)  # 3
            except KeyboardInterrupt:
                _tell_how_to_go_on(config, folder)
                raise
        if store is not None:
            print(("" if job else "\n") + summary.found(config, folder, store))
        if job is None:
            print(f"\n{summary.where(folder, store)}")
        else:
            job.done()
    except SvtError as error:
        _fail(str(error), job)
    except (duckdb.Error, OSError, MemoryError) as error:
        _fail(f"{_one_line(error)} ({type(error).__name__}); what was finished is kept", job)
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


def _tell_how_to_go_on(config: Config, folder: Path) -> None:
    """Interventions are the one thing of which a part is kept inside a run folder."""
    if not (folder / FINISHED).is_file():
        return
    if config.run.path is not None:
        say("the same command goes on from here")
        return
    left = [s for s in ("intervene", "evaluate", "chart", "report") if s in config.stages]
    say(f'go on: svt run.path={shlex.quote(str(folder))} "stages=[{",".join(left)}]"')


def _fail(told: str, job: "sweep.Job | None" = None) -> None:
    failures.append(told)
    say(f"svt: {told}")
    if job is not None:
        job.failed(told)


def _one_line(error: BaseException) -> str:
    """A library's message without its line breaks and without advice that is none here."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = " ".join(line for line in lines if line and not line.startswith(_HYDRA_ADVICE))
    if isinstance(error, OverrideParseException):
        told = f"{error.override}: {told}"
    if "is not in struct" in told:
        told += "; svt --help lists every key"
    return told or type(error).__name__


def _config(composed: DictConfig, overrides: list[str]) -> Config:
    missing = OmegaConf.missing_keys(composed)
    if missing:
        key = sorted(missing)[0]
        raise SvtError(f"{key} has no value yet: add {key}=...")
    tree: Any = OmegaConf.to_container(composed, resolve=True)
    path = tree["run"]["path"]
    if path is None:
        return from_mapping(tree)
    from svt.results import load_config

    stored = _with_new_keys(load_config(Path(path)), tree)
    stored["run"], stored["stages"] = tree["run"], tree["stages"]
    for override in overrides:
        key = override.split("=", 1)[0].lstrip("+")
        group = key.split(".")[0]
        if group in ("model", "dataset", "dump", "store", "experiment"):
            raise SvtError(
                f"{key}: run.path works on the store that the run has; "
                f"start a new run without run.path to change {group}"
            )
        if group in _OF_STAGES and group not in stored["stages"]:
            raise SvtError(f"{key}: changes nothing unless you add {group} to the stages")
        _lay_over(stored, tree, key)
    return from_mapping(stored)


def _with_new_keys(stored: dict[str, Any], composed: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration with the keys that svt did not know yet when it was made."""
    return {
        key: _with_new_keys(stored[key], value)
        if isinstance(value, dict) and key in stored
        else stored.get(key, value)
        for key, value in composed.items()
    }


def _lay_over(stored: dict[str, Any], composed: dict[str, Any], key: str) -> None:
    *groups, last = key.split(".")
    try:
        for group in groups:
            stored, composed = stored[group], composed[group]
        stored[last] = composed[last]
    except (KeyError, TypeError) as error:
        raise SvtError(f"{key}: no such key; svt --help lists them") from error


class _only_run_in:
    """Holds a run folder for this process; SvtError when another run has it."""

    def __init__(self, folder: Path) -> None:
        self._lock = FileLock(folder / ".lock")

    def __enter__(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise SvtError(
                f"another run is writing in {Path(self._lock.lock_file).parent}; "
                "wait for it, or start a run of your own without run.path"
            ) from error
        except OSError as error:
            raise SvtError(
                f"cannot write in {Path(self._lock.lock_file).parent} ({error.strerror}); "
                "choose another folder with hydra.run.dir=DIR"
            ) from error

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)


def register_resolvers() -> None:
    package = Path(__file__).resolve().parent
    OmegaConf.register_new_resolver("svt.bundled", lambda name: str(package / name), replace=True)
    OmegaConf.register_new_resolver(
        "svt.run_dir", lambda path, fresh: path if _is_run(path) else fresh, replace=True
    )


def _is_run(path: str | None) -> bool:
    return path is not None and (Path(path) / "results.duckdb").is_file()


def _quiet() -> None:
    """Libraries' chatter is not the reader's business; errors still are."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)


if __name__ == "__main__":
    main()
