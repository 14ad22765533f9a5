"""Queries over a store: literal rows in, expected rows out."""

from typing import Any

import duckdb
import polars as pl
import pytest

from svt.errors import SvtError
from svt.query.named import run
from tests.store_rows import StoreRows, insert


def rows(con: duckdb.DuckDBPyConnection, query: str, **params: Any) -> list[tuple[Any, ...]]:
    return run(con, query, **params).rows()


def two_prompts() -> StoreRows:
    """3.0 fires from end onto IO in both prompts, once between tokens without roles; 2.1 never."""
    store = StoreRows(n_layers=4, n_heads=2)
    for prompt in (0, 1):
        store.prompt(
            prompt, {"end": 5, "IO": 2}, n_tokens=6, text=f"text {prompt}",
            logit_diff=1.0 + prompt, correct=prompt == 0,
        )  # fmt: skip
        store.pair(
            (prompt, 3, 0, 5, 2),
            weight=0.75 + prompt / 8,
            score=2.0,
            dest={(2, 0): (1.0 + prompt, 4.0), (1, 1): 0.5},
            src={(0, 0): 2.0},
            slices=(1.0, 3.0),
            n_slices=1 + prompt,
        )
    store.pair((1, 3, 0, 4, 3), weight=0.5, dest={(2, 0): -1.0}, slices=(3.0, 0.0), n_slices=1)
    store.pair((0, 2, 1, 5, 2), weight=0.25)  # too weak
    store.pair((0, 2, 1, 5, 0), weight=0.9)  # onto position 0
    store.pair((1, 2, 1, 5, 2), weight=0.9, score=-1.0)  # negative score
    return store


def test_summary() -> None:
    """Two prompts of six tokens, one answered rightly, mean difference (1 + 2) / 2; six pairs.

    Three fire, all of 3.0: 1.5 a prompt, with 1, 2 and 1 slices in the signal. Upstream rows: 3 a
    firing from end, 1 of the third.
    """
    assert rows(two_prompts().connect(), "summary") == [
        ("m", 4, 2, 2, 12, 0.5, 1.5, 6, 3, 1.5, 1, 1.0, 7)
    ]


def test_summary_of_a_store_without_answers() -> None:
    store = StoreRows()
    store.prompt(0)
    (row,) = run(store.connect(), "summary").to_dicts()
    assert (row["accuracy"], row["mean_logit_diff"], row["firing_pairs"]) == (None, None, 0)


def test_firings() -> None:
    """Onto IO in both prompts with weights 0.75 and 0.875; once between tokens without roles."""
    con = two_prompts().connect()
    assert rows(con, "firings") == [
        (3, 0, "end", "IO", 2, 2, 0.8125),
        (3, 0, None, None, 1, 1, 0.5),
    ]
    assert rows(con, "firings", min_prompts=2) == [(3, 0, "end", "IO", 2, 2, 0.8125)]
    assert rows(con, "firings", firing_weight=0.875) == [(3, 0, "end", "IO", 1, 1, 0.875)]


def test_signal_sizes() -> None:
    """Sizes 1, 2 and 1: mean 4/3 of the 8 that a head of width 8 would have."""
    con = two_prompts().connect()
    con.execute("UPDATE store.dump SET d_head = 8")
    assert rows(con, "signal_sizes") == [
        (3, 0, 3, 1, 1.0, pytest.approx(4 / 3), 2, pytest.approx(1 / 6))
    ]


