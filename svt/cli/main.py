"""`svt`: the Hydra application.

1. Hydra composes the configuration, which is merged with that of an existing run or existing stores
   (svt/cli/compose.py).
2. The configuration is validated as a frozen Config before any work.
3. The stages run in the run's folder, and a summary is printed. An error is one message and exit
   code 1.
4. After a multirun the results of the jobs are collected, even when a job failed.
"""

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import hydra
from filelock import Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from svt.cli import compare, inventory, summary, sweep
from svt.cli.compose import compose_config
from svt.cli.console import STOPPED, flush, say, show_messages, write
from svt.cli.explain import explain_error, explain_refusal, is_interruption
from svt.cli.own_files import LOCK, check_run_folder, remove_temporary_files
from svt.config import Config
from svt.errors import ConfigError, SvtError
from svt.paths import conf_dir
from svt.stages.intervene import FINISHED
from svt.stages.run import preview, run_stages
from svt.system.atomic import take_lock
from svt.system.shell import find_command, format_override
from svt.version import VERSION

DRY_RUN = "--dry-run"
_WITHOUT_KEY = re.compile(r"[+~]*[=@]")  # makes Hydra's parser fail


def main() -> None:
    """Run the console script `svt`."""
    _quiet()
    if sys.argv[1:2] in (["list"], ["clean"]):
        inventory.main(sys.argv[1:])
        return
    if sys.argv[1:2] == ["compare"]:
        compare.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["--version"]:
        write(f"svt {VERSION}\n")
        return
    run: Callable[[DictConfig], None] = task
    if DRY_RUN in sys.argv:
        sys.argv.remove(DRY_RUN)
        run = preview_task
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise its errors instead of printing them
    app = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(run)
    failure, whole = None, True
    sweep.FOLDERS.clear()
    try:
        for word in filter(_WITHOUT_KEY.match, sys.argv[1:]):
            raise HydraException(f"{word}: names no key; write key=value")
        app()
        if not all(map(sweep.find_jobs, sweep.FOLDERS)):
            failure = "the sweep has no job: a swept key has no values; write them out, key=a,b"
    except KeyboardInterrupt:
        say(STOPPED)
        sys.exit(130)
    except BrokenPipeError:  # of Hydra's help; svt's own output is in console.py
        pass
    except Exception as error:
        failure = explain_refusal(error)
        if failure is None:
            raise
    finally:
        if failure is not None:
            say(f"svt: {failure}")
        flush()
        for folder in sweep.FOLDERS:
            whole = sweep.collect(folder)  # 4
    if failure is not None or not whole:
        sys.exit(1)


def preview_task(composed: DictConfig) -> None:
    """Print what a run would do, and its estimated time, without running it (`--dry-run`)."""
    task(composed, dry=True)


def task(composed: DictConfig, dry: bool = False) -> None:
    """Run the stages, alone or as a job of a sweep, which may run in another process than `main`.

    A failure is reported in one message; it ends a single run, and is the status of a job. A folder
    that is not svt's ends either.
    """
    _quiet()
    settings = HydraConfig.get()
    plain: Any = OmegaConf.to_container(settings)  # ${...} unresolved
    folder, overrides = Path(plain["runtime"]["output_dir"]), plain["overrides"]["task"]
    in_sweep = settings.mode is not None and settings.mode.name == "MULTIRUN"
    job = None
    if in_sweep:
        try:
            check_run_folder(folder)
        except SvtError as error:
            _fail(str(error))
        job = sweep.Job(folder, overrides, settings.runtime.choices)
        _skip_charts(composed, overrides)
        say(f"\njob {settings.job.num}: {' '.join(overrides)}")
    try:
        with lock_run(folder):
            config = compose_config(composed, overrides)  # 1, 2
            check_run_folder(folder)
            if dry:
                if job is not None:
                    raise ConfigError(f"{DRY_RUN} supports one run only; leave out -m")
                write("\n".join(preview(config, folder)) + "\n")
                return
            remove_temporary_files(folder)
            path = config.run.path
            if path is not None and job is None and not folder.samefile(path):
                say(f"a new run, {folder}; {path} stays as it is")
            try:
                stores = run_stages(config, folder)  # 3
            except (KeyboardInterrupt, duckdb.InterruptException, RuntimeError) as error:
                if not is_interruption(error):
                    raise
                _say_how_to_resume(config, folder)
                raise KeyboardInterrupt from error
        if stores is not None:
            write(("" if job else "\n") + summary.summarise(config, folder, stores) + "\n")
        if job is None:
            write(f"\n{summary.describe_output(folder, stores)}\n")
        else:
            job.write("done", stores)
    except Exception as error:
        message = explain_error(error)
        if message is None:
            raise
        _fail(message, job)
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


def _skip_charts(composed: DictConfig, overrides: Sequence[str]) -> None:
    """Remove chart and report from the stages of a sweep's job unless the command sets stages."""
    if not any(re.fullmatch(r"[+]*stages", override.split("=")[0]) for override in overrides):
        composed.stages = [s for s in composed.stages if s not in ("chart", "report")]


def _say_how_to_resume(config: Config, folder: Path) -> None:
    """Print the command that resumes interventions, if part of them is kept in the run folder."""
    if not (folder / FINISHED).is_file():
        return
    if config.run.path is not None and folder.samefile(config.run.path):
        say("the same command goes on from here")
        return
    left = [s for s in ("intervene", "evaluate", "chart", "report") if s in config.stages]
    at_run = format_override("run.path", folder)
    say(f'go on: {find_command("svt")} {at_run} "stages=[{",".join(left)}]"')


def _fail(message: str, job: "sweep.Job | None" = None) -> None:
    say(f"svt: {message}")
    if job is None:
        sys.exit(1)
    job.write(message)


@contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Lock a run folder for this process; SvtError when another run holds it."""
    with ExitStack() as stack:
        try:
            stack.enter_context(take_lock(folder / LOCK))
        except Timeout as error:
            raise SvtError(
                f"another run is writing in {folder}; wait for it, or start a new run without "
                "run.path"
            ) from error
        except OSError as error:
            raise SvtError(
                f"cannot write in {folder} ({error.strerror}); choose another folder with "
                "hydra.run.dir=DIR"
            ) from error
        yield


def _quiet() -> None:
    """Show messages of svt, and only errors of other libraries."""
    warnings.filterwarnings("ignore")
    show_messages()


if __name__ == "__main__":
    main()
