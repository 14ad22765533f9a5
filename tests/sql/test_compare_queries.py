"""Two circuits side by side: literal rows of both in, expected rows out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from svt.cli.import_circuit import main as svt_import
from svt.db.catalog import create_tables
from svt.errors import SvtError
from svt.query.named import run
from tests.answers import answer
from tests.store_rows import connection, insert

Rows = Sequence[Mapping[str, Any]]


def edge(
    up: tuple[int, int], down: tuple[int, int], n: int, mean: float | None, **more: Any
) -> dict[str, Any]:
    """A row of graph_edges in n prompts, into the destination at end."""
    return {
        "up_layer": up[0], "up_head": up[1], "component": "head", "layer": down[0],
        "head": down[1], "side": "dest", "role": "end", "n_prompts": n, "n_firings": n,
        "n_visits": n, "total": None if mean is None else n * mean, "mean": mean, **more,
    }  # fmt: skip


def a_run(n_prompts: int | None, roots: list[list[int]], **trace: Any) -> dict[str, Any]:
    config = {"trace": {"count": "prompts", "min_share": 0.5, "min_count": None} | trace}
    return {"config": json.dumps(config), "n_prompts": n_prompts, "roots": json.dumps(roots)}


def side_by_side(this: Mapping[str, Rows], other: Mapping[str, Rows]) -> duckdb.DuckDBPyConnection:
    con = connection(results=this)
    con.execute("ATTACH ':memory:' AS other_results")
    create_tables(con, "other_results", "results")
    for table, rows in other.items():
        insert(con, f"other_results.{table}", rows)
    return con


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """This: 10 prompts, shown from 5. The other counts visits, shown from 3.

    In both: 0.1 -> 2.0, 1.0 -> 2.0, 1.0 -> 2.1. Only here: 0.2 -> 2.0 at IO; rare here: 0.0 -> 2.0.
    Only there: an MLP's edge and 1.3 -> 2.0; 9.9 stands there alone, its root 3.3 has no edge.
    """
    this = [
        edge((0, 1), (2, 0), 9, 1.0),
        edge((1, 0), (2, 0), 7, 4.0),
        edge((1, 0), (2, 1), 6, 2.0),
        edge((0, 2), (2, 0), 5, 3.0, role="IO"),
        edge((0, 0), (2, 0), 4, 9.0),
    ]
    unknown = {"n_prompts": None, "n_firings": None}
    other = [
        edge((0, 1), (2, 0), 3, 0.5, **unknown),
        edge((1, 0), (2, 0), 90, 0.25, **unknown),
        edge((1, 0), (2, 1), 5, 0.75, **unknown),
        edge((1, 3), (2, 0), 4, 0.1, **unknown),
        edge((0, 0), (2, 1), 8, 0.1, component="mlp", up_head=None, **unknown),
        edge((0, 2), (2, 0), 2, 0.1, role="IO", **unknown),
    ]
    return side_by_side(
        {"run": [a_run(10, [[2, 0]])], "graph_edges": this},
        {
            "run": [a_run(None, [[3, 3]], count="visits", min_count=3)],
            "graph_edges": other,
            "imported_heads": [{"layer": 9, "head": 9}],
        },
    )


def found(con: duckdb.DuckDBPyConnection, query: str, *columns: str, **params: Any) -> list[Any]:
    return run(con, query, **params).select(columns).rows()


def test_compare_edges(con: duckdb.DuckDBPyConnection) -> None:
    """Ranks by mean. Here 4, 3, 2, 1: 1.0 -> 2.0, 0.2, 1.0 -> 2.1, 0.1; there 0.75, 0.5, 0.25,
    then 0.1 twice. Of the three in both the ranks are 1, 2, 3 here and 3, 1, 2 there: the squares
    of their differences are 4, 1, 1, so Spearman's is 1 - 6 * 6 / (3 * 8) = -1/2.
    """
    columns = (
        "found", "up_layer", "up_head", "head", "count", "other_count", "weight", "other_weight",
        "rank", "other_rank",
    )  # fmt: skip
    assert found(con, "compare_edges", *columns) == [
        ("both", 1, 0, 0, 7, 90, 4.0, 0.25, 1, 3),
        ("both", 1, 0, 1, 6, 5, 2.0, 0.75, 3, 1),
        ("both", 0, 1, 0, 9, 3, 1.0, 0.5, 4, 2),
        ("this", 0, 2, 0, 5, None, 3.0, None, 2, None),
        ("other", 1, 3, 0, None, 4, None, 0.1, None, 4),
        ("other", 0, None, 1, None, 8, None, 0.1, None, 4),
    ]
    both = run(con, "compare_edges")
    assert both["rank_correlation"].to_list() == pytest.approx([-0.5] * 6)
    assert set(both["matched_by"]) == {"edge"}
    assert both.select("component", "side", "role").unique(maintain_order=True).rows() == [
        ("head", "dest", "end"), ("head", "dest", "IO"), ("mlp", "dest", "end"),
    ]  # fmt: skip


def test_compare_edges_by_count(con: duckdb.DuckDBPyConnection) -> None:
    """Ranks of the three in both, by 9, 7, 6 and by 3, 90, 5: differences 2, 1, 1 as above."""
    frame = run(con, "compare_edges", weight="count")
    assert frame["weight"].to_list()[:3] == [9.0, 7.0, 6.0]
    assert frame["other_weight"].to_list()[:3] == [3.0, 90.0, 5.0]
    assert frame["rank_correlation"][0] == pytest.approx(-0.5)
    # by total 9, 28, 12 and 1.5, 22.5, 3.75: the same order in both
    assert run(con, "compare_edges", weight="total")["rank_correlation"][0] == pytest.approx(1.0)


def test_compare_edges_from_other_thresholds(con: duckdb.DuckDBPyConnection) -> None:
    """From 2 visits on 0.2 -> 2.0 is in both; from 4 prompts on 0.0 -> 2.0 is here."""
    more = found(con, "compare_edges", "found", "up_head", other_min_count=2, min_count=4)
    assert more.count(("both", 2)) == 1 and ("this", 0) in more
    assert [row[0] for row in more].count("both") == 4
    # the other run's share is of prompts that nobody knows: any edge with a visit
    many = found(con, "compare_edges", "found", other_min_count=None, other_min_share=1.0)
    assert [row[0] for row in many].count("both") == 4
    assert found(con, "compare_edges", "found", other_count="prompts") == [("this",)] * 4
    assert found(con, "compare_edges", "rank_correlation", other_count="prompts")[0] == (None,)


def test_compare_edges_that_lack_columns() -> None:
    """The other has no roles, then no side either: the finest that both tell is side, then heads.

    Here 1.0 writes twice into the destination of 2.0, 2 + 3 = 5 in 8 prompts at most, and once into
    its source, 7: by heads 12.
    """
    this = [
        edge((1, 0), (2, 0), 6, 2.0),
        edge((1, 0), (2, 0), 8, 3.0, role="S2"),
        edge((1, 0), (2, 0), 5, 7.0, side="src", role="IO"),
    ]
    rows = {"run": [a_run(10, [])], "graph_edges": this}

    def beside(*edges: dict[str, Any]) -> duckdb.DuckDBPyConnection:
        return side_by_side(rows, {"run": [a_run(10, [])], "graph_edges": edges})

    columns = ("found", "matched_by", "side", "role", "count", "weight", "other_weight")
    no_role = beside(edge((1, 0), (2, 0), 9, 1.0, role=None))
    assert found(no_role, "compare_edges", *columns) == [
        ("both", "side", "dest", None, 8, 5.0, 1.0),
        ("this", "side", "src", None, 5, 7.0, None),
    ]
    no_side = beside(edge((1, 0), (2, 0), 9, 1.0, role=None, side=None))
    assert found(no_side, "compare_edges", *columns) == [
        ("both", "heads", None, None, 8, 12.0, 1.0)
    ]
    assert found(no_side, "compare_edges", *columns, match="side") == [
        ("this", "side", "src", None, 5, 7.0, None),
        ("this", "side", "dest", None, 8, 5.0, None),
        ("other", "side", None, None, None, None, 1.0),
    ]
    assert len(found(no_side, "compare_edges", "found", match="edge")) == 4
    unweighed = beside(edge((1, 0), (2, 0), 9, None))
    assert found(unweighed, "compare_edges", "found", "other_weight", "other_rank")[0] == (
        "both", None, None,
    )  # fmt: skip


def test_compare_heads(con: duckdb.DuckDBPyConnection) -> None:
    """Counts here: 2.0 has 9, 0.1 9, 1.0 7, 2.1 6, 0.2 5; there 1.0 and 2.0 have 90, 2.1 8, 1.3 4,
    0.1 3. Shared are 0.1, 1.0, 2.0, 2.1, ranks from the least: 3.5, 2, 3.5, 1 and 1, 3.5, 3.5, 2.
    Their deviations from 2.5 are 1, -0.5, 1, -1.5 and -1.5, 1, 1, -0.5: -1.5 - 0.5 + 1 + 0.75 =
    -0.25 of sqrt(4.5 * 4.5), that is -1/18.
    """
    columns = (
        "found", "layer", "head", "is_root", "other_is_root", "n_in", "other_n_in", "n_out",
        "other_n_out", "count", "other_count", "rank", "other_rank",
    )  # fmt: skip
    assert found(con, "compare_heads", *columns) == [
        ("both", 0, 1, False, False, 0, 0, 1, 1, 9, 3, 1, 5),
        ("both", 1, 0, False, False, 0, 0, 2, 2, 7, 90, 3, 1),
        ("both", 2, 0, True, False, 3, 3, 0, 0, 9, 90, 1, 1),
        ("both", 2, 1, False, False, 1, 2, 0, 0, 6, 8, 4, 3),
        ("this", 0, 2, False, None, 0, None, 1, None, 5, None, 5, None),
        ("other", 1, 3, None, False, None, 0, None, 1, None, 4, None, 4),
        ("other", 3, 3, None, True, None, 0, None, 0, None, None, None, None),
        ("other", 9, 9, None, False, None, 0, None, 0, None, None, None, None),
    ]
    correlation = run(con, "compare_heads")["rank_correlation"].to_list()
    assert correlation == pytest.approx([-1 / 18] * 8)


def test_compare_heads_of_circuits_that_share_nothing() -> None:
    other = {"run": [a_run(10, [])], "imported_heads": [{"layer": 0, "head": 0}]}
    con = side_by_side({"run": [a_run(10, [[1, 1]])]}, other)
    assert found(con, "compare_heads", "found", "layer", "head", "rank_correlation") == [
        ("this", 1, 1, None), ("other", 0, 0, None),
    ]  # fmt: skip


def test_compare_heads_wants_another_run() -> None:
    alone = connection(results={"run": [a_run(10, [])]})
    with pytest.raises(SvtError, match=r"two targets side by side; name the second, .*--other"):
        run(alone, "compare_heads")
    alone.execute("ATTACH ':memory:' AS other_store")
    create_tables(alone, "other_store", "store")
    with pytest.raises(SvtError, match="the other target is without results; name a whole run"):
        run(alone, "compare_edges")


def test_compare_heads_of_a_sweep_is_refused() -> None:
    con = side_by_side({"run": [a_run(1, [])]}, {"run": [a_run(1, []), a_run(1, [])]})
    con.execute("ALTER TABLE other_results.run ADD COLUMN job INTEGER")
    con.execute("UPDATE other_results.run SET job = rowid")
    with pytest.raises(SvtError, match="the other target is a sweep; give one job's folder"):
        run(con, "compare_heads")


def test_compare_a_trace_with_an_imported_circuit(finished: Any, tmp_path: Path) -> None:
    """The trace's own graph, imported: every edge in both, in the same order of weights."""
    ours = finished.runs[0]
    theirs = tmp_path / "theirs"
    svt_import([str(ours / "charts" / "graph.graphml"), "--out", str(theirs)])
    for pair in ((ours, theirs), (theirs, ours)):
        edges = answer(pair[0], "compare_edges", [], other=pair[1])
        assert edges.height > 20
        assert set(edges["found"]) == {"both"} and set(edges["matched_by"]) == {"edge"}
        assert edges["rank_correlation"][0] == pytest.approx(1.0)
        assert edges["weight"].to_list() == edges["other_weight"].to_list()
        heads = answer(pair[0], "compare_heads", [], other=pair[1])
        assert set(heads["found"]) == {"both"}
        assert (heads["n_in"] == heads["other_n_in"]).all()
        assert (heads["is_root"] == heads["other_is_root"]).all()
    sql = (
        "select (select count(*) from other_results.graph_edges) > 0 as a, "
        "(select count(*) from other_store.pairs) as b, (select count(*) from store.pairs) > 0 as c"
    )
    assert answer(ours, sql, [], other=theirs).rows() == [(True, 0, True)]
    assert answer(ours, "compare_heads", [], other=ours).height == heads.height
    with pytest.raises(SvtError, match="SQL: "):
        answer(ours, "delete from other_results.graph_edges", [], other=theirs)
