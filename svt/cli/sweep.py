"""Sweeps: many jobs' results together in one sweep.duckdb.

1. Hydra says where the sweep's folder is when it starts, and what jobs of an earlier sweep said
   there is forgotten; every job, in this process or another, leaves `job.json` in its own
   subfolder: status, stores, the values of the swept keys.
2. When the multirun ends, also by a job's failure, every results table of every finished job is
   read, gets the columns `job`, `status` and one per swept key (dots as underscores), and is
   stacked onto the others'.
3. A job without results (it failed, or only dumped) stands in the table `run` with its status.
4. The query `sweep` over all that is drawn as sweep.<format>, in the look that chart.* says.
5. Where models were swept, their circuits are drawn side by side as sweep_roles.<format>.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from shlex import quote
from typing import Any

import duckdb
import polars as pl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from svt.charts import Figure, Look, export
from svt.charts import sweep as sweep_chart
from svt.charts.style import Chart
from svt.charts.sweep_roles import sweep_roles
from svt.cli.console import say
from svt.cli.own_files import JOB, KEYS, check_sweep_folder, is_job
from svt.db.stores import Stores
from svt.db.target import open_target
from svt.errors import ConfigError, SvtError
from svt.query.named import run
from svt.store.results import NAME as RESULTS
from svt.store.results import reading_results
from svt.store.writer import DISK_ERRORS
from svt.system.atomic import aside, write_atomically
from svt.system.shell import command, override
from svt.system.text import first_line

NAME = "sweep.duckdb"
_NUMBER = "${hydra.job.num}"
_OF_HYDRA = "multirun.yaml"

_FOLDERS: ContextVar[list[Path]] = ContextVar("folders of multiruns")


@contextmanager
def noting_folder() -> Iterator[list[Path]]:
    """Yield a list that gets the folder of the multirun that starts within the block, if one does.

    Hydra makes `SweepStart` itself, so that this is the way from there to the entry point.
    """
    folders: list[Path] = []
    token = _FOLDERS.set(folders)
    try:
        yield folders
    finally:
        _FOLDERS.reset(token)


class SweepStart(Callback):
    """Hydra's callback of step 1: prepare the folder of the multirun that starts, and note it."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        try:
            _check_subdir(config)
            check_sweep_folder(folder)
        except SvtError as error:  # Hydra would only warn of it
            say(f"svt: {error}")
            raise SystemExit(1) from error
        _FOLDERS.get([]).append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for earlier in filter(is_job, _said(folder).values()):
            earlier.unlink()
        told: Any = OmegaConf.to_container(config.hydra.overrides.task)
        swept = [
            override.key_or_group
            for override in OverridesParser.create().parse_overrides(told)
            if override.is_sweep_override()
        ]
        write_atomically(folder / KEYS, json.dumps({"keys": swept}).encode())


def _check_subdir(config: DictConfig) -> None:
    """Raise ConfigError for names of jobs' folders that are not their numbers."""
    told: Any = OmegaConf.to_container(config.hydra.sweep)
    if told["subdir"] != _NUMBER:
        raise ConfigError(
            f"hydra.sweep.subdir={told['subdir']}: the folders of a sweep's jobs are their "
            "numbers; leave it out, or choose where they stand with hydra.sweep.dir=DIR"
        )


def has_jobs(at: Path) -> bool:
    return bool(_said(at))


class Job:
    """What a job of a sweep says of itself."""

    def __init__(self, at: Path, overrides: list[str], choices: Mapping[str, Any]) -> None:
        self._at, self._stores = at, list[str]()
        self._values = {
            o.key_or_group: choices.get(o.key_or_group, o.value())
            for o in OverridesParser.create().parse_overrides(overrides)
        }
        self._write("started, but did not end")

    def done(self, stores: Stores | None) -> None:
        self._stores = [str(path) for path in (stores.paths if stores else ())]
        self._write("done")

    def failed(self, message: str) -> None:
        self._write(message)

    def _write(self, status: str) -> None:
        self._at.mkdir(parents=True, exist_ok=True)
        content = {"status": status, "stores": self._stores, "values": self._values}
        write_atomically(self._at / JOB, json.dumps(content, default=str).encode())


