"""Any number of stores as one catalog: none, one, or a union that nobody can tell from one."""

import json
from pathlib import Path
from typing import Any

import pytest

from svt.db.catalog import list_tables, view_names
from svt.db.connect import connect
from svt.db.stores import Stores
from svt.errors import SvtError
from svt.query.named import run
from svt.store.export import export
from tests.store_rows import StoreRows, connection

SETTINGS = {
    "model": {"dtype": "float32"},
    "dataset": {"name": "file", "path": "a/p.jsonl", "n_prompts": 4, "shard": 0, "n_shards": 2},
    "dump": {"min_weight": 0.1, "components": ["head"], "batch_size": 32},
}


def rows_of(*prompts: int) -> StoreRows:
    rows = StoreRows(n_layers=3, n_heads=2)
    rows.singular_values()
    for prompt_id in prompts:
        rows.prompt(prompt_id, {"end": 5, "IO": 2}, n_tokens=6, logit_diff=1.5, correct=True)
        rows.pair((prompt_id, 2, 0, 5, 2), dest={(0, 0): 1.0, (1, 0): 2.0}, src={("embed",): 3.0})
        rows.pair((prompt_id, 1, 0, 5, 2), dest={(0, 1): 1.0})
        for layer in range(3):
            for head in range(2):
                rows.add(
                    "head_effects", prompt_id=prompt_id, layer=layer, head=head,
                    logit_diff_effect=float(layer == 2),
                )  # fmt: skip
    return rows


def make(path: Path, *prompts: int, settings: dict[str, Any] | None = None, **dump: Any) -> Path:
    """A store of these prompts; `settings` are laid over those of its configuration."""
    config = {group: values | (settings or {}).get(group, {}) for group, values in SETTINGS.items()}
    shape = {"n_layers": 3, "n_heads": 2, "config": json.dumps(config)}
    connection({**rows_of(*prompts).tables(), "dump": [{**shape, **dump}]}, store_file=path).close()
    return path


def shards(tmp_path: Path, **dump: Any) -> tuple[Path, Path]:
    second = {"dataset": {"shard": 1, "path": "elsewhere/p.jsonl"}}
    return (
        make(tmp_path / "b.duckdb", 0, 1, identity="x", **dump),
        make(tmp_path / "a.duckdb", 2, 3, settings=second, identity="y", **dump),
    )


