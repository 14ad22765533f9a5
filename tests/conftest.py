"""One run of the bundled model for all tests that look at a finished run; `svt` in this process.

The shapes and dtypes that svt/compute declares are checked at every call while the tests run, but
for removal.py: with its many small calls a small dump would take about twice as long.
"""

import atexit
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from jaxtyping import install_import_hook

import svt as package
from svt.config import ModelConfig

_COMPUTE = Path(package.__file__).parent / "compute"
install_import_hook(
    [f"svt.compute.{file.stem}" for file in _COMPUTE.glob("*.py") if file.stem != "removal"],
    "beartype.beartype",
)

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # a core for each of two workers


def pytest_configure(config: pytest.Config) -> None:
    """Let workers end at once: DuckDB's binding lists all objects that torch keeps alive."""
    if hasattr(config, "workerinput"):
        atexit.register(os._exit, 0)


SMALL = ("dataset.n_prompts=16", "chart.format=[json]")


@dataclass(frozen=True)
class Finished:
    """What a command left: its exit code and the folder it ran in."""

    code: int
    cwd: Path

    @property
    def runs(self) -> list[Path]:
        return sorted((self.cwd / "outputs" / "runs").glob("*"))

    @property
    def stores(self) -> list[Path]:
        return sorted((self.cwd / "outputs" / "stores").glob("*.duckdb"))

    @property
    def sweeps(self) -> list[Path]:
        return sorted((self.cwd / "outputs" / "sweeps").glob("*"))


Svt = Callable[..., Finished]


@cache
def load_bundled_models_once() -> None:
    """From now on in this process; how a model is loaded is tested in tests/compute."""
    from svt.compute import load as module
    from svt.compute.model import Model

    bundled, load, once = Path(package.__file__).parent, module.load_model, cache(module.load_model)

    def load_once(config: ModelConfig) -> Model:
        shipped = Path(config.path or "").is_relative_to(bundled)
        return once(config) if shipped else load(config)

    module.load_model = load_once
    # Hydra composes a configuration once more to learn hydra.mode, which is set by no test.
    Hydra.get_mode = lambda *_, **__: None


def svt_in(cwd: Path, *args: str) -> Finished:
    """`svt ARGS` in the folder `cwd`, in this process."""
    from svt.cli import main as cli

    load_bundled_models_once()
    GlobalHydra.instance().clear()
    before, argv = Path.cwd(), sys.argv
    os.chdir(cwd)
    sys.argv = ["svt", *args]
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.argv = argv
        os.chdir(before)
    return Finished(code, cwd)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`checkpoint(case)`: that of tests/families.py, written once, for tests to read."""
    from tests.families import write_case

    at = tmp_path_factory.mktemp("families")
    return cache(lambda case: write_case(case, at / case))


@pytest.fixture(scope="session")
def family(checkpoint: Callable[[str], Path]) -> Callable[..., Any]:
    """`family(case, dtype="float32")`: that checkpoint as svt loads it, loaded once."""
    from tests.compute.runs import loaded

    return cache(lambda case, dtype="float32": loaded(checkpoint(case), dtype))


@pytest.fixture
def svt(tmp_path: Path) -> Svt:
    """`svt(*args)` in a folder of the test's own."""
    return lambda *args: svt_in(tmp_path, *args)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder that the first worker to ask for `name` has filled with `make`.

    All workers of a session read it; tests leave it as it is.
    """
    base = factory.getbasetemp()
    at = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    made = at.with_suffix(".made")
    with FileLock(at.with_suffix(".lock")):
        if not made.exists():
            shutil.rmtree(at, ignore_errors=True)  # of a worker that failed
            at.mkdir()
            make(at)
            made.touch()
    return at


def finish(cwd: Path, *args: str) -> None:
    """`svt ARGS` in that folder, which must come to its end."""
    assert svt_in(cwd, *args).code == 0


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A finished run of the whole job on 16 prompts, for tests to read."""
    return Finished(0, made_once(tmp_path_factory, "finished", lambda at: finish(at, *SMALL)))


@pytest.fixture(scope="session")
def all_slices(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A finished run of experiment=all_slices on 16 prompts, for tests to read."""
    more = ("experiment=all_slices", "dump.effects=false", "chart.figures=[graph_all_slices]")
    args = (*SMALL, *more, "stages=[dump,trace,evaluate,report]")
    return Finished(0, made_once(tmp_path_factory, "all_slices", lambda at: finish(at, *args)))


@pytest.fixture
def traced(finished: Finished, tmp_path: Path) -> Path:
    """A copy of that run, without interventions, for a test to work on."""
    copy = tmp_path / "run"
    shutil.copytree(finished.runs[0], copy)
    return copy
