"""`svt list` and `svt clean`: list runs and stores, and remove some of them.

1. Runs are all folders in outputs that hold results. A run names the stores that it was made from,
   and its configuration the folder of stores (store.dir). Stores are the files in outputs/stores
   and in these folders, including those of a dump that was stopped, and the stores of runs.
2. The list has model, data, settings other than the defaults, size, and which runs use a store; of
   a run its stores, and which of them are gone.
3. `clean` removes all of its arguments or none: each must be a run, a sweep or a store of svt, and
   no store may be removed that a remaining run was made from.
4. In a folder only the files that svt wrote are removed; the number of other files is reported.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from svt.cli.console import console, make_parser, write
from svt.cli.own_files import check_run_folder, is_store_file, is_sweep, list_own_files
from svt.cli.rows import print_rows
from svt.db.stores import Stores
from svt.defaults import default
from svt.errors import StoreError, SvtError
from svt.store.results import NAME, load_config, read_run_row
from svt.system.memory import size as file_size

_GROUPS = ("trace", "dump")
_EPILOG = """examples:
  svt list
  svt clean outputs/runs/2026-01-31_12-00-00-000000 outputs/stores/ioi-mini-ioi-0123456.duckdb
"""


@dataclass(frozen=True)
class Entry:
    """A run or a store of the list."""

    path: Path
    model: str
    data: str
    settings: str
    n_bytes: int
    stores: tuple[Path, ...] = ()
    store_dir: Path | None = None
    """Of a run: the folder of its stores, where this is the one that its configuration names."""


def main(argv: Sequence[str]) -> None:
    """Run `svt list ...` or `svt clean ...`."""
    parser = make_parser("svt", None, _EPILOG)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="list runs and stores with their settings and size")
    cleaning = commands.add_parser("clean", help="remove runs, sweeps and stores")
    cleaning.add_argument("names", nargs="+", type=Path, metavar="PATH")
    for each in (listing, cleaning):
        each.add_argument("--outputs", type=Path, default=Path("outputs"), help="[= outputs]")
    listing.add_argument("--format", choices=("table", "csv", "json"), default="table")
    args = parser.parse_args(argv)
    with console("svt"):
        if args.command == "clean":
            write("".join(f"{line}\n" for line in clean(args.names, args.outputs)))
        else:
            frame = list_entries(args.outputs)
            print_rows(frame, args.format, most=frame.height)


def list_entries(outputs: Path) -> pl.DataFrame:
    """Return a row for each run and store in `outputs` (steps 1 and 2)."""
    runs = list(_find_runs(outputs))
    stores = list(_find_stores(outputs / "stores", runs))
    rows = [_make_row("run", run, ", ".join(map(_name, run.stores))) for run in runs]
    for store in stores:
        users = [run.path for run in runs if store.path.resolve() in run.stores]
        rows.append(
            _make_row("store", store, f"used by {len(users)} runs" if users else "not used")
        )
    columns = ["kind", "path", "model", "data", "settings", "size", "store"]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def clean(names: Sequence[Path], outputs: Path) -> list[str]:
    """Remove runs, sweeps and stores, and return a line about each (steps 3 and 4).

    StoreError, before anything is removed, for a path that is not svt's or still needed.
    """
    removed = {path.resolve(): path for path in names}
    files = {path: _find_files(path) for path in removed.values()}
    for run in _find_runs(outputs):
        needed = [path for path in run.stores if path in removed]
        stays = not any(at in removed for at in (run.path.resolve(), *run.path.resolve().parents))
        if needed and stays:
            raise StoreError(
                f"{removed[needed[0]]}: the run {run.path} was made from it; name that run too, or "
                "keep the store; nothing was removed"
            )
    lines = []
    for path, own in files.items():
        n_bytes = sum(file.stat().st_size for file in own)
        for file in own:
            file.unlink(missing_ok=True)
        is_store = not path.is_dir()
        left = [] if is_store else _remove_empty_folders(path)
        kept = f"; {len(left)} files that are not svt's stay there" if left else ""
        elsewhere = is_store and outputs.resolve() not in path.resolve().parents
        unseen = f"; runs outside of {outputs} were not looked for" if elsewhere else ""
        lines.append(f"removed {path}, {file_size(n_bytes)}{kept}{unseen}")
    return lines


def _find_files(path: Path) -> list[Path]:
    """Return the files of svt at `path`; StoreError when it is not a run, sweep or store of svt."""
    if is_store_file(path):
        wal = path.with_name(path.name + ".wal")
        return [path, wal] if wal.is_file() else [path]
    if is_sweep(path):
        jobs = [job for job in path.iterdir() if job.name.isdecimal() and job.is_dir()]
        return [*list_own_files(path), *(file for job in jobs for file in list_own_files(job))]
    if (path / NAME).is_file():
        check_run_folder(path)
        return list_own_files(path)
    raise StoreError(
        f"{path}: no run, sweep or store of svt; `svt list` shows them; nothing removed"
    )


def _remove_empty_folders(folder: Path) -> list[Path]:
    """Remove `folder` and its subfolders where empty, and return the files that are left."""
    for each in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        if not any(each.iterdir()):
            each.rmdir()
    left = [path for path in folder.rglob("*") if not path.is_dir()]
    if not left:
        folder.rmdir()
    return left


def _find_runs(outputs: Path) -> Iterator[Entry]:
    """Yield the runs in `outputs` (step 1); rglob follows no links, and outputs/runs may be one."""
    usual = (f"{folder}/{NAME}" for folder in ("runs/*", "imports/*", "sweeps/*/*"))
    found = {path for pattern in usual for path in outputs.glob(pattern)}
    for path in sorted(found.union(outputs.rglob(NAME))):
        if path.is_file():
            yield _read_run(path.parent)


def _read_run(folder: Path) -> Entry:
    n_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    try:
        config = load_config(folder)
        stores = Stores.from_text(read_run_row(folder)["store_path"]).paths
    except SvtError as error:
        return Entry(folder, "?", "?", f"cannot be read: {error}"[:80], n_bytes)
    entry = _make_entry(folder, config, n_bytes, tuple(path.resolve() for path in stores))
    kept = Path(config.get("store", {}).get("dir") or "").parts
    folders = (store.parent for store in entry.stores)
    store_dir = (each for each in folders if kept and each.parts[-len(kept) :] == kept)
    return replace(entry, store_dir=next(store_dir, None))


def _find_stores(folder: Path, runs: Sequence[Entry]) -> Iterator[Entry]:
    """Yield the stores in `folder` and those of `runs`, each once (step 1)."""
    folders = [folder, *(run.store_dir for run in runs if run.store_dir is not None)]
    files = [file for each in folders for file in sorted(each.glob("*.duckdb"))]
    files += [store for run in runs for store in run.stores if store.exists()]
    files += [file for each in folders for file in sorted(each.glob(".*.duckdb.partial"))]
    known: dict[Path, Path] = {}
    for file in files:
        known.setdefault(file.resolve(), file)
    yield from map(_read_store, known.values())


def _read_store(file: Path) -> Entry:
    parts = [file] if file.is_file() else [path for path in file.rglob("*") if path.is_file()]
    n_bytes = sum(part.stat().st_size for part in parts)
    if file.suffix == ".partial":
        return Entry(file, "?", "?", "stopped; repeat its command to go on", n_bytes)
    try:
        return _make_entry(file, Stores.of(file).config, n_bytes)
    except SvtError as error:
        return Entry(file, "?", "?", f"cannot be read: {error}"[:80], n_bytes)


def _name(store: Path) -> str:
    return store.name if store.exists() else f"{store} (gone)"


def _make_entry(path: Path, config: Any, n_bytes: int, stores: tuple[Path, ...] = ()) -> Entry:
    model, dataset = config.get("model", {}), config.get("dataset", {})
    n_prompts = dataset.get("n_prompts")
    data = dataset.get("name", "") + (f" {n_prompts}" if n_prompts else "")
    groups = _GROUPS if stores or "trace" not in config else ("trace",)
    settings = " ".join(
        f"{group}.{key}={json.dumps(value)}"
        for group in groups
        for key, value in config.get(group, {}).items()
        if _is_changed(f"{group}.{key}", value)
    )
    return Entry(path, str(model.get("name")), data, settings, n_bytes, stores)


def _is_changed(key: str, value: Any) -> bool:
    try:
        return bool(default(key) != value)
    except KeyError:  # a key of an earlier svt
        return True


def _make_row(kind: str, entry: Entry, store: str) -> list[str]:
    size = file_size(entry.n_bytes)
    name = re.sub(r"\s+", " ", entry.settings)
    return [kind, str(entry.path), entry.model, entry.data, name, size, store]
