"""Edges as queries, SQL and files; the pairs that they change and the slices of those."""

from __future__ import annotations  # DuckDB complains of types that pytest keeps to the end

from pathlib import Path
from typing import Any

import duckdb
import pytest

from svt.errors import SvtError
from svt.query.edges import (
    Edge,
    EdgeSet,
    check_edges,
    choose_edges,
    choose_sets,
    load_signal_slices,
    select_pairs,
)
from tests.store_rows import StoreRows

HEADER = "layer,head,side,up_layer,up_head"
A_B = Edge(3, 1, "dest", 1, 0, dest_role="end")
A_C = Edge(4, 0, "src", 1, 0, src_role="IO")
EDGES, SETS = "intervene.edges", "intervene.sets"


def edge_row(edge: Edge, n_prompts: int = 2, **more: Any) -> dict[str, Any]:
    """A row of graph_edges."""
    return {
        "up_layer": edge.up_layer, "up_head": edge.up_head, "component": "head",
        "layer": edge.layer, "head": edge.head, "side": edge.side,
        "role": edge.dest_role or edge.src_role, "n_prompts": n_prompts, "n_firings": n_prompts,
        "n_visits": n_prompts, "total": 1.0, "mean": 1.0, **more,
    }  # fmt: skip


def traced() -> tuple[duckdb.DuckDBPyConnection, dict[str, int]]:
    """Two prompts; 3.1 attends from end to IO and to a token without a role, 4.0 from S2 to IO.

    Two roots reach the first pair of 3.1, none reaches its pair in prompt 1; one pair is sampled.
    """
    store = StoreRows(n_layers=6, n_heads=2)
    for prompt in range(2):
        store.prompt(prompt, {"end": 5, "IO": 2, "S2": 4}, n_tokens=6)
    at = {
        "end to IO": (0, 3, 1, 5, 2),
        "end to none": (0, 3, 1, 5, 3),
        "S2 to IO": (1, 4, 0, 4, 2),
        "not traced": (1, 3, 1, 5, 2),
        "sampled": (1, 3, 1, 5, 3),
    }
    pairs = {
        name: store.pair(
            place,
            slices=(1.0, 2.0) if name == "end to IO" else (2.0, 1.0),
            n_slices=2 if name == "S2 to IO" else 1,
            weight=0.01 if name == "sampled" else 0.9,
        )
        for name, place in at.items()
    }
    reached = [
        {"root_layer": 5, "root_head": root, "prompt_id": at[name][0], "pair_id": pair, "depth": 1,
         "visits": 1}
        for name, pair in pairs.items()
        for root in (0, 1)[: 2 if name == "end to IO" else 1]
        if name != "not traced"
    ]  # fmt: skip
    graph = [
        edge_row(A_B),
        edge_row(A_C, n_prompts=1),
        edge_row(A_B, component="mlp", up_head=None),
        edge_row(A_B, up_head=1, role="IO", n_prompts=0),
    ]
    return store.connect(trace_pairs=reached, graph_edges=graph), pairs


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    return traced()[0]


def table(folder: Path, *lines: str) -> str:
    file = folder / "edges.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(file)


def test_a_label_names_the_roles() -> None:
    assert A_B.label == "1.0 -> 3.1 dest end"
    assert A_C.label == "1.0 -> 4.0 src IO"
    assert Edge(3, 1, "dest", 1, 0).label == "1.0 -> 3.1 dest"
    assert Edge(3, 1, "dest", 1, 0, "end", "IO").label == "1.0 -> 3.1 dest end, src IO"
    assert Edge(3, 1, "src", 1, 0, "end").label == "1.0 -> 3.1 src, dest end"


def test_a_named_query(con: duckdb.DuckDBPyConnection) -> None:
    """The shown edges from heads, those in more prompts first; their role is that written into."""
    assert choose_edges(con, "shown_edges") == (A_B, A_C)


@pytest.mark.parametrize("start", ["SELECT *, 1 AS x\nFROM", "from", " With g AS (FROM x) FROM"])
def test_sql(con: duckdb.DuckDBPyConnection, start: str) -> None:
    text = f"{start} graph_edges ORDER BY n_prompts, up_head".replace("(FROM x)", "(SELECT 1)")
    check_edges(text, EDGES)
    other = Edge(3, 1, "dest", 1, 1, dest_role="IO")
    assert choose_edges(con, text) == (other, A_C, A_B)


def test_sql_may_name_a_query(con: duckdb.DuckDBPyConnection) -> None:
    assert choose_edges(con, "select * from shown_edges") == choose_edges(con, "shown_edges")


