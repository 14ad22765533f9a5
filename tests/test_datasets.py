"""Whole runs over datasets: sets of answers, counterfactuals, the prompts of a store."""

from pathlib import Path

import duckdb
import pytest

from svt.config import from_mapping
from svt.stages.inputs import Inputs
from tests.answers import answer
from tests.checkpoints import tiny_gpt2
from tests.conftest import Finished, Svt
from tests.dataset.samples import shipped_words
from tests.settings import composed


def identity_of(*overrides: str) -> str:
    """Return the key by which the store of a configuration is named."""
    return Inputs(from_mapping(composed(*overrides))).identity.key


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a small model for each task whose words the bundled model lacks."""
    folders = {}
    for name in ("greater_than", "gendered_pronoun"):
        folders[name] = tmp_path_factory.mktemp(name)
        tokenizer = shipped_words(name)
        words = [f"w{i}" for i in range(tokenizer.get_vocab_size() - 1)]
        tiny_gpt2(folders[name], sharp=6.0, words=words)
        tokenizer.save(str(folders[name] / "tokenizer.json"))
    return folders


def test_years_are_answers_as_sets(svt: Svt, models: dict[str, Path]) -> None:
    done = svt(
        "dataset=greater_than",
        "dataset.n_prompts=6",
        "model=local",
        f"model.path={models['greater_than']}",
        "dump.min_weight=0.05",
        "dump.effects=false",
        "stages=[dump,trace,intervene]",
        "trace.roots=[[2,0],[2,1],[2,2],[2,3]]",
        "trace.firing_weight=0.05",
        "trace.min_count=3",
        "intervene.repeats=1",
        "intervene.scopes=[global]",
        "intervene.kinds=[ablate]",
        "intervene.faithfulness=none",
    )
    assert done.code == 0
    run = done.runs[0]
    rows = answer(
        run,
        "select any_value(p.answer) as answer, count(*) filter (kind = 'answer') as n_answers, "
        "count(*) as n, any_value(t.token) as year from prompts p join answers a using (prompt_id) "
        "join roles r on r.prompt_id = p.prompt_id and r.role = 'YY' "
        "join tokens t on t.prompt_id = p.prompt_id and t.pos = r.pos group by p.prompt_id",
        [],
    ).to_dicts()
    assert len(rows) == 6
    for row in rows:
        later = range(int(row["year"]) + 1, 100)
        assert (row["n"], row["n_answers"]) == (100, len(later))
        assert row["answer"] == "|".join(f"{year:02}" for year in later)
    query = (
        "select count(*) as n, max(abs(i.logit_diff - p.logit_diff)) as apart, "
        "max(abs(i.logit_diff_after - i.logit_diff)) as moved, min(answer_rank) as best, "
        "bool_and(correct = (p.logit_diff > 0)) as agree "
        "from intervention_effects i join prompts p using (prompt_id)"
    )
    (effects,) = answer(run, query, []).to_dicts()
    assert effects["n"] > 0 and effects["agree"]
    assert effects["apart"] < 1e-4 < effects["moved"]
    assert effects["best"] >= 1
    (effects,) = answer(run, "select count(*) as n from head_effects", []).to_dicts()
    assert effects["n"] == 6 * 12


def test_a_counterfactual_store_is_compared_with_its_original(
    svt: Svt, models: dict[str, Path]
) -> None:
    options = ("dataset=gendered_pronoun", "dataset.n_prompts=4", "stages=[dump]", "model=local")
    options = (*options, f"model.path={models['gendered_pronoun']}", "dump.effects=false")
    assert svt(*options, "store.path=original.duckdb").code == 0
    done = svt(*options, "store.path=swapped.duckdb", "dataset.counterfactual=swapped")
    assert done.code == 0
    original, swapped = (done.cwd / f"{name}.duckdb" for name in ("original", "swapped"))
    linked = answer(
        original,
        "select p.text = o.original as same, p.text <> o.text as other, p.answer = o.distractor as "
        "exchanged from prompts p join other_store.prompts o on o.original_id = p.prompt_id",
        [],
        other=swapped,
    )
    assert linked.rows() == [(True, True, True)] * 4
    rows = answer(original, "counterfactual_firings", ["min_rate=0"], other=swapped)
    assert set(rows["n_prompts"]) == {4}
    assert rows["n_both"].sum() < rows["n_original"].sum()
    keys = {store: identity_of("dataset=store", f"dataset.path={store}", *options[3:]) for store in
            (original, swapped)}  # fmt: skip
    copy = original.rename(done.cwd / "moved.duckdb")
    moved = identity_of("dataset=store", f"dataset.path={copy}", *options[3:])
    assert keys[original] == moved != keys[swapped]


def test_a_run_is_repeated_from_its_own_prompts(svt: Svt, finished: Finished) -> None:
    done = svt("dataset=store", f"dataset.path={finished.runs[0]}", "stages=[dump]")
    assert done.code == 0
    with duckdb.connect() as con:
        for name, store in (("first", finished.stores[0]), ("second", done.stores[0])):
            con.execute(f"ATTACH '{store}' AS {name} (READ_ONLY)")
        tables = con.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'first'"
        ).fetchall()
        assert {"prompts", "answers", "pair_upstream"} < {table for (table,) in tables}
        for (table,) in tables:
            if table != "dump":
                first, second = (
                    con.sql(f"FROM {name}.{table} ORDER BY ALL").pl()
                    for name in ("first", "second")
                )
                assert first.equals(second), table


def test_only_correct_without_answers_is_refused(
    svt: Svt, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"text": "When Mary and John went to the store"}')
    done = svt("dataset=file", f"dataset.path={path}", "dataset.only_correct=true", "stages=[dump]")
    assert done.code != 0
    assert "dataset.only_correct=true: the prompts have no answers" in capsys.readouterr().err
    assert done.stores == []
