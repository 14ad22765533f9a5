"""The tables are those of the contract, and every one and every column says what it is."""

from __future__ import annotations  # DuckDB complains of types that pytest keeps to the end

from typing import get_args

import duckdb
import pytest

from svt.paths import sql_dir
from svt.query.named import run
from svt.words import Component, Count, Kind, Scope, Side
from tests.store_rows import StoreRows, connection

STORE = {
    "dump": "svt_version schema_version identity model_name weights_fingerprint n_layers n_heads "
    "d_model d_head n_ctx config library_versions notes seconds peak_bytes worst_residual "
    "worst_closure worst_reconstruction",
    "prompts": "prompt_id text n_tokens template pattern answer distractor logit_diff correct "
    "original_id original counterfactual",
    "answers": "prompt_id kind token_id token",
    "tokens": "prompt_id pos token_id token",
    "roles": "prompt_id role pos",
    "singular_values": "layer head k sigma u_last v_last",
    "head_effects": "prompt_id layer head logit_diff_effect",
    "coordinates": "prompt_id pos layer head k dest_coord src_coord",
    "pairs": "pair_id prompt_id layer head dest src weight score omega_score eligible sampled "
    "n_slices dest_scale src_scale dest_offset src_offset dest_offset_all src_offset_all residual",
    "slices": "pair_id k contribution dest_coord src_coord rank in_signal",
    "upstream": "pair_id side component up_layer up_head contribution contribution_all "
    "weight_without",
    "pair_slices": "pair_id dest_coords src_coords signal",
    "pair_upstream": "pair_id side component contributions contributions_all weights_without",
    "writers": "component writer up_layer up_head",
    "sides": "pair_id side total total_all n_heads closure",
}
RESULTS = {
    "run": "svt_version config store_path store_identity n_prompts roots warnings seconds status",
    "trace_pairs": "root_layer root_head prompt_id pair_id depth visits",
    "trace_edges": "root_layer root_head prompt_id pair_id layer head dest src side up_layer "
    "up_head component contribution effect visits",
    "graph_edges": "up_layer up_head component layer head side role n_prompts n_firings n_visits "
    "total mean effect",
    "places": "prompt_id pos role",
    "families": "prompt_id family place silhouette",
    "graph_firings": "layer head dest_role src_role n_prompts n_firings n_visits",
    "interventions": "intervention_id label layer head side dest_role src_role up_layer up_head "
    "scope kind control seed strength n_pairs",
    "intervention_edges": "intervention_id layer head side dest_role src_role up_layer up_head",
    "intervention_effects": "intervention_id prompt_id pair_id n_slices logit_diff "
    "logit_diff_after score score_after weight weight_after cosine norm_ratio resid_cosine "
    "resid_norm_ratio answer_rank answer_rank_after",
    "faithfulness": "min_count n_heads control seed ablation logit_diff logit_diff_full "
    "logit_diff_none accuracy",
    "reference_heads": "reference layer head class reachable",
    "evaluation": "reference count min_count n_heads tp precision recall recall_reachable f1",
    "imported": "name file format left_out",
    "imported_edges": "place up_layer up_head component layer head input side role other_role "
    "weight",
    "imported_heads": "layer head class",
}


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    return connection()


@pytest.mark.parametrize(("catalog", "tables"), [("store", STORE), ("results", RESULTS)])
def test_tables_and_columns(
    con: duckdb.DuckDBPyConnection, catalog: str, tables: dict[str, str]
) -> None:
    found = con.execute(
        "SELECT table_name, string_agg(column_name, ' ' ORDER BY column_index) "
        "FROM duckdb_columns() WHERE database_name = ? GROUP BY table_name",
        [catalog],
    ).fetchall()
    assert dict(found) == tables
    files = {file.stem for file in (sql_dir() / "schema" / catalog).rglob("*.sql")}
    assert files == {"_types", *tables}


def test_slices_of_wide_heads_have_their_number() -> None:
    """Slices count to d_head, which lies beyond 255 in some models."""
    store = StoreRows(n_layers=1, n_heads=1)
    store.prompt(0)
    pair = store.pair((0, 0, 0, 5, 2), slices=[1.0] * 300)
    store.singular_values(d_head=300)
    store.add(
        "coordinates", prompt_id=0, pos=0, layer=0, head=0, k=299, dest_coord=1.0, src_coord=1.0
    )
    con = store.connect()
    for table in ("slices", "singular_values", "coordinates"):
        assert con.execute(f"SELECT max(k) FROM {table}").fetchall() == [(299,)]
    assert run(con, "firing_slices", pair_id=pair)["k"].to_list() == list(range(300))