def test_upstream_of() -> None:
    """Into dest of 3.0: 2.0 gives 1, 2 and -1 in three firings, 1.1 gives 0.5 in two.

    Totals 1.5, 2.5 and -1. With coverage 0.5 the first is passed by 1 > 0.75, the second by 2 >
    1.25: 2.0 is significant twice, 1.1 never; with 0.75, 1 <= 1.125 lets 1.1 in once. The total of
    -1 keeps none.
    """
    con = two_prompts().connect()
    at = {"layer": 3, "head": 0, "side": "dest"}
    assert rows(con, "upstream_of", **at, coverage=0.5) == [
        ("head", 2, 0, 3, 2, pytest.approx(2 / 3), pytest.approx(7 / 3), None),
        ("head", 1, 1, 2, 0, 0.5, 0.5, None),
    ]
    assert [row[4] for row in rows(con, "upstream_of", **at, coverage=0.75)] == [2, 1]
    # only where the token is end: 1 and 2 of 2.0
    assert rows(con, "upstream_of", **at, role="end")[0][3:] == (2, 2, 1.5, 4.0, None)
    assert rows(con, "upstream_of", **(at | {"side": "src"})) == [
        ("head", 0, 0, 2, 2, 2.0, 2.0, None)
    ]


def test_upstream_of_other_components() -> None:
    store = StoreRows()
    store.prompt(0, {"end": 5})
    store.pair((0, 3, 0, 5, 2), dest={(2, 0): 1.0, ("mlp", 1): 3.0})
    assert rows(store.connect(), "upstream_of", layer=3, head=0, side="dest") == [
        ("mlp", 1, None, 1, 0, 3.0, 3.0, None),
        ("head", 2, 0, 1, 1, 1.0, 1.0, None),
    ]


def test_effects_of_upstream_components() -> None:
    """Without 2.0 weights of 0.8 and 0.6 become 0.2 and 1: effects 0.6 and -0.4, on average 0.1;
    1.0, in one of the two, makes no difference: its weight without it is the pair's.
    """
    store = StoreRows(effects=True)
    store.prompt(0, {"end": 5})
    store.pair((0, 3, 0, 5, 2), weight=0.8, dest={(2, 0): (1.0, 1.0, 0.2), (1, 0): 0.0})
    store.pair((0, 3, 0, 4, 2), weight=0.6, dest={(2, 0): (1.0, 1.0, 1.0)})
    con = store.connect()

    def near(effect: float) -> Any:
        return pytest.approx(effect, abs=1e-5)  # stored in steps of 1/65535

    of = {"layer": 3, "head": 0}
    found = run(con, "upstream_of", **of, side="dest").select("up_layer", "n_firings", "effect")
    assert found.rows() == [(2, 2, near(0.1)), (1, 1, near(0.0))]
    heat = run(con, "upstream_heatmap", **of).select("up_layer", "effect", "n_firings")
    assert heat.rows() == [(1, near(0.0), 1), (2, near(0.1), 2)]
    kept = run(con, "significant", **of).sort("dest").select("up_layer", "dest", "effect")
    assert kept.rows() == [(2, 4, near(-0.4)), (2, 5, near(0.6))]


def test_significant() -> None:
    """Contributions 4, 2, 2, -1 sum to 7; ties by layer and head. Coverage 0.5: 4 > 3.5 keeps one;
    0.7: 4 <= 4.9, 6 > 4.9 keeps two; 0.9: 6 <= 6.3 keeps three. The src side sums to -1: none, or
    its top.
    """
    store = StoreRows(n_layers=4, n_heads=3)
    store.prompt(0, {"end": 5})
    pair = store.pair(
        (0, 3, 0, 5, 2),
        dest={(0, 0): 2.0, (0, 1): 4.0, (1, 0): 2.0, (2, 2): -1.0},
        src={(0, 0): -3.0, (1, 0): 2.0},
        offsets=(1.0, 1.0, 0.0, 0.0),
    )
    con = store.connect()

    def kept(**params: Any) -> list[tuple[Any, ...]]:
        found = run(con, "significant", **params)
        assert found["pair_id"].unique().to_list() == [pair]
        return found.select("side", "up_layer", "up_head", "contribution").rows()

    assert kept(coverage=0.5) == [("dest", 0, 1, 4.0)]
    assert kept() == [("dest", 0, 1, 4.0), ("dest", 0, 0, 2.0)]  # 0.7
    assert kept(coverage=0.9) == [("dest", 0, 1, 4.0), ("dest", 0, 0, 2.0), ("dest", 1, 0, 2.0)]
    assert kept(nonpositive="top")[2:] == [("src", 1, 0, 2.0)]
    # with an offset of 1 each: 5, 3, 3, 0 sum to 11 and 5 <= 5.5 < 8; src sums to 3 - 2 = 1 < 3
    assert kept(coverage=0.5, offset="include") == [
        ("dest", 0, 1, 5.0),
        ("dest", 0, 0, 3.0),
        ("src", 1, 0, 3.0),
    ]
    assert rows(con, "significant", layer=2) == []
    assert len(rows(con, "significant", layer=3, head=0)) == 2


