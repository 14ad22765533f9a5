"""Sweeps: collect the results of all jobs in one sweep.duckdb.

1. When Hydra starts a multirun, files of an earlier sweep's jobs are removed from its folder. Every
   job, in any process, writes `job.json` into its subfolder: status, stores, values of swept keys.
2. When the multirun ends, even by a failure, the results tables of all finished jobs are
   concatenated, with the columns `job`, `status` and one for each swept key (dots as underscores).
3. A job without results (it failed, or only dumped) has a row with its status in the table `run`.
4. The query `sweep` is drawn as sweep.<format>, in the size and font of chart.*.
5. Where models were swept, their circuits are drawn side by side as sweep_roles.<format>.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
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
from svt.store.results import open_results
from svt.store.writer import DISK_ERRORS
from svt.system.atomic import temporary_path, write_atomically
from svt.system.shell import find_command, format_override
from svt.system.text import first_line

NAME = "sweep.duckdb"
_NUMBER = "${hydra.job.num}"
_HYDRA_FILE = "multirun.yaml"

FOLDERS: list[Path] = []
"""Folders of the multiruns that `SweepStart`, which Hydra itself creates, has prepared."""


class SweepStart(Callback):
    """Hydra's callback that prepares and records the folder of a multirun (step 1)."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        try:
            _check_subdir(config)
            check_sweep_folder(folder)
        except SvtError as error:  # Hydra would only log a warning
            say(f"svt: {error}")
            raise SystemExit(1) from error
        FOLDERS.append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for earlier in filter(is_job, find_jobs(folder).values()):
            earlier.unlink()
        overrides: Any = OmegaConf.to_container(config.hydra.overrides.task)
        swept = [
            override.key_or_group
            for override in OverridesParser.create().parse_overrides(overrides)
            if override.is_sweep_override()
        ]
        write_atomically(folder / KEYS, json.dumps({"keys": swept}).encode())


def _check_subdir(config: DictConfig) -> None:
    """Raise ConfigError unless the folders of jobs are named by their numbers."""
    settings: Any = OmegaConf.to_container(config.hydra.sweep)
    if settings["subdir"] != _NUMBER:
        raise ConfigError(
            f"hydra.sweep.subdir={settings['subdir']}: the folders of a sweep's jobs are their "
            "numbers; leave it out, or choose their parent with hydra.sweep.dir=DIR"
        )


class Job:
    """A job of a sweep, whose status, stores and values it writes into job.json (step 1)."""

    def __init__(self, at: Path, overrides: list[str], choices: Mapping[str, Any]) -> None:
        self._at = at
        self._values = {
            o.key_or_group: choices.get(o.key_or_group, o.value())
            for o in OverridesParser.create().parse_overrides(overrides)
        }
        self.write("started, but did not end")

    def write(self, status: str, stores: Stores | None = None) -> None:
        self._at.mkdir(parents=True, exist_ok=True)
        paths = [str(path) for path in (stores.paths if stores else ())]
        content = {"status": status, "stores": paths, "values": self._values}
        write_atomically(self._at / JOB, json.dumps(content, default=str).encode())