def collect(at: Path) -> bool:
    """Writes `at`/sweep.duckdb from the jobs below; returns whether every job is done."""
    jobs = {number: _job(path) for number, path in _said(at).items()}
    if not jobs:  # the sweep was refused before its first job
        for file in (KEYS, _OF_HYDRA):
            (at / file).unlink(missing_ok=True)
        with suppress(OSError):  # the folder holds what somebody else put there
            at.rmdir()
        return True
    try:
        keys = json.loads((at / KEYS).read_text())["keys"]
    except (OSError, ValueError, KeyError, TypeError):
        say(f"svt: {at / KEYS} cannot be read, so the jobs cannot be put together; they are whole")
        return False
    tables: dict[str, list[pl.DataFrame]] = {"run": []}
    for number, job in sorted(jobs.items()):  # 2
        marks = {"job": number, "status": job["status"]} | {
            key.replace(".", "_"): _scalar(job["values"].get(key)) for key in keys
        }
        try:
            results = _read(at / str(number) / RESULTS) if job["status"] == "done" else {}
        except SvtError as error:
            told = f"its {RESULTS} cannot be read: {error}"
            marks["status"] = job["status"] = told
            results = {}
        if results:
            for table, rows in results.items():
                own = rows.drop("status", strict=False)
                tables.setdefault(table, []).append(
                    own.select(*(pl.lit(value).alias(name) for name, value in marks.items()), "*")
                )
        else:  # 3
            tables["run"].append(pl.DataFrame({name: [value] for name, value in marks.items()}))
    try:
        with aside(at / NAME) as temporary, duckdb.connect(str(temporary)) as con:
            for table, parts in tables.items():
                if parts:
                    con.register("stacked", pl.concat(parts, how="diagonal_relaxed"))
                    con.execute(f'CREATE TABLE "{table}" AS SELECT * FROM stacked')
                    con.unregister("stacked")
            con.execute("CHECKPOINT")
    except DISK_ERRORS as error:
        say(f"svt: could not write {at / NAME}: {first_line(error)}; the jobs' are whole")
        return False
    failed = [n for n, job in sorted(jobs.items()) if job["status"] != "done"]
    whole = not failed
    if "evaluation" in tables:
        try:
            _draw(at, [key.replace(".", "_") for key in keys])  # 4, 5
        except SvtError as error:
            say(f"svt: {error}")
            whole = False
    _tell(at, jobs, failed, only_dumped=len(tables) == 1)
    return whole


def _draw(at: Path, keys: list[str]) -> None:
    with open_target(at / NAME) as con:
        jobs = run(con, "sweep")
        ((config,),) = con.execute(
            "SELECT config FROM run WHERE config IS NOT NULL LIMIT 1"
        ).fetchall()
        chosen = json.loads(config)["chart"]
        charts: dict[str, Chart] = {"sweep": sweep_chart(jobs, keys=keys)}
        if any(key == "model" or key.startswith("model_") for key in keys):  # 5
            roles, overlap = run(con, "sweep_roles"), run(con, "sweep_overlap")
            names = {row["job"]: " ".join(str(row[key]) for key in keys) for row in jobs.to_dicts()}
            charts["sweep_roles"] = sweep_roles(roles, overlap, names)
        look = Look(*(chosen.get(key) for key in ("width", "height", "font")))
        for name, chart in charts.items():
            figure = Figure(name, name, "", chart)
            export(figure.standalone(chosen.get("title", "auto")), at, name, chosen["format"], look)


def _said(at: Path) -> dict[int, Path]:
    """What the jobs below left, by their numbers."""
    found = at.glob(f"*/{JOB}")
    return {int(path.parent.name): path for path in found if path.parent.name.isdecimal()}


def _job(path: Path) -> dict[str, Any]:
    """What a job said of itself, or that this cannot be read."""
    try:
        job: dict[str, Any] = json.loads(path.read_text())
        return {"status": str(job["status"]), "stores": [], "values": dict(job["values"])} | job
    except (OSError, ValueError, KeyError, TypeError):
        return {"status": f"its {JOB} cannot be read", "stores": [], "values": {}}


def _read(path: Path) -> dict[str, pl.DataFrame]:
    """The tables of a job's results; none if it left none."""
    if not path.is_file():
        return {}
    with reading_results(path) as con:
        names = [name for (name,) in con.execute("SHOW TABLES").fetchall()]
        return {name: con.table(name).pl() for name in names}


def _scalar(value: Any) -> Any:
    """Lists and the like stand in their cell as JSON."""
    return value if value is None or isinstance(value, int | float | str) else json.dumps(value)


def _tell(
    at: Path, jobs: Mapping[int, Mapping[str, Any]], failed: list[int], only_dumped: bool
) -> None:
    say(f"\nsweep: {len(jobs) - len(failed)} of {len(jobs)} jobs done, together in {at / NAME}")
    if failed:
        say(f"failed jobs: {', '.join(map(str, failed))}; their messages are in its table run")
    if len(failed) == len(jobs):
        return
    if not only_dumped:
        sql, done = command("svt-sql"), min(jobs.keys() - {*failed})
        say(f"next: {sql} {quote(str(at))} sweep")
        one = override("run.path", at / str(done))
        say(f'one job, drawn: {command("svt")} {one} "stages=[chart,report]"')
        return
    stores = {store for job in jobs.values() for store in job["stores"]}
    shards = {re.sub(r"-shard-\d+-of-(\d+)-.*", r"-shard-*-of-\1-*.duckdb", s) for s in stores}
    if len(shards) == 1 < len(stores):
        say(f"next: {command('svt')} \"store.path='{shards.pop()}'\"")
