"""Columns in, an immutable file out; nothing where something went wrong."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from svt.compute.columns import to_lists, to_ragged_lists
from svt.errors import SvtError
from svt.store import writer
from svt.store.writer import open_writer

SIDES = {
    "pair_id": np.array([5, 5]),
    "side": np.array([0, 1], np.uint8),
    "total": np.array([0.25, 0.5]),
    "total_all": np.array([1.0, 2.0]),
    "n_heads": np.array([3, 4]),
    "closure": np.array([np.nan, np.nan]),
}
LISTS = {
    "pair_id": np.array([5, 5, 6]),
    "side": np.array([1, 1, 0], np.uint8),
    "component": np.array([0, 1, 0], np.uint8),
    "contributions": pa.chunked_array(
        [
            to_lists(np.array([[0.5, 0.25], [1, 2]], np.float32)),
            to_ragged_lists(np.array([3, 4, 5], np.float32), np.array([3])),
        ]
    ),
}
WRITERS = {
    "component": np.array([0, 0, 0, 1, 1], np.uint8),
    "writer": np.array([0, 1, 2, 0, 1]),
    "up_layer": np.array([0, 0, 1, 0, 1]),
    "up_head": np.ma.MaskedArray(np.array([0, 1, 0, 0, 0]), mask=[0, 0, 0, 1, 1]),
}


@pytest.fixture(autouse=True)
def no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "run_checks", lambda _: None)


def test_codes_masks_nan_and_lists_become_words_nulls_and_rows(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    with open_writer(path, "this") as store:
        store.append_all({"sides": SIDES, "pair_upstream": LISTS, "writers": WRITERS})
        assert store.max_abs("total", "sides") == 0.5
        assert store.max_abs("closure", "sides") is None
    with duckdb.connect(str(path), read_only=True) as con:
        sides = con.execute("SELECT side::VARCHAR, total, closure FROM sides").fetchall()
        upstream = con.execute(
            "SELECT pair_id, side::VARCHAR, component::VARCHAR, up_layer, up_head, contribution, "
            "contribution_all FROM upstream ORDER BY ALL"
        ).fetchall()
    assert sides == [("dest", 0.25, None), ("src", 0.5, None)]
    assert upstream == [
        (5, "src", "head", 0, 0, 0.5, None), (5, "src", "head", 0, 1, 0.25, None),
        (5, "src", "mlp", 0, None, 1.0, None), (5, "src", "mlp", 1, None, 2.0, None),
        (6, "dest", "head", 0, 0, 3.0, None), (6, "dest", "head", 0, 1, 4.0, None),
        (6, "dest", "head", 1, 0, 5.0, None),
    ]  # fmt: skip


def test_a_null_where_none_may_be_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    broken = {**SIDES, "total": np.array([0.25, np.nan])}
    with (
        pytest.raises(duckdb.ConstraintException),
        open_writer(tmp_path / "store.duckdb", "this") as store,
    ):
        store.append("sides", broken)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_check_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsound(_: object) -> None:
        raise SvtError("not sound")

    monkeypatch.setattr(writer, "run_checks", unsound)
    with (
        pytest.raises(SvtError, match="not sound"),
        open_writer(tmp_path / "store.duckdb", "this") as store,
    ):
        store.append("sides", SIDES)
    assert list(tmp_path.iterdir()) == []


def test_a_store_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    message = r"could not write the store .*store\.dir"
    with pytest.raises(SvtError, match=message), open_writer(blocked / "store.duckdb", "this"):
        pass


def stopped(path: Path, request: str, *finished: int, torn: bool = True) -> None:
    """Writes the batches `finished`, and half of another if `torn`, and dies."""
    with pytest.raises(KeyboardInterrupt), open_writer(path, request) as store:
        for number in finished:
            store.append_part({"sides": SIDES | {"pair_id": np.array([number, number])}})
            store.commit_batch(number)
        if torn:
            store.append_part({"sides": SIDES})
        raise KeyboardInterrupt


def pairs_in(path: Path) -> list[int]:
    with duckdb.connect(str(path), read_only=True) as con:
        return [
            n for (n,) in con.execute("SELECT pair_id FROM sides WHERE side = 'src'").fetchall()
        ]


def test_finished_batches_are_kept_and_half_ones_are_not(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    stopped(path, "this", 0, 2)
    stopped(path, "this", 1)
    assert not path.exists()
    with open_writer(path, "this") as store:
        assert store.finished == {0, 1, 2}
        store.append_part({"sides": SIDES | {"pair_id": np.array([3, 3])}})
        store.commit_batch(3)
    assert pairs_in(path) == [0, 2, 1, 3]
    assert list(tmp_path.iterdir()) == [path]
    with duckdb.connect(str(path), read_only=True) as con:
        schemas = con.execute("SELECT DISTINCT schema_name FROM duckdb_tables()").fetchall()
    assert schemas == [("main",)]


def test_a_dump_of_other_settings_begins_from_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    stopped(path, "that", 0)
    with open_writer(path, "this") as store:
        assert store.finished == set()
    assert pairs_in(path) == []


@pytest.mark.parametrize("content", [b"", b"no database", b"\0" * 20_000])
def test_a_torn_file_is_begun_from_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.duckdb"
    (tmp_path / ".store.duckdb.partial").write_bytes(content)
    with open_writer(path, "this") as store:
        assert store.finished == set()
    assert pairs_in(path) == []


def test_a_failed_check_throws_finished_batches_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsound(_: object) -> None:
        raise SvtError("not sound")

    path = tmp_path / "store.duckdb"
    stopped(path, "this", 0)
    monkeypatch.setattr(writer, "run_checks", unsound)
    with pytest.raises(SvtError, match="not sound"), open_writer(path, "this"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_ending_written_before_a_death_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    role = {"roles": {"prompt_id": [0], "role": ["end"], "pos": [3]}}
    with pytest.raises(KeyboardInterrupt), open_writer(path, "this") as store:
        store.commit_batch(0)
        with store.replace_tables("roles"):
            store.append_all(role)
        raise KeyboardInterrupt
    with open_writer(path, "this") as store, store.replace_tables("roles"):
        store.append_all(role)
    with duckdb.connect(str(path), read_only=True) as con:
        assert con.execute("SELECT role, pos FROM roles").fetchall() == [("end", 3)]


def test_every_column_carries_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    with open_writer(path, "this"):
        pass
    with duckdb.connect(str(path), read_only=True) as con:
        silent = con.execute(
            "SELECT table_name, column_name FROM duckdb_columns() "
            "WHERE NOT internal AND comment IS NULL"
        ).fetchall()
    assert silent == []
