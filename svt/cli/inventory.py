"""`svt list` and `svt clean`: which runs and stores there are, and what goes when it is named.

1. Runs are all folders below outputs with results. A run says which stores it was made from, and
   its configuration where stores were kept (store.dir). Stores are the files of outputs/stores and
   of these folders, those whose dump was stopped, and what runs were made from elsewhere.
2. The list has model, data, settings that are not the defaults, size, and by whom a store is used;
   of a run, its stores, and which of them are gone.
3. `clean` removes what is named, all of it or nothing: a name must be a run, a sweep or a store of
   svt, and no run that stays may need a store that goes.
4. Of a folder only the files that svt made go; what else lies in it stays, and is said to.
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from svt.cli.console import console, write
from svt.cli.own_files import check_run_folder, is_store_file, is_sweep, own_files
from svt.cli.rows import print_rows
from svt.db.stores import Stores
from svt.defaults import default
from svt.errors import StoreError, SvtError
from svt.store.results import NAME, load_config, stores_of
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
    """`svt list ...` and `svt clean ...`."""
    parser = argparse.ArgumentParser(
        prog="svt", epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="runs and stores, with what they are and their size")
    cleaning = commands.add_parser(
        "clean", help="remove the runs, sweeps and stores that are named"
    )
    cleaning.add_argument("names", nargs="+", type=Path, metavar="PATH")
    for each in (listing, cleaning):
        each.add_argument("--outputs", type=Path, default=Path("outputs"), help="[= outputs]")
    listing.add_argument("--format", choices=("table", "csv", "json"), default="table")
    args = parser.parse_args(argv)
    with console("svt"):
        if args.command == "clean":
            write("".join(f"{line}\n" for line in clean(args.names, args.outputs)))
        else:
            frame = inventory(args.outputs)
            print_rows(frame, args.format, most=frame.height)


def inventory(outputs: Path) -> pl.DataFrame:
    """Return one row a run and a store below `outputs`: kind, path, model, data, settings, size."""
    runs = list(_runs(outputs))
    stores = list(_stores(outputs / "stores", runs))
    rows = [_row("run", run, ", ".join(map(_name, run.stores))) for run in runs]
    for store in stores:
        users = [run.path for run in runs if store.path.resolve() in run.stores]
        rows.append(_row("store", store, f"used by {len(users)} runs" if users else "not used"))
    columns = ["kind", "path", "model", "data", "settings", "size", "store"]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def clean(names: Sequence[Path], outputs: Path) -> list[str]:
    """Remove what is named (steps 3 and 4) and return what to say of it.

    StoreError, before anything is removed, for what is not svt's or still needed.
    """
    going = {path.resolve(): path for path in names}
    files = {path: _files(path) for path in going.values()}
    for run in _runs(outputs):
        needed = [path for path in run.stores if path in going]
        stays = not any(at in going for at in (run.path.resolve(), *run.path.resolve().parents))
        if needed and stays:
            raise StoreError(
                f"{going[needed[0]]}: the run {run.path} is made from it; name that run too, or "
                "keep the store; nothing was removed"
            )
    told = []
    for path, own in files.items():
        n_bytes = sum(file.stat().st_size for file in own)
        for file in own:
            file.unlink(missing_ok=True)
        is_store = not path.is_dir()
        left = [] if is_store else _emptied(path)
        kept = f"; {len(left)} files that are not svt's stay there" if left else ""
        elsewhere = is_store and outputs.resolve() not in path.resolve().parents
        unseen = f"; runs outside of {outputs} were not looked for" if elsewhere else ""
        told.append(f"removed {path}, {file_size(n_bytes)}{kept}{unseen}")
    return told


def _files(path: Path) -> list[Path]:
    """The files of svt that a name stands for; StoreError when it is none of svt's."""
    if is_store_file(path):
        wal = path.with_name(path.name + ".wal")
        return [path, wal] if wal.is_file() else [path]
    if is_sweep(path):
        jobs = [job for job in path.iterdir() if job.name.isdecimal() and job.is_dir()]
        return [*own_files(path), *(file for job in jobs for file in own_files(job))]
    if (path / NAME).is_file():
        check_run_folder(path)
        return own_files(path)
    raise StoreError(
        f"{path}: no run, sweep or store of svt; `svt list` shows them; nothing removed"
    )


