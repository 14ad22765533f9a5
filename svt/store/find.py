"""Find the store of a configuration, or make it, one process at a time.

1. The identity of the store is computed from its inputs, without loading a model.
2. The store is `store.path`, which must have that identity, or `<store.dir>/<name>-<hash>`.
3. Under a file lock, an existing store is used and a missing one is made. A second process waits
   for the lock and then uses the store that the first one made.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from svt.config import Config
from svt.db.identity import Identity
from svt.db.stores import Stores
from svt.errors import StoreError
from svt.system.atomic import wait_for_lock


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
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.with_name(f".{path.name}.lock")
            stack.enter_context(wait_for_lock(lock, f"writing {path}"))
        except OSError as error:
            raise StoreError(
                f"store.dir: cannot write in {path.parent} ({error.strerror}); choose another "
                "store.dir"
            ) from error
        if holds_store(path, identity):  # 3
            return True
        make(path)
        return False
