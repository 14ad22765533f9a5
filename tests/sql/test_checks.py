"""Every check of sql/checks passes a sound store and fires on a poisoned one."""

from __future__ import annotations  # DuckDB complains of types that pytest keeps to the end

import duckdb
import pytest

from svt.db.catalog import use_catalog
from svt.errors import SvtError
from svt.paths import sql_dir
from svt.store.checks import run_checks
from tests.store_rows import StoreRows

CHECKS = sorted(file.stem for file in (sql_dir() / "checks").glob("*.sql"))

# Each check with changes of which every single one must make it fire.
POISON = {
    "answers_whole": [
        "DELETE FROM answers WHERE kind = 'distractor'",
        "DELETE FROM answers WHERE token = ' a'",
        "UPDATE prompts SET answer = null",
        "UPDATE prompts SET answer = ' b| a'",
        "UPDATE answers SET kind = 'other' WHERE kind = 'distractor'",
        "UPDATE answers SET token_id = 1",
        "INSERT INTO answers VALUES (9, 'answer', 1, 'x')",
    ],
    "closure": [
        "UPDATE sides SET closure = 0.5 WHERE side = 'dest'",
        "UPDATE sides SET closure = 'nan' WHERE side = 'src'",
    ],
    "head_effects_whole": [
        "DELETE FROM head_effects WHERE layer = 2 AND head = 1",
        "INSERT INTO head_effects SELECT 7, layer, head, 0 FROM head_effects",
        "UPDATE head_effects SET logit_diff_effect = 'nan' WHERE layer = 0",
    ],
    "pair_ids": [
        "UPDATE pairs SET pair_id = pair_id + 1 WHERE layer = 2",
        "INSERT INTO pairs SELECT * FROM pairs WHERE layer = 2",
    ],
    "pairs_flagged": [
        "UPDATE pairs SET eligible = NOT eligible",
        "UPDATE pairs SET sampled = true WHERE weight > 0.5",
        "UPDATE pairs SET sampled = false WHERE weight < 0.1",
        """UPDATE dump SET config = '{"dump": {"min_weight": 0.1, "pairs": "eligible"}}'""",
        "UPDATE pairs SET weight = 'nan' WHERE layer = 2",
    ],
    "pairs_inside": [
        "DELETE FROM prompts",
        "UPDATE pairs SET dest = 6 WHERE layer = 2",
        "UPDATE pairs SET src = dest + 1 WHERE layer = 2",
        "UPDATE pairs SET head = 2 WHERE layer = 2",
    ],
    "pairs_whole": [
        "UPDATE pair_slices SET dest_coords = dest_coords[:1]",
        "UPDATE pair_slices SET src_coords = [1, null]",
        "UPDATE pair_slices SET dest_coords = [1, 1, 1], src_coords = [1, 1, 1]",
        "DELETE FROM pair_slices",
        "INSERT INTO pair_slices FROM pair_slices",
        "DELETE FROM sides WHERE side = 'src'",
        "DELETE FROM pairs WHERE layer = 2",
    ],
    "prompt_ids": ["INSERT INTO prompts SELECT * FROM prompts"],
    "prompt_tokens": [
        "DELETE FROM tokens WHERE pos = 3",
        "UPDATE tokens SET pos = 4 WHERE pos = 3",
        "DELETE FROM tokens",
        "INSERT INTO tokens VALUES (9, 0, 0, 'x')",
    ],
    "role_positions": [
        "UPDATE roles SET pos = 6 WHERE role = 'end'",
        "UPDATE roles SET pos = 5 WHERE role = 'IO'",
        "UPDATE roles SET role = 'end' WHERE role = 'IO'",
        "INSERT INTO roles VALUES (9, 'end', 1)",
    ],
    "sides_total": [
        "UPDATE sides SET total = total + 0.01 WHERE side = 'src'",
        "UPDATE sides SET total_all = 'nan' WHERE side = 'src'",
        "UPDATE sides SET n_heads = n_heads + 1",
        "UPDATE sides SET total_all = null",
        "UPDATE pair_upstream SET contributions = ['nan'::FLOAT, 0, 0, 0] WHERE component = 'head'",
        "UPDATE pair_upstream SET contributions_all = [9, 9, 0, 0] WHERE component = 'head'",
        "UPDATE pair_upstream SET contributions = [0, 9, 0, 0] WHERE component = 'head'",
        "DELETE FROM pair_upstream WHERE component = 'head'",
        "DELETE FROM sides WHERE side = 'src'",
    ],
    "signal_reaches_score": ["UPDATE pair_slices SET signal = signal[2:]"],
    "singular_values_whole": [
        "DELETE FROM singular_values WHERE layer = 1",
        "DELETE FROM singular_values",
        "UPDATE singular_values SET sigma = 3 - sigma",
        "UPDATE singular_values SET sigma = 'nan' WHERE k = 0 AND layer = 1",
    ],
    "slice_ranks": [
        "UPDATE pair_slices SET signal = [1]",
        "UPDATE pair_slices SET signal = [0, 1] WHERE signal = [1, 0]",
        "UPDATE pair_slices SET signal = [0, 0] WHERE len(signal) = 2",
        "UPDATE pair_slices SET signal = [0, 2] WHERE len(signal) = 2",
        "UPDATE pair_slices SET signal = []",
        "UPDATE pairs SET n_slices = 2",
    ],
    "slices_sum_to_score": [
        "UPDATE pairs SET omega_score = omega_score + 0.01 WHERE layer = 2",
        "UPDATE pair_slices SET src_coords = ['nan'::FLOAT, 1]",
        "UPDATE pair_slices SET dest_coords = [1, 2]",
        "UPDATE pairs SET residual = 0.5 WHERE layer = 2",
    ],
    "upstream_whole": [
        "UPDATE pair_upstream SET contributions = contributions[:1] WHERE component = 'mlp'",
        "UPDATE pair_upstream SET contributions = [0, null] WHERE component = 'mlp'",
        "UPDATE pair_upstream SET contributions = ['nan'::FLOAT] WHERE component = 'embed'",
        "UPDATE pair_upstream SET contributions = [0, 0] WHERE component = 'embed'",
        "UPDATE pair_upstream SET contributions_all = contributions_all[:1]",
        "UPDATE pair_upstream SET contributions_all = null",
        "UPDATE pair_upstream SET weights_without = [1]",
        "UPDATE pair_upstream SET weights_without = null WHERE component = 'embed'",
        "UPDATE pair_upstream SET weights_without = [1, null] WHERE component = 'mlp'",
        """UPDATE dump SET config = '{"dump": {"all_slices": true}}'""",
        "UPDATE pair_upstream SET pair_id = 3",
        "DELETE FROM pair_upstream WHERE component = 'embed' AND side = 'src'",
        "INSERT INTO pair_upstream FROM pair_upstream",
        "DELETE FROM writers WHERE component = 'embed'",
    ],
    "weights_without": [
        "UPDATE pairs SET dest = 0, src = 0 WHERE layer = 2",
    ],
    "writers_whole": [
        "UPDATE writers SET writer = writer + 1",
        "UPDATE writers SET up_head = 1 - up_head",
        "UPDATE writers SET up_layer = null",
        "UPDATE writers SET up_head = null",
        "UPDATE writers SET up_layer = 3 WHERE up_layer = 2",
        "DELETE FROM writers WHERE up_layer = 2",
        "INSERT INTO writers FROM writers WHERE component = 'embed'",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> duckdb.DuckDBPyConnection:
    return sound()


def sound() -> duckdb.DuckDBPyConnection:
    """Three layers of two heads, one prompt; a firing pair, one not eligible, one only sampled."""
    rows = StoreRows(n_layers=3, n_heads=2, effects=True)
    rows.singular_values()
    rows.prompt(0, {"end": 5, "IO": 2}, n_tokens=6, answer={7: " a", 8: " b"}, distractor={9: " c"})
    rows.pair(
        (0, 2, 0, 5, 2),
        dest={
            (0, 0): 1.0, (0, 1): 0.5, (1, 0): 2.0, (1, 1): -1.0,
            ("mlp", 0): 0.5, ("mlp", 1): -1.0, ("embed",): 0.25,
        },
        src={
            (0, 0): 1.0, (0, 1): 1.0, (1, 0): -2.0, (1, 1): (0.125, 3.0, 0.4),
            ("mlp", 0): -0.5, ("mlp", 1): 1.0, ("embed",): 0.25,
        },
        slices=(1.0, -0.25),
    )  # fmt: skip
    embed = {("embed",): 0.5}
    rows.pair((0, 0, 1, 3, 0), score=-1.0, slices=(0.5, 0.25), n_slices=2, dest=embed, src=embed)
    rows.pair((0, 1, 1, 4, 2), weight=0.01, slices=(0.25, 0.5), n_slices=2)
    for layer in range(3):
        for head in range(2):
            rows.add("head_effects", prompt_id=0, layer=layer, head=head, logit_diff_effect=0.1)
    con = rows.connect()
    con.execute("UPDATE store.sides SET closure = -1e-5")
    return con


def test_sound_store_passes() -> None:
    con = sound()
    run_checks(con)
    assert con.execute("SELECT current_setting('search_path')").fetchone() == (
        "results.main,store.main",
    )


def test_every_check_has_its_poison() -> None:
    assert list(POISON) == CHECKS


@pytest.mark.parametrize(
    ("check", "change"), [(check, change) for check in CHECKS for change in POISON.get(check, [])]
)
def test_check_fires(made: duckdb.DuckDBPyConnection, check: str, change: str) -> None:
    text = (sql_dir() / "checks" / f"{check}.sql").read_text()
    with use_catalog(made, "store"):
        assert made.execute(text).fetchall() == []
        made.execute("BEGIN")
        made.execute(change)
        assert made.execute(text).fetchall() != []
        made.execute("ROLLBACK")


def test_the_error_names_the_check_and_its_rows() -> None:
    con = sound()
    con.execute("UPDATE store.pairs SET omega_score = 7 WHERE layer = 2")
    with pytest.raises(
        SvtError, match=r"check slices_sum_to_score returns pair_id=.*omega_score=7"
    ):
        run_checks(con)