def test_significant_by_effect() -> None:
    """Of 0.9 the removals leave 0.3, 0.85 and 0.2: 0.6 and 0.7 are lost, for any contribution."""
    store = StoreRows(n_layers=4, n_heads=3, effects=True)
    store.prompt(0, {"end": 5})
    ups = {(0, 0): (-2.0, 0.0, 0.3), (0, 1): (4.0, 0.0, 0.85), (1, 0): (2.0, 0.0, 0.2)}
    store.pair((0, 3, 0, 5, 2), dest=ups)
    con = store.connect()

    def kept(**params: Any) -> list[tuple[Any, ...]]:
        found = run(con, "significant", rule="effect", **params)
        return found.select("up_layer", "up_head", "contribution").rows()

    assert kept() == [(1, 0, 2.0), (0, 0, -2.0)]  # 0.05
    assert kept(min_effect=0.65) == [(1, 0, 2.0)]


def test_significant_by_effect_needs_effects() -> None:
    store = StoreRows(n_layers=4, n_heads=3)
    with pytest.raises(SvtError, match="query significant needs the attention weight without"):
        run(store.connect(), "significant", rule="effect")


def test_significant_of_all_components_and_slices() -> None:
    """Over all slices the heads give 1 and 5, the MLP 6: 6 <= 0.7 * 12 < 11 keeps MLP and 1.0."""
    store = StoreRows(n_layers=4, n_heads=3)
    store.prompt(0, {"end": 5})
    store.pair((0, 3, 0, 5, 2), dest={(0, 0): (9.0, 1.0), (1, 0): (1.0, 5.0), ("mlp", 1): 6.0})
    con = store.connect()
    found = run(con, "significant", slices="all", components="all")
    assert found.select("component", "up_layer", "up_head", "contribution").rows() == [
        ("mlp", 1, None, 6.0),
        ("head", 1, 0, 5.0),
    ]
    # the heads alone over all slices: 5 > 0.7 * 6
    found = run(con, "significant", slices="all")
    assert found.select("up_layer", "up_head").rows() == [(1, 0)]


def test_significant_adds_the_offset_to_heads_alone() -> None:
    """Heads 3 and 2, MLP 3.5, an offset of 1 a head: 4, 3.5 and 3 sum to 10.5.

    Coverage 0.375: 4 > 3.9375 keeps 0.0 alone. Were the offset the MLP's too, 4.5 of 11.5 would be
    first. 0.75: 7.5 <= 7.875 keeps all. An offset of -3 leaves 0, -1 and 3.5: 3.5 of 2.5.
    """
    store = StoreRows(n_layers=4, n_heads=3)
    store.prompt(0, {"end": 5})
    ups: dict[tuple[Any, ...], float] = {(0, 0): 3.0, (1, 0): 2.0, ("mlp", 1): 3.5}
    store.pair((0, 3, 0, 5, 2), dest=ups, src=ups, offsets=(1.0, -3.0, 0.0, 0.0))
    con = store.connect()

    def kept(side: str, coverage: float) -> list[tuple[Any, ...]]:
        found = run(con, "significant", components="all", offset="include", coverage=coverage)
        return found.filter(side=side).select("component", "up_layer", "contribution").rows()

    assert kept("dest", 0.375) == [("head", 0, 4.0)]
    assert kept("dest", 0.75) == [("head", 0, 4.0), ("mlp", 1, 3.5), ("head", 1, 3.0)]
    assert kept("src", 0.75) == [("mlp", 1, 3.5)]