def collect(at: Path) -> bool:
    """Write `at`/sweep.duckdb from its jobs (steps 2 to 5); return whether every job succeeded."""
    jobs = {number: _read_job(path) for number, path in find_jobs(at).items()}
    if not jobs:  # the sweep was refused before its first job
        for file in (KEYS, _HYDRA_FILE):
            (at / file).unlink(missing_ok=True)
        with suppress(OSError):  # the folder holds other files
            at.rmdir()
        return True
    try:
        keys = json.loads((at / KEYS).read_text())["keys"]
    except (OSError, ValueError, KeyError, TypeError):
        say(f"svt: {at / KEYS} cannot be read, so the jobs cannot be collected; they are complete")
        return False
    tables: dict[str, list[pl.DataFrame]] = {"run": []}
    for number, job in sorted(jobs.items()):  # 2
        marks = {"job": number, "status": job["status"]} | {
            key.replace(".", "_"): _scalar(job["values"].get(key)) for key in keys
        }
        try:
            results = _read_results(at / str(number) / RESULTS) if job["status"] == "done" else {}
        except SvtError as error:
            marks["status"] = job["status"] = f"its {RESULTS} cannot be read: {error}"
            results = {}
        for table, rows in (results or {"run": pl.DataFrame({"status": [None]})}).items():  # 3
            own = rows.drop("status", strict=False)
            tables.setdefault(table, []).append(
                own.select(*(pl.lit(value).alias(name) for name, value in marks.items()), "*")
            )
    try:
        with temporary_path(at / NAME) as temporary, duckdb.connect(str(temporary)) as con:
            for table, parts in tables.items():
                if parts:
                    con.register("stacked", pl.concat(parts, how="diagonal_relaxed"))
                    con.execute(f'CREATE TABLE "{table}" AS SELECT * FROM stacked')
                    con.unregister("stacked")
            con.execute("CHECKPOINT")
    except DISK_ERRORS as error:
        say(f"svt: could not write {at / NAME}: {first_line(error)}; the jobs are complete")
        return False
    failed = [n for n, job in sorted(jobs.items()) if job["status"] != "done"]
    succeeded = not failed
    if "evaluation" in tables:
        try:
            _draw(at, [key.replace(".", "_") for key in keys])  # 4, 5
        except SvtError as error:
            say(f"svt: {error}")
            succeeded = False
    _report(at, jobs, failed, only_dumped=len(tables) == 1)
    return succeeded


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


def find_jobs(at: Path) -> dict[int, Path]:
    """Return the paths of the jobs' job.json, by job number."""
    paths = at.glob(f"*/{JOB}")
    return {int(path.parent.name): path for path in paths if path.parent.name.isdecimal()}


def _read_job(path: Path) -> dict[str, Any]:
    """Return the content of a job.json; a status that says so when it cannot be read."""
    try:
        job: dict[str, Any] = json.loads(path.read_text())
        return {"status": str(job["status"]), "stores": [], "values": dict(job["values"])} | job
    except (OSError, ValueError, KeyError, TypeError):
        return {"status": f"its {JOB} cannot be read", "stores": [], "values": {}}


def _read_results(path: Path) -> dict[str, pl.DataFrame]:
    """Return the tables of a job's results by name; none without results."""
    if not path.is_file():
        return {}
    with open_results(path) as con:
        names = [name for (name,) in con.execute("SHOW TABLES").fetchall()]
        return {name: con.table(name).pl() for name in names}


def _scalar(value: Any) -> Any:
    """Return a value for a cell; lists and the like as JSON."""
    return value if value is None or isinstance(value, int | float | str) else json.dumps(value)


def _report(
    at: Path, jobs: Mapping[int, Mapping[str, Any]], failed: list[int], only_dumped: bool
) -> None:
    say(f"\nsweep: {len(jobs) - len(failed)} of {len(jobs)} jobs done, together in {at / NAME}")
    if failed:
        say(f"failed jobs: {', '.join(map(str, failed))}; their messages are in its table run")
    if len(failed) == len(jobs):
        return
    if not only_dumped:
        sql, done = find_command("svt-sql"), min(jobs.keys() - {*failed})
        say(f"next: {sql} {quote(str(at))} sweep")
        one = format_override("run.path", at / str(done))
        say(f'one job, drawn: {find_command("svt")} {one} "stages=[chart,report]"')
        return
    stores = {store for job in jobs.values() for store in job["stores"]}
    shards = {re.sub(r"-shard-\d+-of-(\d+)-.*", r"-shard-*-of-\1-*.duckdb", s) for s in stores}
    if len(shards) == 1 < len(stores):
        say(f"next: {find_command('svt')} \"store.path='{shards.pop()}'\"")
