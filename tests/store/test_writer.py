"""Columns in, an immutable file out; nothing where something went wrong."""

from pathlib import Path

import duckdb
import numpy as np
import pytest

from svt.errors import SvtError
from svt.store import writer
from svt.store.writer import writing

SIDES = {
    "pair_id": np.array([5, 5]),
    "side": np.array([0, 1], np.uint8),
    "total": np.array([0.25, 0.5]),
    "total_all": np.array([1.0, 2.0]),
    "n_heads": np.array([3, 4]),
    "closure": np.array([np.nan, np.nan]),
}
HEAD_AND_MLP = {
    "pair_id": np.array([5, 5]),
    "side": np.array([1, 1], np.uint8),
    "component": np.array([0, 1], np.uint8),
    "up_layer": np.array([2, 2]),
    "up_head": np.ma.MaskedArray(np.array([3, 0]), mask=[False, True]),
    "contribution": np.array([0.5, 0.25], np.float32),
    "contribution_all": np.array([0.5, 0.25], np.float32),
    "rank": np.ma.MaskedArray(np.array([1, 0]), mask=[False, True]),
    "cum_before": np.array([0.0, np.nan]),
}


@pytest.fixture(autouse=True)
def no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "run_checks", lambda _: None)


def test_codes_masks_and_nan_become_words_and_nulls(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    with writing(path) as store:
        store.append_all({"sides": SIDES, "upstream": HEAD_AND_MLP})
        assert store.worst("total", "sides") == 0.5
        assert store.worst("closure", "sides") is None
    with duckdb.connect(str(path), read_only=True) as con:
        sides = con.execute("SELECT side::VARCHAR, total, closure FROM sides").fetchall()
        upstream = con.execute(
            "SELECT component::VARCHAR, up_head, rank, cum_before FROM upstream"
        ).fetchall()
    assert sides == [("dest", 0.25, None), ("src", 0.5, None)]
    assert upstream == [("head", 3, 1, 0.0), ("mlp", None, None, None)]


def test_a_null_where_none_may_be_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    broken = {**SIDES, "total": np.array([0.25, np.nan])}
    with pytest.raises(duckdb.ConstraintException), writing(tmp_path / "store.duckdb") as store:
        store.append("sides", broken)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_check_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsound(_: object) -> None:
        raise SvtError("not sound")

    monkeypatch.setattr(writer, "run_checks", unsound)
    with pytest.raises(SvtError, match="not sound"), writing(tmp_path / "store.duckdb") as store:
        store.append("sides", SIDES)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    told = r"could not write the store .*store\.dir"
    with pytest.raises(SvtError, match=told), writing(blocked / "store.duckdb"):
        pass


def test_every_column_carries_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    with writing(path):
        pass
    with duckdb.connect(str(path), read_only=True) as con:
        silent = con.execute(
            "SELECT table_name, column_name FROM duckdb_columns() "
            "WHERE NOT internal AND comment IS NULL"
        ).fetchall()
    assert silent == []