def test_significant_keeps_a_small_component_that_is_needed() -> None:
    """1 and 1/128 sum to 1.0078: 1 <= 0.999 * 1.0078 = 1.0068 needs the second; 0.99 does not."""
    store = StoreRows(n_layers=4, n_heads=3)
    store.prompt(0, {"end": 5})
    store.pair((0, 3, 0, 5, 2), dest={(0, 0): 1.0, (1, 0): 1 / 128})
    con = store.connect()
    for slices in ("signal", "all"):
        found = run(con, "significant", slices=slices, coverage=0.999)
        assert found["contribution"].to_list() == [1.0, 1 / 128]
        assert run(con, "significant", slices=slices, coverage=0.99).height == 1


def effects(store: StoreRows, values: dict[tuple[int, int], float], prompts: int = 1) -> None:
    for prompt in range(prompts):
        for (layer, head), effect in values.items():
            store.add(
                "head_effects", prompt_id=prompt, layer=layer, head=head, logit_diff_effect=effect
            )


def test_auto_roots() -> None:
    """Positive effects sum to 3 + 2 + 2 + 1 = 8. Taken are 3.0 (0 carried before, below 4) and 3.1
    (3), not 2.0 (5). 2.1 never fires from end, or it would have come before 3.1. 1.0 is negative.
    """
    store = StoreRows(n_layers=4, n_heads=2)
    store.prompt(0, {"end": 5, "IO": 2})
    for layer, head in ((3, 0), (3, 1), (2, 0), (1, 0)):
        store.pair((0, layer, head, 5, 1 + (layer == 2)))
    store.pair((0, 2, 1, 4, 1))
    effects(store, {(3, 0): 3.0, (2, 1): 2.0, (3, 1): 2.0, (2, 0): 1.0, (1, 0): -5.0})
    con = store.connect()
    assert rows(con, "auto_roots") == [(3, 0, 3.0, 1.0), (3, 1, 2.0, 1.0)]


def test_auto_roots_stop_where_half_is_carried() -> None:
    """Effects 2, 1 and 1 sum to 4: 3.0 carries 2, which is half, so 3.1 is not taken."""
    store = StoreRows(n_layers=4, n_heads=2)
    store.prompt(0, {"end": 5})
    for layer, head in ((3, 0), (3, 1), (2, 0)):
        store.pair((0, layer, head, 5, 1))
    effects(store, {(3, 0): 2.0, (3, 1): 1.0, (2, 0): 1.0})
    assert rows(store.connect(), "auto_roots") == [(3, 0, 2.0, 1.0)]


def test_auto_roots_fire_on_any_source() -> None:
    """3.0 fires from end onto IO in one prompt, onto another token in the other: in both."""
    store = StoreRows(n_layers=4, n_heads=2)
    for prompt in range(2):
        store.prompt(prompt, {"end": 5, "IO": 2})
        store.pair((prompt, 3, 0, 5, 2 + prompt))
    effects(store, {(3, 0): 1.0}, prompts=2)
    con = store.connect()
    insert(con, "results.run", [{"config": '{"trace": {"root_src": "IO"}}'}])
    assert rows(con, "auto_roots") == [(3, 0, 1.0, 1.0)]


def test_auto_roots_fire_in_half_of_the_prompts() -> None:
    """3.0 fires twice in one of two prompts, which is enough; one of three is too few."""
    store = StoreRows(n_layers=4, n_heads=2)
    for prompt in range(2):
        store.prompt(prompt, {"end": 5})
    store.pair((0, 3, 0, 5, 1), weight=0.5)
    store.pair((0, 3, 0, 5, 2), weight=0.5)
    effects(store, {(3, 0): 1.0, (2, 0): 0.5}, prompts=2)
    assert rows(store.connect(), "auto_roots") == [(3, 0, 1.0, 0.5)]
    store.prompt(2, {"end": 5})
    assert rows(store.connect(), "auto_roots") == []


