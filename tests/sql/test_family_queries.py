"""Families of prompts and what tells them apart, and the queries behind a head's card."""

from dataclasses import replace

import duckdb
import pytest

from svt.query.named import run
from svt.query.trace import trace
from tests.settings import TRACE
from tests.store_rows import StoreRows


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    """Prompts 0 to 5 are reached through 0.0 and order ABBA, 6 to 9 through 0.1 and BABA."""
    store = StoreRows(n_layers=2, n_heads=2)
    for prompt in range(10):
        abba = prompt < 6
        store.prompt(
            prompt,
            {"end": 5, "IO": 2, "S1": 3},
            n_tokens=6,
            pattern="ABBA" if abba else "BABA",
            template="odd" if prompt % 2 else "even",
        )
        writer = 0 if abba else 1
        store.pair((prompt, 1, 0, 5, 2), dest={(0, writer): 1.0}, src={(0, 1 - writer): 1.0})
        store.pair((prompt, 0, writer, 5, 3))
    con = store.connect()
    trace(con, replace(TRACE, roots=((1, 0),)))
    return con


def test_prompt_families(con: duckdb.DuckDBPyConnection) -> None:
    """Families are the orders; 3 of 6 and 2 of 4 prompts have each template: less than chance."""
    first, second = run(con, "prompt_families").to_dicts()
    assert (first["n_prompts"], first["pattern"], first["pattern_share"]) == (6, "ABBA", 1.0)
    assert (second["n_prompts"], second["pattern"]) == (4, "BABA")
    assert (first["template_share"], second["template_share"]) == (0.5, 0.5)
    assert first["rand_pattern"] == pytest.approx(1.0)
    # same both: 3 + 3 + 1 + 1 = 8; same family 15 + 6 = 21; same template 10 + 10 = 20; all 45
    assert first["rand_template"] == pytest.approx((8 - 21 * 20 / 45) / (20.5 - 21 * 20 / 45))
    assert {first["goes_by"], second["goes_by"]} == {"pattern"}
    assert set(run(con, "prompt_families", least_agreement=1.1)["goes_by"]) == {"neither"}


def test_family_heads(con: duckdb.DuckDBPyConnection) -> None:
    """The root 1.0 fires in every prompt, so it tells nothing apart."""
    heads = run(con, "family_heads").filter(family=1)
    columns = ("layer", "head", "dest_role", "src_role", "share", "share_others")
    assert heads.select(columns).rows() == [
        (0, 0, "end", "S1", 1.0, 0.0),
        (0, 1, "end", "S1", 0.0, 1.0),
    ]
    assert run(con, "family_heads", min_difference=0).height == 6


def test_family_members(con: duckdb.DuckDBPyConnection) -> None:
    members = run(con, "family_members")
    assert members["place"].to_list() == list(range(10))
    assert set(members.filter(family=1)["prompt_id"]) == set(range(6))


@pytest.fixture
def card() -> duckdb.DuckDBPyConnection:
    """Head 0.0: in prompt 0 weights 0.98 and 0.6, in prompt 1 0.77, a sampled 0.05, one to BOS."""
    store = StoreRows(n_layers=1, n_heads=2)
    for prompt in (0, 1):
        store.prompt(prompt, {"end": 3, "IO": 1}, n_tokens=4)
    store.pair((0, 0, 0, 3, 1), weight=0.98)
    store.pair((0, 0, 0, 2, 1), weight=0.6)
    store.pair((1, 0, 0, 3, 2), weight=0.77)
    store.pair((1, 0, 0, 2, 1), weight=0.05)
    store.pair((1, 0, 0, 1, 0), weight=0.9)
    for prompt, head, effect in ((0, 0, 1.0), (1, 0, -0.5), (0, 1, 2.0), (1, 1, 2.0)):
        store.add("head_effects", prompt_id=prompt, layer=0, head=head, logit_diff_effect=effect)
    return store.connect()


def test_head_firings(card: duckdb.DuckDBPyConnection) -> None:
    """One a prompt; the first token as source never fires."""
    rows = run(card, "head_firings", layer=0, head=0, firing_weight=0.5)
    columns = ("prompt_id", "dest", "src", "dest_role", "src_role", "tokens")
    tokens = ["t0", "t1", "t2", "t3"]
    assert rows.select(columns).rows() == [
        (0, 3, 1, "end", "IO", tokens),
        (1, 3, 2, "end", None, tokens),
    ]
    assert run(card, "head_firings", layer=0, head=0, firing_weight=0.5, n_firings=1).height == 1


def test_head_weights(card: duckdb.DuckDBPyConnection) -> None:
    """0.6 lies in the bin from 0.6, 0.77 in that from 0.75, 0.98 in the last."""
    rows = run(card, "head_weights", layer=0, head=0)
    assert rows.height == 20
    filled = rows.filter(n_pairs=1).select("low", "share", "n_prompts").rows()
    assert filled == [(low, pytest.approx(1 / 3), 1) for low in (0.6, 0.75, 0.95)]
    assert run(card, "head_weights", layer=0, head=1).is_empty()


def test_head_answer(card: duckdb.DuckDBPyConnection) -> None:
    """The mean of 1 and -0.5; 0.1 writes 2 and goes first."""
    (row,) = run(card, "head_answer", layer=0, head=0).to_dicts()
    assert (row["mean"], row["share_positive"], row["place"], row["n_heads"]) == (0.25, 0.5, 2, 2)
    assert (row["n_prompts"], row["low"], row["high"]) == (
        *(2, pytest.approx(-0.4625), pytest.approx(0.9625)),
    )


def test_answer_edges(card: duckdb.DuckDBPyConnection) -> None:
    """Means 2 and 0.25 of a positive sum of 2.25; the root stays however little it writes."""
    assert run(card, "answer_edges", min_share=0.5).select("layer", "head").rows() == [(0, 1)]
    card.execute(
        "INSERT INTO results.run BY NAME SELECT '0' svt_version, '{}' config, 'x' "
        "store_path, '[[0,0]]' roots, 2 n_prompts, 'done' status"
    )
    rows = run(card, "answer_edges", min_share=0.5)
    assert rows.select("head", "is_root", "n_prompts", "n_positive", "mean").rows() == [
        (1, False, 2, 2, 2.0),
        (0, True, 2, 1, 0.25),
    ]
    assert rows["share"].to_list() == pytest.approx([2 / 2.25, 0.25 / 2.25])


def test_prompt_answer(card: duckdb.DuckDBPyConnection) -> None:
    """In prompt 1 0.1 writes 2 and 0.0 takes 0.5 away; the root is kept at any share."""
    card.execute(
        "INSERT INTO results.run BY NAME SELECT '0' svt_version, '{}' config, 'x' "
        "store_path, '[[0,0]]' roots, 2 n_prompts, 'done' status"
    )
    columns = ("layer", "head", "is_root", "pos", "effect", "share")
    rows = run(card, "prompt_answer", prompt_id=1, min_share=0.5).select(*columns).rows()
    assert rows == [(0, 1, False, 3, 2.0, 1.0), (0, 0, True, 3, -0.5, -0.25)]
    assert run(card, "prompt_answer", prompt_id=9).is_empty()