def listed(con: duckdb.DuckDBPyConnection, *lists: tuple[list[float], list[float], list[int]]):
    """Pairs 0, 1, ... of these dest_coords, src_coords and signals; the rows of slices."""
    con.execute("DELETE FROM store.pair_slices")
    for pair_id, of_pair in enumerate(lists):
        con.execute("INSERT INTO store.pair_slices VALUES (?, ?, ?, ?)", [pair_id, *of_pair])
    return con.execute(
        "SELECT pair_id, k, contribution, rank, in_signal FROM store.slices ORDER BY ALL"
    ).fetchall()


def test_slices_are_ranked_in_the_order_of_the_signal_rule(con: duckdb.DuckDBPyConnection) -> None:
    """Falling; rising for a negative score; what is next to nothing counts as 0, ties by k."""
    falling = ([1.0, 2.0, -1.0], [0.5, 1.0, 1.0], [1, 0])
    rising = ([1.0, 2.0, -1.0], [0.5, -1.0, 1.0], [1])
    small = ([1e-8, 1e-7, 1.0, 0.0], [-1e-8, 1e-7, 2.0, 1.0], [2])
    assert listed(con, falling, rising, small) == [
        *[(0, 0, 0.5, 2, True), (0, 1, 2.0, 1, True), (0, 2, -1.0, 3, False)],
        *[(1, 0, 0.5, 3, False), (1, 1, -2.0, 1, True), (1, 2, -1.0, 2, False)],
        (2, 0, pytest.approx(-1e-16), 2, False), (2, 1, pytest.approx(1e-14), 3, False),
        (2, 2, 2.0, 1, True), (2, 3, 0.0, 4, False),
    ]  # fmt: skip
    assert listed(con, ([1.0, 1.0], [-1.0, 1.0], [])) == [
        (0, 0, -1.0, 2, False), (0, 1, 1.0, 1, False),
    ]  # fmt: skip


def test_upstream_names_the_writers_of_its_lists() -> None:
    """Heads by layer, then head; a filter on a pair reads its lists alone."""
    store = StoreRows(n_layers=3, n_heads=2)
    dest = {(0, 0): (1.0, 4.0), (0, 1): 2.0, (1, 0): 3.0, (1, 1): 0.0, ("mlp", 0): 5.0}
    pair = store.pair((0, 2, 0, 5, 2), dest={**dest, ("mlp", 1): 6.0, ("embed",): 7.0})
    store.pair((0, 1, 0, 5, 2), dest={(0, 0): 9.0, (0, 1): 8.0})
    con = store.connect()
    what = "component::VARCHAR, up_layer, up_head, contribution, contribution_all, weight_without"
    source = f"FROM upstream WHERE pair_id = {pair}"
    assert con.execute(f"SELECT {what} {source} ORDER BY ALL").fetchall() == [
        ("embed", None, None, 7.0, 7.0, None),
        ("head", 0, 0, 1.0, 4.0, None), ("head", 0, 1, 2.0, 2.0, None),
        ("head", 1, 0, 3.0, 3.0, None), ("head", 1, 1, 0.0, 0.0, None),
        ("mlp", 0, None, 5.0, 5.0, None), ("mlp", 1, None, 6.0, 6.0, None),
    ]  # fmt: skip
    ((_, plan),) = con.execute(f"EXPLAIN SELECT contribution {source}").fetchall()
    scan = plan[plan.index("pair_upstream") :]
    assert "Filters" in scan and str(pair) in scan


def test_everything_has_a_comment(con: duckdb.DuckDBPyConnection) -> None:
    ours = "database_name IN ('store', 'results')"
    assert (
        con.execute(
            f"SELECT table_name FROM duckdb_tables() WHERE {ours} AND comment IS NULL "
            f"UNION ALL SELECT view_name FROM duckdb_views() WHERE {ours} AND comment IS NULL "
            f"UNION ALL SELECT column_name FROM duckdb_columns() WHERE {ours} AND comment IS NULL"
        ).fetchall()
        == []
    )


def test_every_table_says_its_grain(con: duckdb.DuckDBPyConnection) -> None:
    for catalog in ("store", "results"):
        for file in (sql_dir() / "schema" / catalog).rglob("[a-z]*.sql"):
            about, grain, *_ = file.read_text(encoding="utf-8").splitlines()
            assert about.startswith(f"-- {file.stem}: ")
            assert grain.startswith("-- grain: [")


@pytest.mark.parametrize("catalog", ["store", "results"])
def test_enums_are_those_of_the_vocabulary(con: duckdb.DuckDBPyConnection, catalog: str) -> None:
    known = {
        "side": Side,
        "component": Component,
        "count_kind": Count,
        "scope": Scope,
        "kind": Kind,
    }
    rows = con.execute(
        "SELECT type_name, labels FROM duckdb_types() WHERE database_name = ? "
        "AND labels IS NOT NULL AND NOT internal",
        [catalog],
    ).fetchall()
    assert {"side", "component"} <= {name for name, _ in rows}
    for name, labels in rows:
        if name in known:
            assert tuple(labels) == get_args(known[name])
