"""Finding the store that a configuration asks for, or making it, one process at a time.

1. The identity of the wanted store is taken from its inputs, without loading a model.
2. `store.path` names a file outright and must hold just that; else `<store.dir>/<name>-<hash>`.
3. Under a file lock: a store that is there is used, one that is missing is made. A second process
   waits at the lock and then finds the first one's work.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from svt.config import Config
from svt.errors import SvtError
from svt.progress import say
from svt.query.connect import quoted
from svt.store.identity import SCHEMA_VERSION, Identity


def store_path(config: Config, identity: Identity) -> Path:
    """Where the store of this identity stands or will stand."""
    if config.store.path is not None:  # 2
        return Path(config.store.path)
    return Path(config.store.dir) / identity.file_name(config.model, config.dataset)


def existing(path: Path, identity: Identity) -> bool:
    """Whether `path` holds the store of this identity; SvtError when it holds another one."""
    if not path.exists():
        return False
    held = read_identity(path)
    if held != identity.key:
        raise SvtError(
            f"store {path} holds something else than what is asked for "
            f"({held[:16]}, wanted {identity.key[:16]}): other weights, prompts or dump settings; "
            "leave store.path out to use or make the right one"
        )
    return True


def find_or_make(path: Path, identity: Identity, make: Callable[[Path], None]) -> bool:
    """Makes the store with `make(path)` unless it is there; returns whether it was there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"another process is writing {path}; waiting for it")
            lock.acquire()
    except OSError as error:
        raise SvtError(
            f"store.dir: cannot write in {path.parent} ({error.strerror}); choose another store.dir"
        ) from error
    try:  # 3
        if existing(path, identity):
            return True
        for left_by_a_dead_process in path.parent.glob(f".{path.name}.*.tmp*"):
            if left_by_a_dead_process.is_dir():
                shutil.rmtree(left_by_a_dead_process)
            else:
                left_by_a_dead_process.unlink(missing_ok=True)
        make(path)
        return False
    finally:
        lock.release()


def read_identity(path: Path) -> str:
    """The identity a store file says it has; SvtError when it is no store of this version."""
    try:
        with duckdb.connect() as con:
            con.execute(f"ATTACH '{quoted(path)}' AS s (READ_ONLY)")
            rows = con.execute(
                "SELECT identity, schema_version, svt_version FROM s.dump"
            ).fetchall()
    except duckdb.Error as error:
        raise SvtError(
            f"{path} is not a store that svt can read ({str(error).splitlines()[0]}); "
            "move it away and dump again"
        ) from error
    if not rows:
        raise SvtError(
            f"{path} is not a whole store (its table dump is empty); move it away and dump again"
        )
    identity, schema, version = rows[0]
    if schema != SCHEMA_VERSION:
        raise SvtError(
            f"{path} was written by svt {version} in schema {schema}, this svt reads schema "
            f"{SCHEMA_VERSION}; move it away and dump again"
        )
    return str(identity)
