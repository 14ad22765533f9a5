"""Atomic writes of files and folders, and locks between processes."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)


@contextmanager
def temporary_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it on success, remove it after an error.

    A killed process leaves only the temporary file, which no reader opens.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        temporary.with_name(temporary.name + ".wal").unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by one with this content, or leave it unchanged after an error."""
    with temporary_path(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`; rename it on success, remove it after an error.

    The caller holds a lock: the temporary folder of a killed process is removed.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        yield temporary
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def wait_for_lock(path: Path, work: str) -> Iterator[None]:
    """Hold a lock inside the block; while another process holds it, log its `work` and wait."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info(f"another process is {work}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def take_lock(path: Path) -> Iterator[None]:
    """Hold a lock inside the block and remove its file; Timeout when another process holds it."""
    with FileLock(path, timeout=0):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # before another process can acquire it
