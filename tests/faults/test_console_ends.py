"""How `svt`, `svt-import` and `svt-export` end: Ctrl-C, a closed pipe, a full output device."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from svt.cli import export, import_circuit
from svt.cli.console import STOPPED
from tests.answers import answer
from tests.conftest import svt_in

FULL = "could not write to standard output (No space left on device); the work itself is done\n"


@contextmanager
def closed_pipe() -> Iterator[None]:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", pipe)
        yield


@contextmanager
def full_device() -> Iterator[None]:
    with Path("/dev/full").open("w") as full, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", full)
        yield


Work = tuple[Callable[[], int], Callable[[], bool]]


@pytest.fixture(params=["svt", "svt-import", "svt-export"])
def work(request: pytest.FixtureRequest, traced: Path, tmp_path: Path) -> Work:
    """A command that prints what it did, as its exit code, and whether its work is there."""

    def evaluate() -> int:
        return svt_in(
            tmp_path, f"run.path={traced}", "stages=[evaluate]", "evaluate.reference=none"
        ).code

    def read_circuit() -> int:
        file = tmp_path / "heads.csv"
        file.write_text("layer,head\n1,2\n")
        import_circuit.main([str(file), "--out", str(tmp_path / "out")])
        return 0

    def write_parquet() -> int:
        export.main([str(traced), str(tmp_path / "out")])
        return 0

    out = tmp_path / "out"
    return {
        "svt": (evaluate, lambda: answer(traced, "from evaluation", []).is_empty()),
        "svt-import": (read_circuit, lambda: (out / "results.duckdb").is_file()),
        "svt-export": (write_parquet, lambda: bool(list(out.rglob("*.parquet")))),
    }[request.param]


def test_a_closed_pipe_ends_no_work(work: Work, capfd: pytest.CaptureFixture[str]) -> None:
    run, is_done = work
    with closed_pipe():
        assert run() == 0
    err = capfd.readouterr().err
    assert "Traceback" not in err and "Broken pipe" not in err
    assert is_done()


def test_a_full_device_is_one_line_and_no_failure(
    work: Work, capfd: pytest.CaptureFixture[str]
) -> None:
    run, is_done = work
    with full_device():
        assert run() == 0
    err = capfd.readouterr().err
    assert FULL in err and "Traceback" not in err
    assert is_done()


def test_an_interruption_of_svt_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """While the model runs: exit code 130, and nothing under a store's name."""
    from svt.compute import dump

    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(dump, "forward", interrupted)
    # a process that was started in the background ignores interruptions
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = svt_in(tmp_path, "dataset.n_prompts=2", "stages=[dump]")
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.code == 130
    message = capfd.readouterr().err
    assert message.endswith(f"{STOPPED}\n")
    assert "Traceback" not in message
    assert not list((tmp_path / "outputs").rglob("[!.]*.duckdb"))
    assert not list((tmp_path / "outputs").glob("runs/*"))
