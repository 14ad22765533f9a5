"""Firings beside those of the counterfactual prompts, from a handful of literal rows."""

from __future__ import annotations  # DuckDB complains of types that pytest keeps to the end

import duckdb
import pytest

from svt.db.catalog import create_tables
from svt.query.named import run
from tests.store_rows import StoreRows, insert

ROLES = {"end": 5, "IO": 2}


def beside(originals: StoreRows, changed: StoreRows) -> duckdb.DuckDBPyConnection:
    con = originals.connect()
    con.execute("ATTACH ':memory:' AS other_store")
    create_tables(con, "other_store", "store")
    for table, rows in changed.tables().items():
        insert(con, f"other_store.{table}", rows)
    return con


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """Prompts 0 to 3 with a counterfactual each, numbered from 10 on; 4 and 15 have no partner."""
    originals, changed = StoreRows(), StoreRows()
    for i in range(5):
        originals.prompt(i, ROLES, n_tokens=6, text=f"text {i}")
    for i in range(4):
        changed.prompt(10 + i, ROLES, n_tokens=6, text="other", original_id=i, original=f"text {i}")
    changed.prompt(15, ROLES, n_tokens=6, text="other", original_id=4, original="another text 4")
    for prompt_id in (0, 1, 2, 4):
        originals.pair((prompt_id, 9, 9, 5, 2), weight=0.6)  # end -> IO
    changed.pair((12, 9, 9, 5, 2), weight=0.6)
    changed.pair((13, 9, 9, 5, 2), weight=0.4)
    changed.pair((15, 9, 9, 5, 2), weight=0.9)
    for prompt_id in (10, 11, 12, 13):
        changed.pair((prompt_id, 3, 0, 4, 3), weight=0.7)  # tokens without a role, two of a prompt
        changed.pair((prompt_id, 3, 0, 3, 1), weight=0.7)
    originals.pair((3, 3, 0, 4, 3), weight=0.7)
    originals.pair((0, 8, 1, 5, 2), weight=0.7)
    originals.pair((1, 8, 1, 5, 2), weight=0.7, score=-1.0)
    return beside(originals, changed)


def test_counterfactual_firings(con: duckdb.DuckDBPyConnection) -> None:
    # of the 4 prompts with a partner, 9.9 fires end -> IO in 0, 1 and 2, and in the partner of 2;
    # 3.0 between tokens without a role in 3, and in all partners
    # 8.1 in 0 alone, as a negative score is none: 1/4 is the least rate asked for
    assert run(con, "counterfactual_firings", firing_weight=0.5).rows() == [
        (3, 0, None, None, 4, 1, 4, 1, 0.25, 1.0, 0.75),
        (9, 9, "end", "IO", 4, 3, 1, 1, 0.75, 0.25, -0.5),
        (8, 1, "end", "IO", 4, 1, 0, 0, 0.25, 0.0, -0.25),
    ]
    assert run(con, "counterfactual_firings", firing_weight=0.5, min_rate=0.8).rows() == [
        (3, 0, None, None, 4, 1, 4, 1, 0.25, 1.0, 0.75),
    ]
    # at 0.4 the partner of 3 counts as well
    assert run(con, "counterfactual_firings", firing_weight=0.4, min_rate=0.5).rows() == [
        (3, 0, None, None, 4, 1, 4, 1, 0.25, 1.0, 0.75),
        (9, 9, "end", "IO", 4, 3, 2, 1, 0.75, 0.5, -0.25),
    ]


def test_counterfactual_firings_of_unrelated_prompts() -> None:
    originals, changed = StoreRows(), StoreRows()
    originals.prompt(0, ROLES, n_tokens=6, text="text 0")
    changed.prompt(0, ROLES, n_tokens=6, text="text 0")
    for rows in (originals, changed):
        rows.pair((0, 9, 9, 5, 2), weight=0.6)
    assert run(beside(originals, changed), "counterfactual_firings").is_empty()