def test_sql_may_name_what_the_columns_are(con: duckdb.DuckDBPyConnection) -> None:
    """Rows that are given twice count once; a null head is no head."""
    text = (
        "SELECT 3 AS layer, 1 AS head, side, 1 AS up_layer, up_head, 'end' AS dest_role, 'IO' AS "
        "src_role FROM (VALUES ('src', 0), ('dest', 1), ('src', 0), ('src', NULL)) t(side, up_head)"
    )
    assert choose_edges(con, text) == (
        Edge(3, 1, "src", 1, 0, "end", "IO"),
        Edge(3, 1, "dest", 1, 1, "end", "IO"),
    )


def test_a_file(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Remarks, columns in any order, roles where there are any; an embedding is no head."""
    file = table(
        tmp_path,
        "# by hand",
        "head, layer, side, up_head, up_layer, role, src_role, component",
        "1, 3, dest, 0, 1, end,, head",
        "0, 4, src, 0, 1, , IO, head",
        "0, 4, src, , , IO,, embed",
        "1, 3, dest, 0, 1,, , head",
    )
    check_edges(file, EDGES)
    assert choose_edges(con, file) == (A_B, A_C, Edge(3, 1, "dest", 1, 0))


def test_what_svt_sql_prints_can_be_read_back(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    file = tmp_path / "graph.csv"
    con.sql("FROM graph_edges").pl().write_csv(file)
    other = Edge(3, 1, "dest", 1, 1, dest_role="IO")
    assert choose_edges(con, str(file)) == (A_B, A_C, other)


def test_sets(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    file = table(
        tmp_path,
        f"set,{HEADER},role",
        "b,3,1,dest,1,0,end",
        "a,3,1,dest,1,0,end",
        "b,4,0,src,1,0,IO",
        "b,3,1,dest,1,0,end",
    )
    check_edges(file, SETS)
    assert choose_sets(con, file) == (EdgeSet("b", (A_B, A_C)), EdgeSet("a", (A_B,)))
    assert choose_edges(con, file) == (A_B, A_C)
    assert choose_sets(con, None) == ()
    (found,) = choose_sets(con, "SELECT 'x' AS set, * FROM graph_edges WHERE layer = 4")
    assert found == EdgeSet("x", (A_C,))


def test_the_sets_of_the_graph(con: duckdb.DuckDBPyConnection) -> None:
    """Of the two shown edges both leave 1.0; they end in different heads."""
    check_edges("edge_sets", SETS)
    assert choose_sets(con, "edge_sets") == (EdgeSet("outgoing: 1.0", (A_B, A_C)),)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("3,1,dest,1", "row 3: has 4 fields, the header 5"),
        ("x,1,dest,1,0", "row 3: layer must be a count from 0, not x"),
        ("3,,dest,1,0", "row 3: head must be a count from 0, not null"),
        ("3,1,dest,-1,0", "row 3: up_layer must be a count from 0, not -1"),
        ("3,1,dest,1,0.5", r"row 3: up_head must be a count from 0, not 0\.5"),
        ("3,1,dst,1,0", "row 3: side must be dest or src, not dst"),
        ("3,1,dest,3,0", r"row 3: up_layer 3 must lie below layer 3; head 3\.0 cannot write"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    file = table(tmp_path, HEADER, "3,1,dest,1,0", row)
    with pytest.raises(SvtError, match=rf"edges\.csv, {message}"):
        check_edges(file, EDGES)


@pytest.mark.parametrize(
    ("lines", "key", "message"),
    [
        ((f"{HEADER},x",), EDGES, "has no row below its header"),
        ((HEADER, "3,1,dest,1,"), EDGES, "no row is an edge from a head"),
        (("layer,head,side,up_layer",), EDGES, "row 1: the header lacks up_head"),
        ((HEADER, "3,1,dest,1,0"), SETS, "row 1: the header lacks set"),
        ((f"{HEADER},set", "3,1,dest,1,0,"), SETS, "row 2: set must be a name, not null"),
        (
            (f"{HEADER},role,dest_role", "3,1,dest,1,0,end,IO"),
            EDGES,
            "row 2: role end and dest_role IO differ",
        ),
    ],
)
def test_a_wrong_file_is_named(
    tmp_path: Path, lines: tuple[str, ...], key: str, message: str
) -> None:
    with pytest.raises(SvtError, match=rf"edges\.csv.*{message}"):
        check_edges(table(tmp_path, *lines), key)


@pytest.mark.parametrize(
    ("given", "key", "message"),
    [
        ("nothing.csv", EDGES, r"=nothing\.csv: no such query or file; .* edge_effects, .*a CSV"),
        ("graph_nodes", EDGES, "this query gives no side, up_layer, up_head; those that do: "),
        ("shown_edges", SETS, "this query gives no set; those that do: edge_sets$"),
        ("selec * from x", EDGES, "no such query or file"),
        ("select * frm x", EDGES, "Parser Error.*correct the SQL"),
        ("select 1; select 2", SETS, r"intervene\.sets: the SQL must be one select"),
        ("from x; drop table x", EDGES, "the SQL must be one select"),
    ],
)
def test_what_cannot_be_edges_is_refused_before_any_work(
    given: str, key: str, message: str
) -> None:
    with pytest.raises(SvtError, match=message):
        check_edges(given, key)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM nothing_here", "nothing_here does not exist.*correct the SQL"),
        ("SELECT layer, head FROM graph_edges", "columns layer, head; it lacks side, up_layer, up"),
        ("SELECT 6 AS l", "it lacks layer"),
        (
            "SELECT * REPLACE (6 AS layer) FROM graph_edges",
            r"row 1 of the SQL: there is no head 6\.1; the model has layers 0 to 5 and heads 0",
        ),
        ("SELECT * REPLACE (2 AS up_head) FROM graph_edges", r"there is no head 1\.2; "),
        ("SELECT * REPLACE (3.5 AS layer) FROM graph_edges", "layer must be a count from 0"),
        ("SELECT * REPLACE (7 AS role) FROM graph_edges", "role must be the name of a role, not 7"),
        (
            "WITH gone AS (DELETE FROM graph_edges RETURNING *) SELECT * FROM gone",
            "read-only.*correct the SQL",
        ),
    ],
)
def test_wrong_sql_is_refused(con: duckdb.DuckDBPyConnection, text: str, message: str) -> None:
    with pytest.raises(SvtError, match=rf"(?s)intervene\.edges.*{message}"):
        choose_edges(con, text)
    assert len(choose_edges(con, "FROM graph_edges")) == 3  # nothing is gone, and it can go on


def test_pairs_of_an_edge() -> None:
    """Every reached pair of 3.1 from end, once, though two roots reach one; only one is onto IO."""
    con, pairs = traced()
    edges = [A_B, A_C, Edge(3, 1, "src", 2, 1, src_role="IO"), Edge(4, 0, "dest", 0, 0)]
    found = select_pairs(con, edges)
    ends = [(0, pairs["end to IO"], 0, 3, 1, 5, 2, "dest", 1, 0)]
    ends += [(0, pairs["end to none"], 0, 3, 1, 5, 3, "dest", 1, 0)]
    assert found.rows() == [
        *ends,
        (1, pairs["S2 to IO"], 1, 4, 0, 4, 2, "src", 1, 0),
        (2, pairs["end to IO"], 0, 3, 1, 5, 2, "src", 2, 1),
        (3, pairs["S2 to IO"], 1, 4, 0, 4, 2, "dest", 0, 0),
    ]
    assert found.columns == [
        "edge", "pair_id", "prompt_id", "layer", "head", "dest", "src", "side", "up_layer",
        "up_head",
    ]  # fmt: skip
    both = Edge(3, 1, "dest", 1, 0, dest_role="end", src_role="IO")
    assert select_pairs(con, [both])["pair_id"].to_list() == [pairs["end to IO"]]
    assert select_pairs(con, []).is_empty()


def test_edges_without_a_pair_are_refused(con: duckdb.DuckDBPyConnection) -> None:
    without = [Edge(3, 1, "dest", 1, 0, dest_role="S2"), Edge(4, 1, "dest", 1, 0)]
    message = r"for: 1\.0 -> 3\.1 dest S2; 1\.0 -> 4\.1 dest\. Choose edges of the graph"
    with pytest.raises(SvtError, match=message):
        select_pairs(con, [A_B, *without])
    many = [Edge(3, 0, "dest", up, 0) for up in range(3)] * 3
    with pytest.raises(SvtError, match=r"for: (\d\.0 -> 3\.0 dest; ){5}and 4 more\. Choose"):
        select_pairs(con, many)


def test_slices_of_pairs() -> None:
    """Of 1.0 and 2.0 the second is the signal, of 2.0 and 1.0 the first; both for S2 to IO."""
    con, pairs = traced()
    pair_ids = [pairs[name] for name in ("S2 to IO", "end to IO", "end to none", "end to IO")]
    assert load_signal_slices(con, pair_ids).tolist() == [
        [True, True],
        [False, True],
        [True, False],
        [False, True],
    ]
    assert load_signal_slices(con, []).shape == (0, 2)
    with pytest.raises(SvtError, match="holds 2 slices of the 2 pairs to be changed, not 2 each"):
        load_signal_slices(con, [pair_ids[0], 7])