def test_contribution_vs_effect() -> None:
    """2.0 gives 4, 0.0 and 1.0 give 2, 1.1 gives -1 of 7; effects 0.6, 0.03, 0 and 0.15. A head is
    kept from the share of the total before it: 0, 4/7, 6/7 and never. Half keeps 2.0 alone, 0.6
    also 0.0, 0.9 three. Ranks with shared means: 4.5 3 3 1.5 and 4.5 2.5 1.5 3.5, whose
    correlation is 1.5 / sqrt(4.5 * 5).
    """
    store = StoreRows(effects=True)
    store.prompt(0, {"end": 5})
    dest = {
        (2, 0): (4.0, 4.0, 0.3), (0, 0): (2.0, 2.0, 0.87),
        (1, 0): (2.0, 2.0, 0.9), (1, 1): (-1.0, -1.0, 0.75),
    }  # fmt: skip
    store.pair((0, 3, 0, 5, 2), weight=0.9, dest=dest)
    found = run(store.connect(), "contribution_vs_effect").filter(pl.col("layer").is_null())
    assert found["spearman"].to_list() == pytest.approx([1.5 / 22.5**0.5] * 60)
    at = found.filter(pl.col("coverage").is_in([0.5, 0.6, 0.9]))
    columns = ("n_kept", "n_matter", "n_hits", "precision", "recall")
    assert at.filter(pl.col("min_effect") == 0.02).select(columns).rows() == [
        (1, 3, 1, 1.0, pytest.approx(1 / 3)),
        (2, 3, 2, 1.0, pytest.approx(2 / 3)),
        (3, 3, 2, pytest.approx(2 / 3), pytest.approx(2 / 3)),
    ]
    assert at.filter(pl.col("min_effect") == 0.1).select(columns).rows() == [
        (1, 2, 1, 1.0, 0.5), (2, 2, 1, 0.5, 0.5), (3, 2, 1, pytest.approx(1 / 3), 0.5),
    ]  # fmt: skip
    of_head = run(store.connect(), "contribution_vs_effect", layer=3, head=0)
    assert of_head.filter(pl.col("layer") == 3).height == 60


def test_a_total_below_zero_keeps_no_head() -> None:
    store = StoreRows(effects=True)
    store.prompt(0, {"end": 5})
    store.pair((0, 3, 0, 5, 2), weight=0.9, dest={(2, 0): (-2.0, -2.0, 0.3), (1, 0): 1.0})
    found = run(store.connect(), "contribution_vs_effect").filter(pl.col("coverage") == 1.0)
    assert set(found.select("n_kept", "n_hits", "precision").rows()) == {(0, 0, None)}


def test_suppressors() -> None:
    """Without 2.0 weights of 0.6 and 0.7 rise to 0.8: by 0.15 on average; without 1.0 one rises by
    0.02 and one falls by 0.02. 2.1 raises the weight once only.
    """
    store = StoreRows(effects=True)
    for prompt, weight, rise in ((0, 0.6, 0.02), (1, 0.7, -0.02)):
        store.prompt(prompt, {"end": 5, "IO": 2})
        more = {(2, 1): (1.0, 1.0, 0.9)} if prompt else {}
        ups = {(2, 0): (-1.0 - prompt, 0.0, 0.8), (1, 0): (1.0, 1.0, weight + rise), **more}
        store.pair((prompt, 3, 0, 5, 2), weight=weight, dest=ups)
    assert rows(store.connect(), "suppressors", min_firings=2) == [
        (3, 0, "dest", "end", "head", 2, 0, 2, pytest.approx(-0.15, abs=1e-5), -1.5),
    ]


def test_pairs_named() -> None:
    """Every stored pair, named; it fires from a weight on, onto another token than the first."""
    con = two_prompts().connect()
    found = run(con, "pairs_named")
    assert found.height == 6
    assert found.filter("fires").select("prompt_id", "dest_role", "src_role", "weight").rows() == [
        (0, "end", "IO", 0.75),
        (1, None, None, 0.5),
        (1, "end", "IO", 0.875),
    ]
    (row,) = found.filter(prompt_id=0, layer=3).to_dicts()
    assert (row["dest_token"], row["src_token"]) == ("t5", "t2")
    assert run(con, "pairs_named", firing_weight=0.8)["fires"].sum() == 1
