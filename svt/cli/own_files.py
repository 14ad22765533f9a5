"""Recognise the files that svt wrote, so that no other file is ever removed or replaced.

1. The files of a run or a sweep have fixed names, temporary files those of svt/system/atomic.py.
2. A run folder is svt's if its results.duckdb is, or if, before results, it holds nothing but files
   that a run writes before them (references, unfinished interventions).
3. A sweep folder is svt's if its keys.json has the content that svt writes. The folder of a job may
   also hold a job.json.
4. A folder that is neither empty nor svt's is refused before anything is written into it.
"""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from svt.db.stores import Stores
from svt.errors import SvtError
from svt.stages.chart import CHARTS, DRAWN, FORMATS, REPORT, list_pictures
from svt.stages.intervene import FINISHED
from svt.stages.reference import ALL_HEADS, REFERENCE
from svt.store.results import NAME, open_results

LOCK = ".svt.lock"
JOB, KEYS = "job.json", "keys.json"
_IN_RUN = {NAME, REPORT, REFERENCE, ALL_HEADS, JOB}
_IN_SWEEP = {"sweep.duckdb", "multirun.yaml", KEYS} | {
    f"{name}.{form}" for name in ("sweep", "sweep_roles") for form in FORMATS
}
_BEFORE_RESULTS = {LOCK, FINISHED, f"{FINISHED}.wal"}


def list_own_files(folder: Path) -> list[Path]:
    """Return the files in the folder of a run or a sweep that svt wrote (step 1)."""
    names = (_IN_RUN | _BEFORE_RESULTS | _IN_SWEEP) - {REPORT}
    here = [path for path in folder.iterdir() if path.name in names or _is_temporary(path, names)]
    return [path for path in (*here, *list_pictures(folder)) if path.is_file()]


def is_sweep(folder: Path) -> bool:
    """Return whether `folder` is a sweep's (step 3)."""
    keys = _read_object(folder / KEYS)
    return keys is not None and isinstance(keys.get("keys"), list)


def is_store_file(path: Path) -> bool:
    """Return whether a file is a store or has the name of an unfinished one."""
    if not path.is_file():
        return False
    if re.fullmatch(r"\..+\.duckdb\.partial", path.name):
        return True
    with suppress(SvtError):
        return bool(Stores.of(path).dump)
    return False


def remove_temporary_files(folder: Path) -> None:
    """Remove temporary files of killed processes from a run folder, whose lock the caller holds."""
    for part, names in ((folder, _IN_RUN), (folder / CHARTS, DRAWN)):
        for path in part.iterdir() if part.is_dir() else ():
            if _is_temporary(path, names):
                path.unlink(missing_ok=True)


def check_run_folder(folder: Path) -> None:
    """Raise SvtError for a folder that is neither empty nor a run's (steps 2 and 4)."""
    if _is_run(folder / NAME):
        return
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        ours = path.name in _BEFORE_RESULTS or _is_temporary(path, _IN_RUN)
        if path.name in (REFERENCE, ALL_HEADS):
            ours = _starts_with(path, b"# ")
        if path.name == JOB:
            ours = is_job(path)
        if not ours:
            raise _refuse_foreign(folder, path, "hydra.run.dir")


def check_sweep_folder(folder: Path) -> None:
    """Raise SvtError for a folder that is neither empty nor a sweep's (steps 3 and 4)."""
    names = sorted(folder.iterdir()) if folder.is_dir() else []
    if is_sweep(folder):
        names = [path for path in names if path.name.isdecimal()]
    for path in names:
        if path.name.isdecimal() and path.is_dir():
            check_run_folder(path)
        elif not _is_temporary(path, _IN_SWEEP):
            raise _refuse_foreign(folder, path, "hydra.sweep.dir")


def is_job(path: Path) -> bool:
    """Return whether a file is the job.json of a sweep's job."""
    job = _read_object(path)
    return job is not None and {"status", "stores", "values"} <= job.keys()


def _is_run(results: Path) -> bool:
    with suppress(SvtError), open_results(results) as con:
        return bool(con.execute("SELECT count(config), count(status) FROM run").fetchall())
    return False


def _is_temporary(path: Path, names: set[str]) -> bool:
    match = re.fullmatch(r"\.(.+)\.[0-9]+\.tmp(\.wal)?", path.name)
    return match is not None and match[1] in names and path.is_file()


def _read_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, None when there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _starts_with(path: Path, content: bytes) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(content)) == content
    return False


def _refuse_foreign(folder: Path, path: Path, key: str) -> SvtError:
    return SvtError(
        f"{folder} holds {path.name}, which svt did not write there; nothing was changed: choose "
        f"an empty or a new folder with {key}=DIR"
    )
