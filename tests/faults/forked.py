"""`svt` in a child process that can be killed at any moment, without paying its start each time.

1. A fork server imports everything and loads the model once (tests/faults/warm.py).
2. Hydra composes in the test's process; the child is forked and runs `svt.cli.main.task` as Hydra
   would.
3. The child may die at any moment, and is limited as the test wants; its output goes to a file.
"""

import multiprocessing
import os
import pkgutil
import resource
import signal
import time
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from svt.cli import main as cli
from svt.paths import conf_dir

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.faults.warm"])
KILLED = -signal.SIGKILL
MODEL_FOLDER = "SVT_FAULTS_MODEL"  # in the environment of the fork server: what it loads


@dataclass(frozen=True)
class Limits:
    """What a child meets: bytes that no file may pass, the user it is, values by dotted name."""

    file_bytes: int | None = None
    user: int | None = None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a child ended; `message` is all it wrote, `seconds` from its start to its end."""

    code: int
    message: str
    seconds: float


class Child:
    """`svt ARGS` in the folder `cwd`, begun; `folder` is where it runs, relative to `cwd`."""

    def __init__(
        self, cwd: Path, *args: str, folder: str = "run", limits: Limits | None = None
    ) -> None:
        self._log = cwd.with_name(f"{cwd.name}-{time.monotonic_ns()}.log")
        self._go: Event = CONTEXT.Event()
        config = deepcopy(_composed(args))
        with open_dict(config):
            config.hydra.runtime.output_dir = str(cwd / folder)
        work = (str(cwd), config, str(self._log), limits or Limits())
        self.process: BaseProcess = CONTEXT.Process(target=_child, args=(*work, self._go))
        self.process.start()
        assert self._go.wait(60)
        self._start = time.monotonic()

    def kill_after(self, seconds: float) -> Ended:
        """SIGKILL at that moment, if it still runs then."""
        self.process.join(max(0.0, seconds))
        if self.process.is_alive():
            self.process.kill()
        return self.end()

    def end(self) -> Ended:
        self.process.join(120)
        assert self.process.exitcode is not None, self._log.read_text()
        seconds = time.monotonic() - self._start
        message = self._log.read_text()
        self._log.unlink()
        return Ended(self.process.exitcode, message, seconds)


def ran(cwd: Path, *args: str, folder: str = "run", limits: Limits | None = None) -> Ended:
    """`svt ARGS` to its end."""
    return Child(cwd, *args, folder=folder, limits=limits).end()


def die(*_: object, **__: object) -> None:
    """Stands for a function that a child must not survive."""
    os.kill(os.getpid(), signal.SIGKILL)


@cache
def _composed(args: tuple[str, ...]) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", overrides=list(args), return_hydra_config=True)


def _child(cwd: str, config: DictConfig, log: str, limits: Limits, go: Event) -> None:
    from tests.faults import warm

    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(cwd)
    warm.lend()
    for name, value in limits.values.items():
        pkgutil.resolve_name(name)  # an error for a name that is no more
        owner, _, attribute = name.rpartition(".")
        setattr(pkgutil.resolve_name(owner), attribute, value)
    if limits.user is not None:
        os.setuid(limits.user)
    if limits.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    Path(HydraConfig.get().runtime.output_dir).mkdir(parents=True, exist_ok=True)
    go.set()
    cli.task(config)
