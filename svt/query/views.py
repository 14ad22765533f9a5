"""Named queries as views, so that SQL of one's own selects from them like from tables.

1. A query whose parameters all have a default is a view of its name, with these defaults: the run's
   settings, as when it is called. A table of that name goes before it.
2. A view takes no parameters, so the values stand in its text, as literals of their type.
3. Only the views that a text names are made, as temporary ones: nothing is written into a file.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from svt.db.catalog import tables
from svt.errors import SvtError
from svt.query.named import (
    SWEEP,
    Query,
    bind,
    check_needs,
    list_queries,
    load_query,
    n_jobs_of,
    query_names,
)
from svt.system.text import first_line

_PARAM = re.compile(r"\$(\w+)")


def make_views(con: duckdb.DuckDBPyConnection, text: str) -> list[str]:
    """Make the views that SQL names (steps 2 and 3); return why one could not be made.

    That is no error yet: the text may use the name for something of its own.
    """
    reasons = []
    words = set(re.findall(r"\w+", text))
    there = tables(con, "results") | tables(con, "store")
    for name in sorted(words & set(query_names()) - there):
        query = load_query(name)
        if _is_view(con, query):
            try:
                bound = bind(con, query, {})
                check_needs(con, query, bound)
                con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {_with_values(query, bound)}")
            except SvtError as error:
                reasons.append(str(error))
            except duckdb.Error as error:  # without results, or without a store
                reasons.append(f"query {name}: {first_line(error)}")
    return reasons


def view_queries(con: duckdb.DuckDBPyConnection) -> Iterator[Query]:
    """The queries that are views of this target (step 1)."""
    there = tables(con, "results") | tables(con, "store")
    for query in list_queries():
        if query.name not in there and _is_view(con, query):
            yield query


def _is_view(con: duckdb.DuckDBPyConnection, query: Query) -> bool:
    of_sweep = query.name.startswith(SWEEP)
    n_jobs = n_jobs_of(con)
    fits = n_jobs > 0 if of_sweep else n_jobs <= 1
    alone = "other_results." not in query.text and "other_store." not in query.text
    return fits and alone and all(param.default is not None for param in query.params)


def _with_values(query: Query, bound: Mapping[str, Any]) -> str:
    """Step 2."""
    return _PARAM.sub(
        lambda match: literal(bound[match[1]]) if match[1] in bound else match[0], query.text
    )


def literal(value: Any) -> str:
    """Return a value of a parameter as SQL (step 2)."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value).lower() if isinstance(value, bool) else repr(value)
