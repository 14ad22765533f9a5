"""Queries about single heads, their slices and signals: literal rows in, expected rows out."""

from math import sqrt
from typing import Any

import duckdb
import pytest

from svt.query.named import run
from tests.store_rows import StoreRows

AT = {"layer": 3, "head": 0}


def rows(con: duckdb.DuckDBPyConnection, query: str, **params: Any) -> list[tuple[Any, ...]]:
    return run(con, query, **params).rows()


def ids(con: duckdb.DuckDBPyConnection, query: str, **params: Any) -> list[int]:
    return run(con, query, **params)["pair_id"].to_list()


@pytest.fixture
def store() -> StoreRows:
    """3.0 fires from end onto IO in both prompts, once between tokens without roles; 2.1 never."""
    store = StoreRows(n_layers=4, n_heads=2)
    for prompt in (0, 1):
        store.prompt(prompt, {"end": 5, "IO": 2}, n_tokens=6, text=f"text {prompt}")
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
    store.pair((1, 2, 1, 5, 2), weight=0.9, score=-1.0)  # negative score
    return store


def test_slice_usage(store: StoreRows) -> None:
    """Slice 1 (3.0) leads in both firings from end; slice 0 is in the second's signal of two, and
    is the whole signal of the third firing. Contributions of slice 0: 1, 1, 3; of slice 1: 3, 3, 0.
    """
    store.singular_values()
    con = store.connect()
    two_thirds, five_thirds = pytest.approx(2 / 3), pytest.approx(5 / 3)
    expected = [
        (3, 0, 0, 2.0, 3, 2, two_thirds, five_thirds),
        (3, 0, 1, 1.0, 3, 2, two_thirds, 2.0),
    ]
    assert rows(con, "slice_usage") == expected
    assert rows(con, "slice_usage", **AT) == expected
    assert rows(con, "slice_usage", layer=2) == []


def test_slice_usage_by_prompt(store: StoreRows) -> None:
    """Prompt 0: slice 1 alone. Prompt 1: of two firings the one of weight 0.875, both slices."""
    con = store.connect()
    first, second = store.pair_id(0, 3, 0, 5, 2), store.pair_id(1, 3, 0, 5, 2)
    assert rows(con, "slice_usage_by_prompt", **AT) == [
        (0, first, 5, 2, 0.75, 2.0, 1, 2, 1),
        (1, second, 5, 2, 0.875, 2.0, 2, 2, 0),
        (1, second, 5, 2, 0.875, 2.0, 2, 2, 1),
    ]
    by_role = run(con, "slice_usage_by_prompt", **AT, dest_role="end", src_role="IO")
    assert by_role.height == 3
    assert rows(con, "slice_usage_by_prompt", **AT, src_role="S1") == []
    assert rows(con, "slice_usage_by_prompt", **AT, firing_weight=0.8)[0][0] == 1


def test_slice_usage_by_prompt_when_not_firing(store: StoreRows) -> None:
    """2.1 in prompt 0: of scores 1, -2 and -2 the first of the lowest; onto position 0 none."""
    lowest = store.pair((0, 2, 1, 4, 2), weight=0.01, score=-2.0, slices=(0.0, -4.0), n_slices=2)
    store.pair((0, 2, 1, 4, 3), weight=0.01, score=-2.0)
    store.pair((0, 2, 1, 5, 0), weight=0.01, score=-9.0)
    con = store.connect()
    found = run(con, "slice_usage_by_prompt", layer=2, head=1, firing=False)
    assert found.select("prompt_id", "pair_id", "score", "k").rows() == [
        (0, lowest, -2.0, 0),
        (0, lowest, -2.0, 1),
        (1, store.pair_id(1, 2, 1, 5, 2), -1.0, 0),  # its weight is 0.9, but the score negative
    ]
    assert rows(con, "slice_usage_by_prompt", layer=2, head=1) == []
    # 3.0 does not fire with 0.75 if 0.8 is asked for
    found = run(con, "slice_usage_by_prompt", **AT, firing=False, firing_weight=0.8, src_role="IO")
    assert found.select("prompt_id", "weight").rows() == [(0, 0.75)]


def test_slice_counts(store: StoreRows) -> None:
    """Firings of 3.0 with 1, 2 and 1 slices; 2.0 adds one of 2: two of each."""
    store.pair((0, 2, 0, 5, 2), n_slices=2)
    con = store.connect()
    con.execute("""UPDATE store.dump SET config = '{"dataset": {"name": "ioi"}}'""")
    assert rows(con, "slice_counts") == [
        (1, 2, 0.5, 2, "m", "ioi"),
        (2, 2, 0.5, 2, "m", "ioi"),
    ]
    of_head = run(con, "slice_counts", heads=[[3, 0], [0, 2]])
    assert of_head.select("n_slices", "n_firings", "share").rows() == [
        (1, 2, pytest.approx(2 / 3)),
        (2, 1, pytest.approx(1 / 3)),
    ]
    assert run(con, "slice_counts", heads="[[2,0]]")["n_slices"].to_list() == [2]
    by_role = run(con, "slice_counts", dest_role="end", src_role="IO")
    assert by_role.select("n_slices", "n_firings").rows() == [(1, 1), (2, 2)]
    assert rows(con, "slice_counts", src_role="end") == []
    assert run(con, "slice_counts", firing_weight=0.875)["n_firings"].to_list() == [2]


