"""Headers, parameters and their values."""

import json
from pathlib import Path
from typing import Any

import pytest

from svt.db.connect import connect
from svt.db.stores import Stores
from svt.errors import SvtError
from svt.query.named import bind, load_query, parse_query, run
from svt.query.param import Param
from tests.store_rows import StoreRows, connection, insert

TEXT = """-- purpose: what it tells
--          in two lines
-- params: coverage DOUBLE share of the total [= trace.coverage]
--         layer INTEGER layer of the head
--         roots INTEGER[][] where to start [= [[9,6]]]
--         role VARCHAR a role [= null]
--         strict BOOLEAN be strict [= true]
--         slices VARCHAR which [= trace.slices]
--         side VARCHAR{dest,src} a side [= src]
--         draws INTEGER{0..100} how often [= 4]
-- grain: [pair]
-- columns: a, b,
--          c
-- A remark that is no field.
SELECT $coverage, $layer, $roots, $role, $strict, $slices, $side, $draws;
"""
QUERY = parse_query("example", TEXT)


def test_a_header_is_read() -> None:
    assert (QUERY.purpose, QUERY.grain) == ("what it tells in two lines", "[pair]")
    assert QUERY.columns == ("a", "b", "c")
    assert QUERY.params == (
        Param("coverage", "DOUBLE", "share of the total", "trace.coverage"),
        Param("layer", "INTEGER", "layer of the head", None),
        Param("roots", "INTEGER[][]", "where to start", "[[9,6]]"),
        Param("role", "VARCHAR", "a role", "null"),
        Param("strict", "BOOLEAN", "be strict", "true"),
        Param("slices", "VARCHAR", "which", "trace.slices", ("signal", "all")),
        Param("side", "VARCHAR", "a side", "src", ("dest", "src")),
        Param("draws", "INTEGER", "how often", "4", bounds=(0, 100)),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1", "its header lacks purpose, params, grain, columns"),
        (TEXT.replace("-- grain: [pair]\n", ""), "its header lacks grain"),
        (TEXT.replace("layer INTEGER", "layer FLOAT"), "cannot be read: layer FLOAT layer of the"),
        (TEXT.replace("{dest,src}", "{dest,}"), "cannot be read: side VARCHAR"),
        (TEXT.replace("{0..100}", "{0..}"), "cannot be read: draws INTEGER"),
        (TEXT.replace("layer INTEGER", "layer"), "cannot be read: layer layer of the head"),
        (TEXT.replace("-- A rem", "-- needs: dump.luck\n-- A rem"), "its header needs dump.luck"),
    ],
)
def test_a_header_that_says_too_little(text: str, message: str) -> None:
    with pytest.raises(SvtError, match=f"query example: .*{message}"):
        parse_query("example", text)


def test_values_are_typed() -> None:
    con = connection()
    values = {"layer": "3", "coverage": "0.5", "roots": "[[1,2],[3,4]]", "strict": "False"}
    typed = {"coverage": 0.5, "layer": 3, "roots": [[1, 2], [3, 4]], "role": None, "strict": False}
    typed |= {"slices": "signal", "side": "src", "draws": 4}
    assert bind(con, QUERY, values) == typed
    assert bind(con, QUERY, {"layer": 1, "slices": "all"})["slices"] == "all"
    assert bind(con, QUERY, {**typed, "roots": ((1, 2), (3, 4))}) == typed
    assert bind(con, QUERY, {"layer": 1})["roots"] == [[9, 6]]
    assert [bind(con, QUERY, {"layer": 1, "draws": n})["draws"] for n in (0, "100")] == [0, 100]
    assert bind(con, QUERY, {"layer": 1, "role": "null"})["role"] is None
    assert bind(con, QUERY, {"layer": 1, "role": "IO"})["role"] == "IO"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {},
            r"query example needs layer \(layer of the head\); its parameters: coverage, layer, r",
        ),
        (
            {"layer": 1, "cover": 1},
            "has no parameter cover; its parameters: coverage, layer, roots",
        ),
        ({"layer": "x"}, r"layer=x is not an integer \(layer of the head\)"),
        ({"layer": "1.5"}, "layer=1.5 is not an integer"),
        ({"layer": 1.5}, "layer=1.5 is not an integer"),
        ({"layer": True}, "layer=True is not an integer"),
        ({"layer": 1, "coverage": "much"}, "coverage=much is not a number"),
        ({"layer": 1, "coverage": "nan"}, "coverage=nan is not a number"),
        ({"layer": 1, "roots": "[9,6]"}, r"roots=\[9,6\] is not a list of \[layer, head\]"),
        ({"layer": 1, "roots": "9.6"}, r"roots=9.6 is not a list"),
        ({"layer": 1, "roots": "[[1,2,3]]"}, "is not a list"),
        ({"layer": 1, "strict": "yes"}, "strict=yes is not true or false"),
        ({"layer": 1, "role": 3}, "role=3 is not a text"),
        ({"layer": 1, "slices": "up"}, r"query example: slices=up must be signal or all \(which\)"),
        ({"layer": 1, "slices": ""}, "slices= must be signal or all"),
        ({"layer": 1, "slices": None}, "slices=None must be signal or all"),
        ({"layer": 1, "draws": "101"}, r"draws=101 must lie in \[0, 100\] \(how often\)"),
        ({"layer": 1, "draws": -1}, "draws=-1 must lie in"),
    ],
)
def test_values_that_do_not_fit(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SvtError, match=message):
        bind(connection(), QUERY, values)


