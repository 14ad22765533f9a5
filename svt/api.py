"""The Python API of `svt.open` and `svt.run`: an open run with queries and charts.

1. `Run` opens the same targets as `svt-sql`, read-only (svt/db/target.py): frames are the rows of
   named queries or SQL, charts are the figures of the report.
2. `run_and_open` composes a configuration as the command line does, with Hydra's compose API, runs
   its stages in a run folder and opens the folder.
"""

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import duckdb
import polars as pl

from svt.cli.sql import run_sql
from svt.db.catalog import has_table, list_catalogs
from svt.db.damage import list_attached_files
from svt.db.target import open_target
from svt.errors import SvtError
from svt.paths import expand_home
from svt.query.described import describe_tables
from svt.query.named import count_jobs, list_queries
from svt.query.named import run as run_query

if TYPE_CHECKING:
    import altair as alt


class Run:
    """An open run, sweep or store, read-only.

    `query` and `sql` return Polars frames, `chart` returns an Altair chart; `queries` and `tables`
    list the names for them. It is open until `close`, or to the end of a with block.
    """

    def __init__(self, target: str | Path) -> None:
        """Open `target`; StoreError when it is no run, sweep or store."""
        self.path = expand_home(target)
        self._stack = ExitStack()
        self._opened: duckdb.DuckDBPyConnection | None = self._stack.enter_context(
            open_target(self.path)
        )

    def query(self, name: str, **params: Any) -> pl.DataFrame:
        """Return the rows of a named query: `run.query("upstream_of", layer=5, head=4)`.

        QueryError, with the known names, for an unknown query or parameter.
        """
        return run_query(self._con, name, **params)

    def sql(self, text: str, **values: Any) -> pl.DataFrame:
        """Return the rows of read-only SQL; `values` are bound to its `$names`.

        Bare names of tables are looked up in the results, then in the store. A named query whose
        parameters all have defaults is a view.
        """
        return run_sql(self._con, text, values)

    def chart(self, name: str, **settings: Any) -> "alt.TopLevelMixin":
        """Return a figure: `run.chart("slice_contributions", heads=[[5, 4]])`.

        `settings` are those of `chart.*`: heads, dest_role, src_role, prompt_id, min_firings,
        compare_store. SvtError for an unknown figure or setting, and for a sweep or a store.
        """
        from svt.charts import draw
        from svt.charts.style import for_notebook
        from svt.cli.compose import load_run_config
        from svt.stages.chart import cache_queries, make_context

        chosen = load_run_config(self._run_folder(), **settings)
        with ExitStack() as stack:
            other = chosen.chart.compare_store
            compare = stack.enter_context(open_target(Path(other))) if other else None
            figure = draw(name, cache_queries(self._con), make_context(self._con, chosen, compare))
        return for_notebook(figure.chart)

    def queries(self) -> pl.DataFrame:
        """Return the named queries: query, parameters (with their types and defaults), purpose."""
        rows = [
            {
                "query": query.name,
                "parameters": ", ".join(
                    f"{param.name} {param.type}{param.allowed}"
                    + ("" if param.default is None else f" = {param.default}")
                    for param in query.params
                ),
                "purpose": query.purpose,
            }
            for query in list_queries()
        ]
        return pl.DataFrame(rows)

    def tables(self) -> pl.DataFrame:
        """Return the tables and views: catalog (results or store), table, comment."""
        return describe_tables(self._con).rename({"name": "table", "meaning": "comment"})

    def close(self) -> None:
        """Close the files; frames and charts that were returned stay valid."""
        self._opened = None
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """Return kind, path and content: `<run outputs/X: smollm2, 16 prompts, 9 edges shown>`."""
        return f"<{self._describe()}>"

    @property
    def _con(self) -> duckdb.DuckDBPyConnection:
        if self._opened is None:
            raise SvtError(f"{self.path} was closed; open it once more with svt.open")
        return self._opened

    def _describe(self) -> str:
        if self._opened is None:
            return f"closed: {self.path}"
        if n_jobs := count_jobs(self._con):
            return f"sweep {self.path}: {n_jobs} jobs"
        parts = []
        if has_table(self._con, "store", "dump"):
            rows = self._con.execute(
                "SELECT model_name, (SELECT count(*) FROM store.prompts) FROM store.dump"
            ).fetchall()
            parts += [f"{model}, {n_prompts} prompts" for model, n_prompts in rows]
        if not has_table(self._con, "results", "run"):
            return f"store {self.path}: {', '.join(parts)}"
        shown = run_query(self._con, "shown_edges").height if parts else None
        parts += [f"{shown} edges shown"] if shown is not None else []
        return f"run {self.path}: {', '.join(parts) or 'its store is gone'}"

    def _run_folder(self) -> Path:
        if "results" not in list_catalogs(self._con):
            raise SvtError(f"{self.path} is a store alone; figures are drawn of a run's folder")
        if count_jobs(self._con):
            raise SvtError(f"{self.path} is a sweep; open one job's folder, {self.path}/0")
        files = list_attached_files(self._con)
        return next(file.parent for file in files if file.name == "results.duckdb")


def run_and_open(overrides: Sequence[str]) -> Run:
    """Run the stages of a configuration, as `svt` does, and open the run or its stores (step 2).

    SvtError when the run fails.
    """
    from svt.cli.compose import compose_config, compose_overrides
    from svt.cli.explain import explain_error
    from svt.cli.main import lock_run
    from svt.cli.own_files import check_run_folder, remove_temporary_files
    from svt.stages.run import run_stages

    composed, folder = compose_overrides(overrides)
    config = compose_config(composed, overrides)
    if set(config.stages) == {"reference"}:
        raise SvtError("stages=[reference] leaves no run to open; use the command line, svt")
    check_run_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with lock_run(folder), warnings.catch_warnings(action="ignore"):
            remove_temporary_files(folder)
            stores = run_stages(config, folder)
    except Exception as error:
        message = explain_error(error)
        if message is None or isinstance(error, SvtError):
            raise
        raise SvtError(message) from error
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()
    if stores is None or (folder / "results.duckdb").is_file():
        return Run(folder)
    return Run(",".join(map(str, stores.paths)))
