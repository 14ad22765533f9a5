"""Finding the store that a configuration asks for, or making it, one process at a time.

1. The identity of the wanted store is taken from its inputs, without loading a model.
2. `store.path` names a file outright and must hold just that; else `<store.dir>/<name>-<hash>`.
3. Under a file lock: a store that is there is used, one that is missing is made. A second process
   waits at the lock and then finds the first one's work.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from svt.config import Config
from svt.db.identity import Identity
from svt.db.stores import Stores
from svt.errors import StoreError

logger = logging.getLogger(__name__)


def store_path(config: Config, identity: Identity) -> Path:
    """Where the store of this identity stands or will stand."""
    if isinstance(config.store.path, str):  # 2
        return Path(config.store.path)
    return Path(config.store.dir) / identity.file_name(config.model, config.dataset)


def existing(path: Path, identity: Identity) -> bool:
    """Whether `path` holds the store of this identity; StoreError when it holds another one."""
    if not path.exists():
        return False
    held = Stores.of(path).identity
    if held != identity.key:
        raise StoreError(
            f"store {path} holds something else than what is asked for "
            f"({held[:16]}, wanted {identity.key[:16]}): other weights, prompts or dump settings; "
            "leave store.path out to use or make the right one"
        )
    return True


def find_or_make(path: Path, identity: Identity, make: Callable[[Path], None]) -> bool:
    """Makes the store with `make(path)` unless it is there; returns whether it was there."""
    if existing(path, identity):  # in a folder, perhaps, where no lock can be made
        return True
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info(f"another process is writing {path}; waiting for it")
            lock.acquire()
    except OSError as error:
        raise StoreError(
            f"store.dir: cannot write in {path.parent} ({error.strerror}); choose another store.dir"
        ) from error
    try:  # 3
        if existing(path, identity):
            return True
        make(path)
        return False
    finally:
        lock.release()