def test_upstream_heatmap(store: StoreRows) -> None:
    """Dest: 2.0 gives (1 + 2 - 1) / 3 over the signal, (4 + 4 - 1) / 3 over all slices; 1.1 gives
    0.5 twice. Src: 0.0 gives 2 twice.
    """
    con = store.connect()
    of_src = ("src", 0, 0, 2.0, 2.0, None, 2)
    assert rows(con, "upstream_heatmap", **AT) == [
        ("dest", 1, 1, 0.5, 0.5, None, 2),
        ("dest", 2, 0, pytest.approx(2 / 3), pytest.approx(7 / 3), None, 3),
        of_src,
    ]
    # from end onto IO only: without the firing between tokens of no role, (1 + 2) / 2
    assert rows(con, "upstream_heatmap", **AT, dest_role="end", src_role="IO") == [
        ("dest", 1, 1, 0.5, 0.5, None, 2),
        ("dest", 2, 0, 1.5, 4.0, None, 2),
        of_src,
    ]
    # in prompt 1: (2 - 1) / 2
    assert rows(con, "upstream_heatmap", **AT, prompt_id=1)[1] == ("dest", 2, 0, 0.5, 1.5, None, 2)
    assert rows(con, "upstream_heatmap", **AT, dest_role="IO") == []


def test_firing_slices(store: StoreRows) -> None:
    store.singular_values()
    pair = store.pair_id(1, 3, 0, 5, 2)
    assert rows(store.connect(), "firing_slices", pair_id=pair) == [
        (0, 2.0, 1.0, 2, True, 1.0, 1.0),
        (1, 1.0, 3.0, 1, True, 1.0, 3.0),
    ]


def test_example_firing(store: StoreRows) -> None:
    """end onto IO is the head's most frequent firing, and prompt 1 has its largest weight."""
    con = store.connect()
    pair = store.pair_id(1, 3, 0, 5, 2)
    assert rows(con, "example_firing", **AT) == [
        (pair, 1, 3, 0, 5, 2, "t5", "t2", "end", "IO", 0.875, 2.0, 2, "text 1")
    ]
    assert ids(con, "example_firing", **AT, prompt_id=0) == [store.pair_id(0, 3, 0, 5, 2)]
    assert ids(con, "example_firing", **AT, prompt_id=2) == []
    # onto tokens without a role it fires more often now, but that says less
    con.execute("DELETE FROM store.roles WHERE prompt_id = 0")
    assert ids(con, "example_firing", **AT) == [pair]
    assert ids(con, "example_firing", **AT, src_role="S1") == []
    assert ids(con, "example_firing", layer=2, head=1) == []


def test_example_not_firing(store: StoreRows) -> None:
    """Beside the firing (5, 2) of prompt 1, as long as there are such pairs: of its prompt with a
    negative score from the same token, then from another, then of its prompt at all, then others.
    """
    firing = store.pair_id(1, 3, 0, 5, 2)
    falling = [
        store.pair((1, 3, 0, 5, 1), weight=0.1, score=-1.0),
        store.pair((1, 3, 0, 4, 2), weight=0.1, score=-8.0),
        store.pair((1, 3, 0, 4, 1), weight=0.1, score=-7.0),
        store.pair((1, 3, 0, 5, 4), weight=0.4, score=1.0),
        store.pair((1, 3, 0, 3, 3), weight=0.4, score=0.5),
        store.pair((0, 3, 0, 5, 3), weight=0.1, score=-9.0),
        store.pair((0, 3, 0, 5, 4), weight=0.1, score=0.0),
    ]
    store.pair((1, 3, 0, 5, 0), weight=0.1, score=-99.0)  # onto the first token
    con = store.connect()
    for pair in falling:
        assert ids(con, "example_not_firing", **AT, beside=firing) == [pair]
        con.execute("DELETE FROM store.pairs WHERE pair_id = ?", [pair])
    assert ids(con, "example_not_firing", **AT, beside=firing) == []


