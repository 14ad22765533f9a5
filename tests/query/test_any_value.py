"""Any text as a query's parameter: what its type says it is, or a clear error."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import duckdb
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from svt.errors import SvtError
from svt.query.named import list_queries, run
from svt.query.param import Param
from svt.query.trace import trace
from tests.db.test_stores import rows_of
from tests.marks import examples
from tests.settings import TRACE

QUERIES = [
    query
    for query in list_queries()
    if query.params and "other_" not in query.text and not query.name.startswith("sweep")
]
GIVEN = {"layer": 2, "head": 0, "side": "dest"}  # to queries that ask for a head

texts = st.text(max_size=8) | st.sampled_from(
    [
        *("", " ", "null", "None", "'; drop table run; --", "$layer", "\0", "\ud800", "é", "1_000"),
        *("nan", "-inf", "1e999", "0x10", "9" * 5000, "[" * 5000, "[[Infinity,1]]", "[[1,2]", "{}"),
        *("[[1]]", "[[1,2,3]]", "[[true,1]]", '[["1",2]]', "[1,2]", "[[1e300,1]]", "[[NaN,1]]"),
    ]
)
numbers = st.integers(-3, 40) | st.sampled_from([-(2**31), 2**31 - 1, 2**31, 2**63, 10**30])
right = {
    "INTEGER": numbers.map(str),
    "BIGINT": numbers.map(str),
    "DOUBLE": st.floats(allow_nan=False, allow_infinity=False).map(repr),
    "BOOLEAN": st.sampled_from(["true", "false", "True", "FALSE"]),
    "VARCHAR": st.sampled_from(["end", "IO", "nobody", "any", "", "'", "%", "é"]),
    "INTEGER[][]": st.sampled_from(["[]", "[[2,0]]", "[[2, 0], [1, 1]]", "[[-1,99]]"]),
}
wrong = {
    "INTEGER": r"\s*[+-]?\d+(_\d+)*\s*",
    "DOUBLE": r"\s*[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?\s*",
    "BOOLEAN": "true|false",
    "VARCHAR": r"[^\ud800-\udfff]*",
    "INTEGER[][]": r"\[\s*(\[\s*-?\d+\s*,\s*-?\d+\s*\]\s*,?\s*)*\]",
}
"""What a text of each type looks like; any other text is refused."""


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Three prompts, traced."""
    with rows_of(0, 1, 2).connect(run=[{}]) as con:
        trace(con, replace(TRACE, roots=((2, 0),)))
        yield con


def ask(con: duckdb.DuckDBPyConnection, name: str, **values: Any) -> Any:
    """The rows, their columns being those declared; or the error, which is short and of the query.

    Nothing else than SvtError comes through.
    """
    (query,) = (query for query in QUERIES if query.name == name)
    required = {param.name for param in query.params if param.default is None}
    needed = {key: {**GIVEN, "pair_id": 0}[key] for key in required - values.keys()}
    try:
        frame = run(con, name, **needed, **values)
    except SvtError as error:
        assert str(error).startswith((f"query {name}: ", f"query {name} needs "))
        return error
    assert tuple(frame.columns) == query.columns
    return frame


def one_of(data: st.DataObject) -> tuple[str, Param]:
    query = data.draw(st.sampled_from(QUERIES))
    return query.name, data.draw(st.sampled_from(query.params))


def is_one(param: Param, text: str) -> bool:
    """Whether a text is a value of the parameter."""
    if param.choices:
        return text in param.choices
    if text == "null" and param.default and param.fallback in (None, "null"):
        return True
    kind = {"BIGINT": "INTEGER"}.get(param.type, param.type)
    flags = re.IGNORECASE | re.DOTALL
    looks_right = re.fullmatch(wrong[kind], text, flags) is not None
    looks_right = looks_right and (kind == "VARCHAR" or len(text) < 4000)
    return looks_right and (not param.bounds or param.bounds[0] <= int(text) <= param.bounds[1])


@settings(max_examples=examples(350), deadline=None)
@given(data=st.data(), text=texts)
def test_what_is_no_value_is_refused_by_name(
    con: duckdb.DuckDBPyConnection, data: st.DataObject, text: str
) -> None:
    name, param = one_of(data)
    got = ask(con, name, **{param.name: text})
    if not is_one(param, text):
        assert isinstance(got, SvtError)
        assert f"{param.name}=" in str(got)


@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
def test_a_text_gives_what_the_value_gives(
    con: duckdb.DuckDBPyConnection, data: st.DataObject
) -> None:
    name, param = one_of(data)
    text = data.draw(st.sampled_from(param.choices) if param.choices else right[param.type])
    assume(len(text) < 4 or param.name != "draws")  # a hundred thousand take their time
    got = ask(con, name, **{param.name: text})
    read = {"DOUBLE": float, "BOOLEAN": lambda text: text.lower() == "true", "VARCHAR": str}
    value = eval(text) if "INT" in param.type else read[param.type](text)
    other = ask(con, name, **{param.name: value})
    if isinstance(got, SvtError):
        assert str(got) == str(other)
    else:
        assert got.equals(other)
