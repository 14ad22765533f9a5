"""The coverage rule beside the effect rule: literal rows in, expected rows out."""

import json
from typing import Any

import duckdb
import pytest

from svt.errors import SvtError
from svt.query.named import run
from tests.sql.test_result_queries import CONFIG, reached, rows
from tests.store_rows import StoreRows


def two_prompts(effects: bool = True) -> duckdb.DuckDBPyConnection:
    """Root 3.0, end -> IO with a weight of 0.9 in both prompts, and 2.0 and 2.1, which fire there.

    Into its end 2.0 contributes 3, 2.1 gives 1 and 1.0 takes 1 away; without them the weight is 0.1
    (in prompt 1: 0.875), 0.9 and 0.5. Into 2.0 1.0 contributes 1, without which its weight is 0.3;
    into 2.1 the same.
    """
    store = StoreRows(n_layers=4, n_heads=2, effects=effects)
    for prompt, without in ((0, 0.1), (1, 0.875)):
        store.prompt(prompt, {"end": 5, "IO": 2}, n_tokens=6)
        into_root = {(2, 0): (3.0, 0.0, without), (2, 1): (1.0, 0.0, 0.9), (1, 0): (-1.0, 0.0, 0.5)}
        store.pair((prompt, 3, 0, 5, 2), dest=into_root)
        for head in (0, 1):
            store.pair((prompt, 2, head, 5, 1), dest={(1, 0): (1.0, 0.0, 0.3)})
    roots = [reached(store, (0, 3, 0, 5, 2), 0)]
    return store.connect(run=[{"config": json.dumps(CONFIG)}], trace_pairs=roots)


def near(effect: float) -> Any:
    return pytest.approx(effect, abs=1e-5)  # stored in steps of 1/65535


def test_edges_by_rule() -> None:
    """An edge is shown from one prompt on. Coverage: 3 of 3 is more than 2.1, so 2.0 alone, and
    what writes into it. Effect: 0.4 of 1.0, and 0.8 of 2.0 in prompt 0, not 0.025 in prompt 1; so
    2.0 is reached in prompt 0 alone. The effect of 2.0 is (0.8 + 0.025) / 2.
    """
    assert rows(two_prompts(), "edges_by_rule") == [
        (1, 0, "head", 2, 0, "dest", "end", 2, 1, near(0.6), "both"),
        (2, 0, "head", 3, 0, "dest", "end", 2, 1, near(0.4125), "both"),
        (1, 0, "head", 3, 0, "dest", "end", 0, 2, near(0.4), "effect"),
    ]


def test_edges_by_rule_with_other_settings() -> None:
    """In both prompts: 0.8 at one of them is too little. 4 > 0.99 * 3 > 3: with 2.1 all is covered,
    and 2.1 is reached. From an effect of 0.5 on 1.0 is none; from 0.02 on 2.0 is one twice.
    """
    con, columns = two_prompts(), ("up_layer", "up_head", "layer", "head", "shown_by")
    frame = run(con, "edges_by_rule", min_share=1.0).select(columns)
    assert set(frame.rows()) == {
        (1, 0, 2, 0, "coverage"), (2, 0, 3, 0, "coverage"), (1, 0, 3, 0, "effect"),
    }  # fmt: skip
    frame = run(con, "edges_by_rule", coverage=1.0, min_effect=0.5).select(columns)
    assert set(frame.rows()) == {
        (1, 0, 2, 0, "both"), (2, 0, 3, 0, "both"), (2, 1, 3, 0, "coverage"),
        (1, 0, 2, 1, "coverage"),
    }  # fmt: skip
    frame = run(con, "edges_by_rule", min_share=1.0, min_effect=0.02).select(columns)
    assert set(frame.rows()) == {
        (1, 0, 2, 0, "both"), (2, 0, 3, 0, "both"), (1, 0, 3, 0, "effect"),
    }  # fmt: skip
    for settings in ({"root_src": "S1"}, {"root_dest": "IO"}, {"firing_weight": 0.95}):
        assert run(con, "edges_by_rule", **settings).is_empty()


@pytest.mark.parametrize("query", ["edges_by_rule", "suppressors", "contribution_vs_effect"])
def test_what_needs_effects_is_refused_without_them(query: str) -> None:
    refusal = (
        f"query {query} needs the attention weight without each upstream component, which "
        "dump.effects=false does not store; make a new run with dump.effects=true"
    )
    with pytest.raises(SvtError, match=refusal):
        run(two_prompts(effects=False), query)