def settings(coverage: float) -> dict[str, Any]:
    return {"config": json.dumps({"trace": {"coverage": coverage, "min_count": None}})}


def test_the_run_gives_its_own_settings() -> None:
    con = connection(results={"run": [settings(0.9)]})
    assert bind(con, QUERY, {"layer": 1})["coverage"] == 0.9
    assert bind(con, QUERY, {"layer": 1, "coverage": 0.1})["coverage"] == 0.1
    assert bind(con, load_query("shown_edges"), {})["min_count"] is None
    insert(con, "results.run", [settings(0.8)])  # several runs that differ: the default's else
    assert bind(con, QUERY, {"layer": 1})["coverage"] == 0.7


def test_rows_come_back_with_plain_columns() -> None:
    store = StoreRows(n_layers=4, n_heads=2)
    store.prompt(0, {"end": 5})
    store.pair((0, 3, 0, 5, 2), dest={(1, 0): 1.0})
    frame = run(store.connect(), "significant")
    assert frame.select("side", "component").rows() == [("dest", "head")]
    assert not [name for name, kind in frame.schema.items() if kind.is_decimal()]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.duckdb" for name in ("store", "results")}
    connection(store_file=files["store"], results_file=files["results"]).close()
    with connect(Stores.of(files["store"])) as con, pytest.raises(SvtError, match="a store alone"):
        run(con, "shown_edges")
    with connect(None, files["results"]) as con, pytest.raises(SvtError, match="is no store besi"):
        run(con, "shown_edges")
    con = connection()
    con.execute("DROP TABLE results.graph_edges")
    with pytest.raises(SvtError, match=r"query shown_edges: .*graph_edges does not exist"):
        run(con, "shown_edges")


def test_a_choice_that_is_not_known_is_named() -> None:
    store = StoreRows(n_layers=4, n_heads=2)
    store.prompt(0)
    con = store.connect()
    for query, param in (
        ("random_baseline", "among"),
        ("shown_edges", "count"),
        ("significant", "slices"),
        ("significant", "nonpositive"),
        ("baseline_without_svd", "components"),
        ("baseline_without_svd", "offset"),
    ):
        with pytest.raises(SvtError, match=f"{param}=x must be .* or "):
            run(con, query, **{param: "x"})
    with pytest.raises(SvtError, match="side=up must be dest or src"):
        run(con, "upstream_of", layer=0, head=0, side="up")
    insert(con, "results.run", [{"config": '{"trace": {"count": "often"}}'}])
    with pytest.raises(SvtError, match="count=often must be prompts, firings or visits"):
        run(con, "shown_edges")


def test_a_head_that_the_model_lacks_is_refused() -> None:
    con = StoreRows(n_layers=4, n_heads=2).connect()
    with pytest.raises(SvtError, match="query upstream_of: layer=4: there are layers 0 to 3"):
        run(con, "upstream_of", layer=4, head=0, side="dest")
    with pytest.raises(SvtError, match="query upstream_of: head=2: there are heads 0 to 1"):
        run(con, "upstream_of", layer="0", head="2", side="dest")
