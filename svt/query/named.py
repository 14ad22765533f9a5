"""Named queries: one statement a file of sql/queries, its header says what it takes and gives.

    -- purpose: what the rows tell
    -- params: coverage DOUBLE share of the total [= trace.coverage]
    --         side VARCHAR{dest,src} token written into
    --         draws INTEGER{0..100000} draws of the bootstrap [= 400]
    -- grain: [pair, side, upstream]
    -- columns: pair_id, side, up_layer, up_head
    -- needs: dump.all_slices

1. A parameter with a default may be left out; a key of the configuration is the run's own setting,
   or the default of conf/ where no run is or several runs differ.
2. A value given as text (`svt-sql ... name=value`) is read as the parameter's type, within the
   choices or the bounds in its braces (svt/query/param.py).
3. Values are bound to the statement's `$name`, never pasted into it.
4. What needs contributions through all slices, or effects, is refused where the store was dumped
   without them. `needs` says so of a query that always does; others do with the parameter
   slices=all or rule=effect.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from svt.db.catalog import catalogs, has_table
from svt.db.damage import check_damage, files_of
from svt.db.stores import Stores
from svt.errors import QueryError, suggestion
from svt.paths import sql_dir
from svt.query.exact import frame_of
from svt.query.param import Param, declared, read_value
from svt.query.refusals import OPTIONAL, check_stored
from svt.system.text import first_line

SWEEP = "sweep"
"""What the names of queries over all jobs of a sweep begin with."""

_FIELD = re.compile(r"^-- (purpose|params|grain|columns|needs): (.*)$")
_CONTINUED = re.compile(r"^-- {3,}(\S.*)$")


@dataclass(frozen=True)
class Query:
    """One named query as its file declares it."""

    name: str
    purpose: str
    params: tuple[Param, ...]
    grain: str
    columns: tuple[str, ...]
    text: str
    needs: tuple[str, ...] = ()
    """Settings of the dump without which the store cannot answer it."""


def query_names() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in _folder().glob("*.sql")))


def list_queries() -> tuple[Query, ...]:
    """Every named query, by name."""
    return tuple(load_query(name) for name in query_names())


def load_query(name: str) -> Query:
    """The query of that name; QueryError names the ones there are."""
    if name not in query_names():
        names = query_names()
        near = suggestion(name, names)
        raise QueryError(f"no query {name}; there are: {', '.join(names)}{near}")
    return parse_query(name, (_folder() / f"{name}.sql").read_text(encoding="utf-8"))


def parse_query(name: str, text: str) -> Query:
    """A query file's text as a Query; QueryError when its header does not hold what it must."""
    fields: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if match := _FIELD.match(line):
            current = fields.setdefault(match[1], [])
            current.append(match[2].strip())
        elif match := _CONTINUED.match(line):
            current.append(match[1].strip())
        else:
            break
    missing = [
        field for field in ("purpose", "params", "grain", "columns") if not fields.get(field)
    ]
    if missing:
        raise QueryError(f"query {name}: its header lacks {', '.join(missing)}")
    needs = tuple(need.strip() for line in fields.get("needs", ()) for need in line.split(","))
    if unknown := set(needs) - set(OPTIONAL):
        raise QueryError(f"query {name}: its header needs {', '.join(sorted(unknown))}")
    lines = () if fields["params"] == ["none"] else fields["params"]
    return Query(
        name=name,
        purpose=" ".join(fields["purpose"]),
        params=tuple(declared(name, line) for line in lines),
        grain=" ".join(fields["grain"]),
        columns=tuple(column.strip() for column in " ".join(fields["columns"]).split(",")),
        text=text,
        needs=needs,
    )


def run(con: duckdb.DuckDBPyConnection, name: str, **values: Any) -> pl.DataFrame:
    """The rows of a named query; enumerations come as text.

    `values` are its parameters, typed or as text. QueryError for an unknown query, an unknown or
    missing parameter, a value of another type, or results that the connection does not have; and
    on a sweep of several jobs, whose rows only the queries `sweep...` keep apart, which in turn ask
    nothing else.
    """
    query = load_query(name)
    n_jobs = n_jobs_of(con)
    if n_jobs > 1 and not name.startswith(SWEEP):
        raise QueryError(
            f"query {name}: this is a sweep of {n_jobs} jobs; give one job's folder, SWEEP/0, or "
            f"use one of the queries {', '.join(q for q in query_names() if q.startswith(SWEEP))}"
        )
    if n_jobs == 0 and name.startswith(SWEEP):
        raise QueryError(
            f"query {name}: this is no sweep; name a sweep's folder, outputs/sweeps/..."
        )
    _check_other(con, query)
    bound = bind(con, query, values)
    check_needs(con, query, bound)
    try:
        return frame_of(con, query.text, bound)
    except duckdb.CatalogException as error:
        raise QueryError(f"query {name}: {missing(con) or first_line(error)}") from error
    except duckdb.Error as error:
        check_damage(error, files_of(con))
        raise QueryError(f"query {name}: {first_line(error)}") from error


