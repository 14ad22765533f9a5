"""Find the store of a configuration, or make it, one process at a time.

1. The identity of the store is computed from its inputs, without loading a model.
2. The store is `store.path`, which must have that identity, or `<store.dir>/<name>-<hash>`.
3. Under a file lock, an existing store is used and a missing one is made. A second process waits
   for the lock and then uses the store that the first one made.
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


def choose_store_path(config: Config, identity: Identity) -> Path:
    """Return the path of the store with this identity, existing or not."""
    if isinstance(config.store.path, str):  # 2
        return Path(config.store.path)
    return Path(config.store.dir) / identity.file_name(config.model, config.dataset)


def holds_store(path: Path, identity: Identity) -> bool:
    """Return whether `path` is the store with this identity; StoreError when it is another one."""
    if not path.exists():
        return False
    key = Stores.of(path).identity
    if key != identity.key:
        raise StoreError(
            f"store {path} is not the store of this configuration "
            f"({key[:16]}, wanted {identity.key[:16]}): other weights, prompts or dump settings; "
            "leave store.path out to use or make the right one"
        )
    return True


def find_or_make(path: Path, identity: Identity, make: Callable[[Path], None]) -> bool:
    """Make the store with `make(path)` unless it exists; return whether it existed (step 3)."""
    if holds_store(path, identity):  # first without a lock: the folder may be read-only
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
        if holds_store(path, identity):
            return True
        make(path)
        return False
    finally:
        lock.release()
