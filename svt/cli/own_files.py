"""Which files of a folder are svt's own, so that nothing else is ever removed or replaced.

1. What a run or a sweep writes has exact names. Temporary files are those of svt/system/atomic.py.
2. A run folder is svt's when its results.duckdb is one of svt's; before that it holds nothing but
   files that a run leaves before its results (references, interventions that were begun).
3. A sweep's folder is svt's when its keys.json says what svt writes there. A job's folder may hold
   a job.json of svt besides.
4. A folder that is neither empty nor svt's is refused, before anything is written into it.
"""

import json
import re
from pathlib import Path
from typing import Any

from svt.db.stores import Stores
from svt.errors import SvtError
from svt.stages.chart import CHARTS, DRAWN, FORMATS, REPORT, pictures
from svt.stages.intervene import FINISHED
from svt.stages.reference import ALL_HEADS, REFERENCE
from svt.store.results import NAME, reading_results

LOCK = ".svt.lock"
JOB, KEYS = "job.json", "keys.json"
_IN_RUN = {NAME, REPORT, REFERENCE, ALL_HEADS, JOB}
_IN_SWEEP = {"sweep.duckdb", "multirun.yaml", KEYS} | {
    f"{name}.{form}" for name in ("sweep", "sweep_roles") for form in FORMATS
}
_BEFORE_RESULTS = {LOCK, FINISHED, f"{FINISHED}.wal"}


def own_files(folder: Path) -> list[Path]:
    """Return the files in a folder of a run or a sweep that svt writes there, by their names."""
    names = (_IN_RUN | _BEFORE_RESULTS | _IN_SWEEP) - {REPORT}
    here = [path for path in folder.iterdir() if path.name in names or _is_temporary(path, names)]
    return [path for path in (*here, *pictures(folder)) if path.is_file()]


def is_sweep(folder: Path) -> bool:
    """Return whether a folder is that of a sweep (step 3)."""
    keys = _object(folder / KEYS)
    return keys is not None and isinstance(keys.get("keys"), list)


def is_store_file(path: Path) -> bool:
    """Return whether a file is a store, or by its name one that was left unfinished."""
    if not path.is_file():
        return False
    if re.fullmatch(r"\..+\.duckdb\.partial", path.name):
        return True
    try:
        Stores.of(path).dump  # noqa: B018
    except SvtError:
        return False
    return True


def remove_left(folder: Path) -> None:
    """Remove what processes that died left in a run folder; only where no other run works."""
    for part, names in ((folder, _IN_RUN), (folder / CHARTS, DRAWN)):
        for left in part.iterdir() if part.is_dir() else ():
            if _is_temporary(left, names):
                left.unlink(missing_ok=True)


def check_run_folder(folder: Path) -> None:
    """SvtError for a folder that is neither empty nor a run's (step 2)."""
    if (folder / NAME).is_file() and _is_run(folder / NAME):
        return
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        ours = path.name in _BEFORE_RESULTS or _is_temporary(path, _IN_RUN)
        if path.name in (REFERENCE, ALL_HEADS):
            ours = _begins(path, b"# ")
        if path.name == JOB:
            ours = is_job(path)
        if not ours:
            raise _not_ours(folder, path, "hydra.run.dir")


def check_sweep_folder(folder: Path) -> None:
    """SvtError for a folder that is neither empty nor a sweep's (step 3)."""
    names = sorted(folder.iterdir()) if folder.is_dir() else []
    if is_sweep(folder):
        names = [path for path in names if path.name.isdecimal()]
    for path in names:
        if path.name.isdecimal() and path.is_dir():
            check_run_folder(path)
        elif not _is_temporary(path, _IN_SWEEP):
            raise _not_ours(folder, path, "hydra.sweep.dir")


def is_job(path: Path) -> bool:
    """Return whether a file is what a job of a sweep says of itself."""
    job = _object(path)
    return job is not None and {"status", "stores", "values"} <= job.keys()


def _is_run(results: Path) -> bool:
    try:
        with reading_results(results) as con:
            con.execute("SELECT config, status FROM run").fetchall()
    except SvtError:
        return False
    return True


def _is_temporary(path: Path, names: set[str]) -> bool:
    match = re.fullmatch(r"\.(.+)\.[0-9]+\.tmp(\.wal)?", path.name)
    return match is not None and match[1] in names and path.is_file()


def _object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is none."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _begins(path: Path, content: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(content)) == content
    except OSError:
        return False


def _not_ours(folder: Path, path: Path, key: str) -> SvtError:
    return SvtError(
        f"{folder} holds {path.name}, which svt did not write there; nothing was changed: choose "
        f"an empty or a new folder with {key}=DIR"
    )
