"""Make named queries available as views, so that SQL can select from them as from tables.

1. A query whose parameters all have defaults is a view of the same name with these defaults, unless
   a table has that name.
2. A view takes no parameters, so their values are written into its text as literals.
3. Only views that the SQL text mentions are made, as temporary views: no file is changed.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from svt.db.catalog import list_tables
from svt.errors import SvtError
from svt.query.named import (
    SWEEP,
    Query,
    bind,
    check_needs,
    count_jobs,
    list_queries,
    load_query,
    query_names,
)
from svt.system.text import first_line

_PARAM = re.compile(r"\$(\w+)")


def make_views(con: duckdb.DuckDBPyConnection, text: str) -> list[str]:
    """Make the views that SQL mentions (steps 2 and 3); return why any could not be made.

    A failure is not an error here, as the text may use the name for something else.
    """
    reasons = []
    words = set(re.findall(r"\w+", text))
    table_names = list_tables(con, "results") | list_tables(con, "store")
    for name in sorted(words & set(query_names()) - table_names):
        query = load_query(name)
        if _is_view(con, query):
            try:
                bound = bind(con, query, {})
                check_needs(con, query, bound)
                con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {_inline_values(query, bound)}")
            except SvtError as error:
                reasons.append(str(error))
            except duckdb.Error as error:  # without results, or without a store
                reasons.append(f"query {name}: {first_line(error)}")
    return reasons


def view_queries(con: duckdb.DuckDBPyConnection) -> Iterator[Query]:
    """Yield the queries that are views of this target (step 1)."""
    table_names = list_tables(con, "results") | list_tables(con, "store")
    for query in list_queries():
        if query.name not in table_names and _is_view(con, query):
            yield query


def _is_view(con: duckdb.DuckDBPyConnection, query: Query) -> bool:
    n_jobs = count_jobs(con)
    applies = n_jobs > 0 if query.name.startswith(SWEEP) else n_jobs <= 1
    one_target = "other_results." not in query.text and "other_store." not in query.text
    return applies and one_target and all(param.default is not None for param in query.params)


def _inline_values(query: Query, bound: Mapping[str, Any]) -> str:
    """Return the text of a query with its parameters replaced by literals (step 2)."""
    return _PARAM.sub(
        lambda match: to_literal(bound[match[1]]) if match[1] in bound else match[0], query.text
    )


def to_literal(value: Any) -> str:
    """Return the SQL literal of a parameter's value (step 2)."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list):
        return f"[{', '.join(map(to_literal, value))}]"
    return repr(value).lower() if isinstance(value, bool) else repr(value)