def _emptied(folder: Path) -> list[Path]:
    """Remove the folders that hold nothing any more, and return the files that are left."""
    for each in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        if not any(each.iterdir()):
            each.rmdir()
    left = [path for path in folder.rglob("*") if not path.is_dir()]
    if not left:
        folder.rmdir()
    return left


def _runs(outputs: Path) -> Iterator[Entry]:
    """Step 1; rglob does not follow links, as outputs/runs may be one."""
    usual = (f"{folder}/{NAME}" for folder in ("runs/*", "imports/*", "sweeps/*/*"))
    found = {path for pattern in usual for path in outputs.glob(pattern)}
    for path in sorted(found.union(outputs.rglob(NAME))):
        if path.is_file():
            yield _run(path.parent)


def _run(folder: Path) -> Entry:
    n_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    try:
        config, stores = load_config(folder), stores_of(folder).paths
    except SvtError as error:
        return Entry(folder, "?", "?", f"cannot be read: {error}"[:80], n_bytes)
    entry = _entry(folder, config, n_bytes, tuple(path.resolve() for path in stores))
    kept = Path(config.get("store", {}).get("dir") or "").parts
    folders = (store.parent for store in entry.stores)
    store_dir = (each for each in folders if kept and each.parts[-len(kept) :] == kept)
    return replace(entry, store_dir=next(store_dir, None))


def _stores(folder: Path, runs: Sequence[Entry]) -> Iterator[Entry]:
    """Step 1; a path as it is first met, below `folder` as that is named."""
    folders = [folder, *(run.store_dir for run in runs if run.store_dir is not None)]
    files = [file for each in folders for file in sorted(each.glob("*.duckdb"))]
    files += [store for run in runs for store in run.stores if store.exists()]
    files += [file for each in folders for file in sorted(each.glob(".*.duckdb.partial"))]
    known: dict[Path, Path] = {}
    for file in files:
        known.setdefault(file.resolve(), file)
    yield from map(_store, known.values())


def _store(file: Path) -> Entry:
    parts = [file] if file.is_file() else [path for path in file.rglob("*") if path.is_file()]
    n_bytes = sum(part.stat().st_size for part in parts)
    if file.suffix == ".partial":
        return Entry(file, "?", "?", "stopped; the command that began it goes on", n_bytes)
    try:
        return _entry(file, Stores.of(file).config, n_bytes)
    except SvtError as error:
        return Entry(file, "?", "?", f"cannot be read: {error}"[:80], n_bytes)


def _name(store: Path) -> str:
    return store.name if store.exists() else f"{store} (gone)"


def _entry(path: Path, config: Any, n_bytes: int, stores: tuple[Path, ...] = ()) -> Entry:
    model, dataset = config.get("model", {}), config.get("dataset", {})
    n_prompts = dataset.get("n_prompts")
    data = dataset.get("name", "") + (f" {n_prompts}" if n_prompts else "")
    groups = _GROUPS if stores or "trace" not in config else ("trace",)
    settings = " ".join(
        f"{group}.{key}={json.dumps(value)}"
        for group in groups
        for key, value in config.get(group, {}).items()
        if _differs(f"{group}.{key}", value)
    )
    return Entry(path, str(model.get("name")), data, settings, n_bytes, stores)


def _differs(key: str, value: Any) -> bool:
    try:
        return bool(default(key) != value)
    except KeyError:  # of an earlier svt
        return True


def _row(kind: str, entry: Entry, store: str) -> list[str]:
    size = file_size(entry.n_bytes)
    name = re.sub(r"\s+", " ", entry.settings)
    return [kind, str(entry.path), entry.model, entry.data, name, size, store]
