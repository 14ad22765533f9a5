"""Run named queries: each file of sql/queries holds one statement with a header that declares it.

    -- purpose: what the rows show
    -- params: coverage DOUBLE share of the total [= trace.coverage]
    --         side VARCHAR{dest,src} token written to
    --         draws INTEGER{0..100000} draws of the bootstrap [= 400]
    -- grain: [pair, side, upstream]
    -- columns: pair_id, side, up_layer, up_head
    -- needs: dump.all_slices

1. A parameter with a default is optional. A default that is a key of the configuration is the run's
   setting, or that of conf/ without a run or where runs differ.
2. A value as text (`svt-sql ... name=value`) is converted to the parameter's type and must be one
   of the choices or within the bounds in the braces (svt/query/param.py).
3. Values are bound to the statement's `$name`, never inserted into its text.
4. A query that requires contributions through all slices, or effects, is refused on a store dumped
   without them: with `needs` always, otherwise with the parameter slices=all or rule=effect.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from svt.db.catalog import has_table, list_catalogs
from svt.db.damage import check_damage, list_attached_files
from svt.db.stores import Stores
from svt.errors import QueryError, suggestion
from svt.paths import read_sql, sql_dir
from svt.query.exact import fetch_frame
from svt.query.param import Param, parse_param, read_value
from svt.query.refusals import OPTIONAL, check_stored
from svt.system.text import first_line

SWEEP = "sweep"
"""Prefix of the names of queries over all jobs of a sweep."""

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
    """Settings of the dump that the query requires."""


def query_names() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in (sql_dir() / "queries").glob("*.sql")))


def list_queries() -> tuple[Query, ...]:
    """Return every named query, ordered by name."""
    return tuple(load_query(name) for name in query_names())


def load_query(name: str) -> Query:
    """Return the query with that name; QueryError lists the known names."""
    if name not in query_names():
        names = query_names()
        near = suggestion(name, names)
        raise QueryError(f"no query {name}; there are: {', '.join(names)}{near}")
    return parse_query(name, read_sql(f"queries/{name}"))


def parse_query(name: str, text: str) -> Query:
    """Return the Query that a file's text declares; QueryError when its header is incomplete."""
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
        params=tuple(parse_param(name, line) for line in lines),
        grain=" ".join(fields["grain"]),
        columns=tuple(column.strip() for column in " ".join(fields["columns"]).split(",")),
        text=text,
        needs=needs,
    )


def run(con: duckdb.DuckDBPyConnection, name: str, **values: Any) -> pl.DataFrame:
    """Return the rows of a named query, with enumerations as text.

    `values` are its parameters, typed or as text. QueryError for an unknown query, an unknown or
    missing parameter, a value of another type, a head that the model lacks, a catalog that the
    connection lacks, or a sweep of more than one job, which only the queries `sweep...` support, as
    they support nothing else.
    """
    query = load_query(name)
    n_jobs = count_jobs(con)
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
    _check_head(con, name, bound)
    try:
        return fetch_frame(con, query.text, bound)
    except duckdb.CatalogException as error:
        raise QueryError(f"query {name}: {explain_missing(con) or first_line(error)}") from error
    except duckdb.Error as error:
        check_damage(error, list_attached_files(con))
        raise QueryError(f"query {name}: {first_line(error)}") from error


def _check_head(con: duckdb.DuckDBPyConnection, name: str, bound: Mapping[str, Any]) -> None:
    """Raise QueryError for a layer or head that the model does not have."""
    place = {what: bound[what] for what in ("layer", "head") if bound.get(what) is not None}
    if not place or not has_table(con, "store", "dump"):
        return
    for shape in con.execute("SELECT n_layers, n_heads FROM store.dump").fetchall():
        for what, n in zip(("layer", "head"), shape, strict=True):
            if what in place and not 0 <= place[what] < n:
                raise QueryError(
                    f"query {name}: {what}={place[what]}: there are {what}s 0 to {n - 1}"
                )


def check_needs(con: duckdb.DuckDBPyConnection, query: Query, bound: Mapping[str, Any]) -> None:
    """Raise ConfigError when the store lacks data the query or its parameters need (step 4)."""
    needs = set(query.needs)
    needs |= {"dump.all_slices"} if bound.get("slices") == "all" else set()
    needs |= {"dump.effects"} if bound.get("rule") == "effect" else set()
    for setting in sorted(needs):
        check_stored(f"query {query.name}", setting, is_stored(con, setting))


def explain_missing(con: duckdb.DuckDBPyConnection) -> str:
    """Return which catalog the connection lacks and what to do; empty when it has both."""
    if not has_table(con, "results", "run"):
        return "this is a store alone, without results; give a run folder"
    if has_table(con, "store", "dump"):
        return ""
    stores = _distinct_values(con, "store_path")
    if len(stores) > 1:
        return f"the jobs used {len(stores)} stores; give one job's folder, SWEEP/0"
    if stores:
        gone = Stores.from_text(stores[0])
        return f"the store of these results, {gone}, is gone; repeat the run"
    return "there is no store beside these results; give a run folder"


def is_stored(con: duckdb.DuckDBPyConnection, setting: str) -> bool:
    """Return whether the store was dumped with a setting of OPTIONAL; True without a store."""
    if not has_table(con, "store", "dump"):
        return True
    rows = con.execute("SELECT config->>? FROM store.dump", [f"$.{setting}"]).fetchall()
    return rows in ([], [("true",)])


def _check_other(con: duckdb.DuckDBPyConnection, query: Query) -> None:
    """Raise QueryError when the query reads a second target that is missing or a sweep."""
    attached = {name for name in list_catalogs(con) if name.startswith("other_")}
    wanted = {name for name in ("other_results", "other_store") if f"{name}." in query.text}
    if not wanted:
        return
    if not attached:
        raise QueryError(
            f"query {query.name}: it sets two targets side by side; name the second, "
            f"svt-sql RUN --other TARGET {query.name}"
        )
    for name in sorted(wanted - attached):
        lacks = "results" if name == "other_results" else "a store"
        raise QueryError(
            f"query {query.name}: the other target is without {lacks}; name a whole run"
        )
    if count_jobs(con, "other_results") > 1:
        raise QueryError(
            f"query {query.name}: the other target is a sweep; give one job's folder, SWEEP/0"
        )


def count_jobs(con: duckdb.DuckDBPyConnection, catalog: str = "results") -> int:
    """Return the number of jobs of a sweep, 0 for a run or without results."""
    return len(_distinct_values(con, "job", catalog))


def _distinct_values(
    con: duckdb.DuckDBPyConnection, column: str, catalog: str = "results"
) -> list[Any]:
    """Return the distinct values other than null in a column of the table run, if it exists."""
    try:
        rows = con.execute(
            f"SELECT DISTINCT r.{column} FROM {catalog}.run AS r "
            f"WHERE r.{column} IS NOT NULL ORDER BY 1"
        )
    except (duckdb.CatalogException, duckdb.BinderException):
        return []
    return [value for (value,) in rows.fetchall()]


def bind(con: duckdb.DuckDBPyConnection, query: Query, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every parameter, from `values` or its default (steps 1 and 2)."""
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
    catalog = "results" if param.run == "run" else "other_results"
    values = []
    if has_table(con, catalog, "run"):
        text = f"SELECT DISTINCT config->>? FROM {catalog}.run"
        values = con.execute(text, [f"$.{param.key}"]).fetchall()
    if len(values) != 1 or values[0][0] is None:  # no run, or runs that differ
        return param.fallback
    return values[0][0]