def test_every_table_of_the_union_is_that_of_one_store(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.duckdb", 0, 1, 2, 3)
    with connect(Stores.of(whole)) as one, connect(Stores.of(shards(tmp_path)[::-1])) as several:
        assert list_tables(one, "store") == list_tables(several, "store")
        for table in sorted(list_tables(one, "store") - {"dump"}):
            order = "ORDER BY ALL" if table in view_names() else ""  # others keep theirs
            expected, got = (con.sql(f"FROM store.{table} {order}").pl() for con in (one, several))
            assert got.schema == expected.schema
            assert got.equals(expected), table
        assert several.execute("SELECT current_setting('search_path')").fetchall() == [
            ("store.main",)
        ]


def test_the_dump_row_of_a_union(tmp_path: Path) -> None:
    made = shards(tmp_path)
    for path, seconds, notes, worst in (
        (made[0], {"load": 1.5}, ["n"], 0.25),
        (made[1], {"load": 2, "write": 1}, ["n", "m"], 0.5),
    ):
        with connection(store_file=path.with_suffix(".new")) as con:
            con.execute(f"ATTACH '{path}' AS s")
            con.execute(
                "UPDATE s.dump SET seconds = ?, notes = ?, worst_residual = ?, peak_bytes = 7",
                [json.dumps(seconds), json.dumps(notes), worst],
            )
    with connect(Stores.of(made)) as con:
        (row,) = con.sql("FROM store.dump").pl().to_dicts()
    assert json.loads(row["seconds"]) == {"load": 3.5, "write": 1}
    assert json.loads(row["notes"]) == ["n", "m"]
    assert (row["worst_residual"], row["worst_closure"], row["peak_bytes"]) == (0.5, None, 7)
    dataset = json.loads(row["config"])["dataset"]
    assert (dataset["shard"], dataset["n_shards"]) == (0, 1)  # both shards are the whole
    with connect(Stores.of(made[::-1])) as con:
        assert con.execute("SELECT identity FROM store.dump").fetchall() == [(row["identity"],)]
    assert row["identity"] not in ("x", "y")


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    settings = {"dataset": {"n_shards": 4}}
    third = {"dataset": {"n_shards": 4, "shard": 2}}
    first = make(tmp_path / "0.duckdb", 0, settings=settings)
    with connect(Stores.of([first, make(tmp_path / "2.duckdb", 2, settings=third)])) as con:
        ((notes, config),) = con.execute("SELECT notes, config FROM store.dump").fetchall()
    assert json.loads(notes) == ["2 of 4 shards are here, dataset.shard=1,3 is not"]
    assert json.loads(config)["dataset"]["n_shards"] == 4


def test_of_many_missing_shards_the_first_are_named(tmp_path: Path) -> None:
    n_shards = 2**31  # as many are never counted one by one
    made = [
        make(tmp_path / f"{shard}.duckdb", shard, settings={"dataset": settings})
        for shard in (0, 2)
        for settings in [{"n_shards": n_shards, "shard": shard}]
    ]
    with connect(Stores.of(made)) as con:
        ((notes,),) = con.execute("SELECT notes FROM store.dump").fetchall()
    message = "dataset.shard=1,3,4,5,6,7,8,9,10,11 and 2147483636 more is not"
    assert json.loads(notes) == [f"2 of {n_shards} shards are here, {message}"]


def test_an_exported_union_and_a_store_are_one_union(tmp_path: Path) -> None:
    parts = [
        make(
            tmp_path / f"{shard}.duckdb", shard, identity=f"i{shard}",
            settings={"dataset": {"shard": shard, "n_shards": 3}},
        )
        for shard in range(3)
    ]  # fmt: skip
    export(tmp_path / "[01].duckdb", tmp_path / "out")
    mixed = Stores.of([tmp_path / "out", parts[2]])
    with connect(Stores.of(parts)) as one, connect(mixed) as other:
        assert one.sql("FROM dump").fetchall() == other.sql("FROM dump").fetchall()
    assert mixed.identity == Stores.of(parts).identity
    config = mixed.config
    assert [dataset["shard"] for dataset in config["datasets"]] == [0, 1, 2]


def test_without_a_store_every_query_runs_and_finds_nothing(tmp_path: Path) -> None:
    with connect(Stores.of([])) as con:
        assert run(con, "summary").is_empty()
        assert run(con, "firings").is_empty()
        assert con.sql("FROM upstream").pl().is_empty()
        assert "pairs" in list_tables(con, "store")


def test_stores_that_do_not_go_together_are_named(tmp_path: Path) -> None:
    first = make(tmp_path / "first.duckdb", 0)
    other = tmp_path / "other.duckdb"
    for change, message in (
        ({"weights_fingerprint": "v"}, r"weights is w in the one, v in the other"),
        ({"n_ctx": 31}, r"n_ctx is 32 in the one, 31 in"),
        ({"settings": {"dump": {"min_weight": 0.2}}}, r"dump.min_weight is 0.1 in the one, 0.2 in"),
        ({"settings": {"model": {"dtype": "float64"}}}, r"model.dtype is float32 in the one, fl"),
    ):
        other.unlink(missing_ok=True)
        make(other, 1, **change)
        with pytest.raises(
            SvtError, match=rf"first.duckdb and .*other.duckdb do not go .* {message}"
        ):
            connect(Stores.of([first, other]))


def test_the_same_prompt_twice_is_refused(tmp_path: Path) -> None:
    stores = [make(tmp_path / "1.duckdb", 0, 1), make(tmp_path / "2.duckdb", 1, 2)]
    with pytest.raises(SvtError, match=r"1.duckdb and .*2.duckdb both hold prompt 1; name stores"):
        connect(Stores.of(stores))


def test_a_batch_size_makes_no_other_store(tmp_path: Path) -> None:
    larger = {"dump": {"batch_size": 64}}
    first = make(tmp_path / "1.duckdb", 0)
    second = make(tmp_path / "2.duckdb", 1, settings=larger)
    with connect(Stores.of([first, second])) as con:
        assert con.execute("SELECT count(*) FROM prompts").fetchall() == [(2,)]


def test_a_store_of_another_schema_is_refused(tmp_path: Path) -> None:
    old = make(tmp_path / "old.duckdb", 1, schema_version=1)
    with pytest.raises(SvtError, match=r"old.duckdb was written by svt 0 in schema 1, this svt"):
        connect(Stores.of([make(tmp_path / "new.duckdb", 0), old]))


def test_a_store_named_twice_is_one(tmp_path: Path) -> None:
    store = make(tmp_path / "1.duckdb", 0)
    with connect(Stores.of([store, store])) as con:
        assert con.execute("SELECT count(*) FROM prompts").fetchall() == [(1,)]


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x.duckdb", ["a", "~nobody-of-this-name/*"]])
def test_a_home_that_there_is_not(name: str | list[str]) -> None:
    with pytest.raises(SvtError, match="no home folder is known for ~nobody-of-this-name; write"):
        Stores.expand(name)


def test_paths_as_text() -> None:
    one, two = Path("/a/[1].duckdb"), Path("/b.duckdb")
    assert Stores.of(one).to_text() == "/a/[1].duckdb"
    for stores in map(Stores.of, ((), (one,), (one, two))):
        assert Stores.from_text(stores.to_text()) == stores