def check_needs(con: duckdb.DuckDBPyConnection, query: Query, bound: Mapping[str, Any]) -> None:
    """SvtError where the store lacks what the query, or a value of its parameters, needs."""
    for setting in dict.fromkeys((*query.needs, *_needed_by(bound))):
        check_stored(f"query {query.name}", setting, _stores(con, setting))


def missing(con: duckdb.DuckDBPyConnection) -> str:
    """What the connection lacks, with what to do, empty when it has both files."""
    if not has_table(con, "results", "run"):
        return "this is a store alone, without results; give a run folder"
    if has_table(con, "store", "dump"):
        return ""
    stores = _of_run(con, "store_path")
    if len(stores) > 1:
        return f"the jobs used {len(stores)} stores; give one job's folder, SWEEP/0"
    if stores:
        gone = Stores.from_text(stores[0])
        return f"the store of these results, {gone}, is gone; make the run anew"
    return "there is no store beside these results; give a run folder"


def has_all_slices(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the store holds contributions through all slices; true without a store."""
    return _stores(con, "dump.all_slices")


def has_effects(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the store holds the weight without each writer; true without a store."""
    return _stores(con, "dump.effects")


def _stores(con: duckdb.DuckDBPyConnection, setting: str) -> bool:
    """Whether the store was dumped with a setting of OPTIONAL; true without a store."""
    if not has_table(con, "store", "dump"):
        return True
    rows = con.execute("SELECT config->>? FROM store.dump", [f"$.{setting}"]).fetchall()
    return rows in ([], [("true",)])


def _needed_by(bound: Mapping[str, Any]) -> list[str]:
    """The settings of OPTIONAL that a query's parameters need."""
    all_slices = ["dump.all_slices"] if bound.get("slices") == "all" else []
    return all_slices + (["dump.effects"] if bound.get("rule") == "effect" else [])


def _check_other(con: duckdb.DuckDBPyConnection, query: Query) -> None:
    """QueryError when the query asks a second target that is not there, or is a sweep."""
    there = {name for name in catalogs(con) if name.startswith("other_")}
    wanted = {name for name in ("other_results", "other_store") if f"{name}." in query.text}
    if not wanted:
        return
    if not there:
        raise QueryError(
            f"query {query.name}: it sets two targets side by side; name the second, "
            f"svt-sql RUN --other TARGET {query.name}"
        )
    for name in sorted(wanted - there):
        lacks = "results" if name == "other_results" else "a store"
        raise QueryError(
            f"query {query.name}: the other target is without {lacks}; name a whole run"
        )
    if n_jobs_of(con, "other_results") > 1:
        raise QueryError(
            f"query {query.name}: the other target is a sweep; give one job's folder, SWEEP/0"
        )


def n_jobs_of(con: duckdb.DuckDBPyConnection, catalog: str = "results") -> int:
    """The jobs of a sweep; 0 for one run's results, or none."""
    return len(_of_run(con, "job", catalog))


def _of_run(con: duckdb.DuckDBPyConnection, column: str, catalog: str = "results") -> list[Any]:
    """The distinct values of a column of the table run, without null; none if it is not there."""
    try:
        found = con.execute(
            f"SELECT DISTINCT r.{column} FROM {catalog}.run AS r "
            f"WHERE r.{column} IS NOT NULL ORDER BY 1"
        )
    except (duckdb.CatalogException, duckdb.BinderException):
        return []
    return [value for (value,) in found.fetchall()]


def bind(con: duckdb.DuckDBPyConnection, query: Query, values: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of the query with its value, given or by default (steps 1 and 2)."""
    known = ", ".join(param.name for param in query.params) or "none"
    for name in values:
        if name not in {param.name for param in query.params}:
            near = suggestion(name, (param.name for param in query.params))
            raise QueryError(
                f"query {query.name} has no parameter {name}; its parameters: {known}{near}"
            )
    bound = {}
    for param in query.params:
        if param.name in values:
            bound[param.name] = read_value(query.name, param, values[param.name])
        elif param.default is None:
            raise QueryError(
                f"query {query.name} needs {param.name} ({param.meaning}); its parameters: {known}"
            )
        else:
            bound[param.name] = read_value(query.name, param, _default(con, param))
    return bound


def _default(con: duckdb.DuckDBPyConnection, param: Param) -> Any:
    if param.key is None:
        return param.fallback
    value = _of_the_run(con, param.key, "results" if param.run == "run" else "other_results")
    return param.fallback if value is None else value


def _of_the_run(con: duckdb.DuckDBPyConnection, key: str, catalog: str) -> str | None:
    """A setting of the run, if there is one run here or all agree, as text."""
    if not has_table(con, catalog, "run"):
        return None
    found = con.execute(f"SELECT DISTINCT config->>? FROM {catalog}.run", [f"$.{key}"]).fetchall()
    return found[0][0] if len(found) == 1 else None


def _folder() -> Path:
    return sql_dir() / "queries"
