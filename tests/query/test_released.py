"""`trace=released` against what the released scripts do, path by path from the weights."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from svt.config import TraceConfig
from svt.dataset.prompt import Prompt
from svt.query.named import run
from svt.query.trace import trace
from tests.checkpoints import tiny_gpt2
from tests.compute.runs import prompts_of
from tests.marks import first
from tests.planted import Planted
from tests.settings import TRACE
from tests.slow_models import SlowModel
from tests.slow_released import Edge, counted, visits
from tests.test_planted import store_of

ROOTS = ((3, 0), (3, 1), (3, 2), (2, 0))
RELEASED = replace(
    TRACE, roots=ROOTS, offset="include", nonpositive="top", count="visits", coverage=0.7
)


def some_prompts(seed: int) -> tuple[Prompt, ...]:
    """Random tokens; three of them have a role."""
    return tuple(
        Prompt(
            prompt.prompt_id,
            "",
            prompt.tokens,
            tuple(map(str, prompt.tokens)),
            {"end": len(prompt.tokens) - 1, "S2": 3, "IO": 1},
        )
        for prompt in prompts_of(seed, n_prompts=5, lengths=(6, 9))
    )


def traced(
    folder: Path, prompts: tuple[Prompt, ...], config: TraceConfig
) -> tuple[duckdb.DuckDBPyConnection, dict[Edge, int]]:
    """The connection, and the visits of each edge of the graph."""
    con = store_of(Planted(folder, prompts, ROOTS[0], frozenset(), frozenset(), {}))
    trace(con, config)
    edges = con.execute(
        "SELECT up_layer, up_head, layer, head, side::VARCHAR, role, n_visits FROM graph_edges"
    ).fetchall()
    return con, {edge[:6]: edge[6] for edge in edges}


@pytest.mark.parametrize("seed", first(1, range(3)))
def test_visits_are_those_of_the_released_scripts(tmp_path: Path, seed: int) -> None:
    prompts = some_prompts(seed)
    folder = tiny_gpt2(tmp_path, n_layers=4, n_heads=3, d_model=24, seed=seed, sharp=4.0, n_ctx=16)
    by_prompt = visits(SlowModel(folder), prompts, ROOTS, coverage=0.7)
    wanted = sum(by_prompt, Counter())
    assert any(max(appended.values()) > 1 for appended in by_prompt)  # visits are no prompts
    con, found = traced(folder, prompts, RELEASED)
    assert found == dict(wanted)
    counts = run(con, "released_counts", coverage=0.7)
    keys = ("up_layer", "up_head", "layer", "head", "role", "count")
    assert {row[:5]: row[5] for row in counts.select(keys).rows()} == counted(by_prompt)
    changes: list[dict[str, Any]] = [{"offset": "exclude"}, {"nonpositive": "none"}]
    for change in changes:
        _, other = traced(folder, prompts, replace(RELEASED, **change))
        assert other != found, change