def test_example_not_firing_without_a_firing(store: StoreRows) -> None:
    """The lowest score anywhere, or in the prompt, or of the roles that are asked for."""
    con = store.connect()
    weak, negative = store.pair_id(0, 2, 1, 5, 2), store.pair_id(1, 2, 1, 5, 2)
    at = {"layer": 2, "head": 1}
    assert rows(con, "example_not_firing", **at) == [
        (negative, 1, 2, 1, 5, 2, "t5", "t2", "end", "IO", pytest.approx(0.9), -1.0, 1, "text 1")
    ]
    assert ids(con, "example_not_firing", **at, prompt_id=0) == [weak]
    assert ids(con, "example_not_firing", **at, dest_role="end", src_role="IO") == [negative]
    assert ids(con, "example_not_firing", **at, src_role="end") == []
    assert ids(con, "example_not_firing", **at, dest_role="IO") == []
    assert ids(con, "example_not_firing", **at, prompt_id=0, firing_weight=0.25) == []


def coordinates(store: StoreRows, prompt: int, pos: int, *src_coords: float) -> None:
    for k, coord in enumerate(src_coords):
        store.add(
            "coordinates", prompt_id=prompt, pos=pos, layer=3, head=0, k=k, dest_coord=9.0,
            src_coord=coord,
        )  # fmt: skip


@pytest.fixture
def projected(store: StoreRows) -> StoreRows:
    """Slices 0 and 1, sigma 2 and 1, each in the signal of 2 of 3 firings of 3.0.

    In token t2, a name: coordinates (2, 1) and (4, 3); in t5: (4, 0) once.
    """
    store.singular_values()
    coordinates(store, 0, 2, 2.0, 1.0)
    coordinates(store, 1, 2, 4.0, 3.0)
    coordinates(store, 1, 5, 4.0, 0.0)
    return store


def test_signal_by_token(projected: StoreRows) -> None:
    """Sizes in t2: sqrt(4/2 + 1/1) and sqrt(16/2 + 9/1); in t5 sqrt(16/2)."""
    con = projected.connect()
    assert rows(con, "signal_by_token", **AT, min_firings=2) == [
        ("t2", True, 2, pytest.approx((sqrt(3) + sqrt(17)) / 2), 2, 2, 3),
        ("t5", False, 1, pytest.approx(sqrt(8)), 2, 2, 3),
    ]
    # the firing of prompt 1 from weight 0.8 on has both slices
    assert rows(con, "signal_by_token", **AT, min_firings=1, firing_weight=0.8)[0][4:] == (2, 1, 1)


def test_signal_by_token_of_some_slices(projected: StoreRows) -> None:
    """From end onto IO slice 1 is in 2 signals, slice 0 in 1: of 2 firings slice 1 alone.

    Sizes in t2: 1 and 3; in t5: 0.
    """
    con = projected.connect()
    found = rows(con, "signal_by_token", **AT, min_firings=2, dest_role="end", src_role="IO")
    assert found == [("t2", True, 2, 2.0, 1, 2, 2), ("t5", False, 1, 0.0, 1, 2, 2)]


def test_signal_by_token_without_a_consensus(projected: StoreRows) -> None:
    """No slice is in 100 of 3 signals, so those in half, ceil(3 / 2) = 2, are taken: both.

    A fourth and a fifth firing without a signal: half is 3, and no slice is in 3 signals.
    """
    con = projected.connect()
    assert [row[4:] for row in rows(con, "signal_by_token", **AT)] == [(2, 2, 3), (2, 2, 3)]
    for src in (1, 2):
        projected.pair((0, 3, 0, 4, src), n_slices=0)
    found = rows(projected.connect(), "signal_by_token", **AT)
    assert [row[3:] for row in found] == [(0.0, 0, 3, 5), (0.0, 0, 3, 5)]
    # nor does a head without firings have one
    assert rows(con, "signal_by_token", **AT, dest_role="S1")[0][3:] == (0.0, 0, 0, 0)


def test_signal_by_token_without_coordinates(projected: StoreRows) -> None:
    assert rows(projected.connect(), "signal_by_token", layer=2, head=0) == []


def test_names_in_signal_by_token_are_io_s1_or_s2_somewhere() -> None:
    """t2, t3 and t4 are names in prompt 0, t5 is its end; in prompt 1 none has a role."""
    store = StoreRows(n_layers=4, n_heads=1)
    store.singular_values()
    store.prompt(0, {"IO": 2, "S1": 3, "S2": 4, "end": 5})
    store.prompt(1)
    store.pair((1, 3, 0, 5, 2))
    for pos in (1, 2, 3, 4, 5):
        coordinates(store, 1, pos, 1.0, 0.0)
    found = run(store.connect(), "signal_by_token", **AT)
    names = found.filter("is_name").get_column("token").sort().to_list()
    assert (names, found.height) == (["t2", "t3", "t4"], 5)


def test_coordinate_heads(projected: StoreRows) -> None:
    projected.add(
        "coordinates", prompt_id=0, pos=0, layer=2, head=1, k=0, dest_coord=0.0, src_coord=0.0
    )
    assert rows(projected.connect(), "coordinate_heads") == [(2, 1), (3, 0)]
