"""Finished units of a stage: there whole or not at all, and only for the same question."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svt.store.resumable import open_units, remove_units

TABLE = "faithfulness"


def rows(*min_counts: int) -> dict[str, Any]:
    n = len(min_counts)
    numbers = np.zeros(n)
    return {
        "min_count": np.array(min_counts, np.int64),
        "n_heads": np.ones(n, np.int32),
        "control": ["traced"] * n,
        "ablation": ["mean"] * n,
        "logit_diff": numbers,
        "logit_diff_full": numbers,
        "logit_diff_none": numbers,
        "accuracy": numbers,
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "part.duckdb"


def kept(path: Path, request: str) -> tuple[set[int], list[int]]:
    with open_units(path, request, TABLE) as units:
        found = units.con.execute(f"SELECT min_count FROM {TABLE} ORDER BY 1").fetchall()
        return set(units.done), [n for (n,) in found]


def test_units_stay_when_the_stage_dies(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_units(path, "this", TABLE) as units:
        units.add(3, [rows(1, 2), rows(4)])
        raise KeyboardInterrupt
    assert kept(path, "this") == ({3}, [1, 2, 4])


def test_a_unit_that_fails_half_way_leaves_nothing(path: Path) -> None:
    def parts() -> Iterator[dict[str, Any]]:
        yield rows(1)
        raise RuntimeError

    with pytest.raises(RuntimeError), open_units(path, "this", TABLE) as units:
        units.add(0, [rows(7)])
        units.add(1, parts())
    assert kept(path, "this") == ({0}, [7])


def test_another_question_starts_from_nothing(path: Path) -> None:
    with open_units(path, "this", TABLE) as units:
        units.add(0, [rows(7)])
    assert kept(path, "that") == (set(), [])
    assert kept(path, "this") == (set(), [])


@pytest.mark.parametrize("content", [b"", b"no database", None])
def test_a_file_that_cannot_be_read_is_thrown_away(path: Path, content: bytes | None) -> None:
    if content is None:
        with open_units(path, "this", TABLE) as units:
            units.add(0, [rows(7)])
        whole = path.read_bytes()
        content = whole[: len(whole) // 2]
    path.write_bytes(content)
    assert kept(path, "this") == (set(), [])


def test_removed_is_gone(path: Path) -> None:
    with open_units(path, "this", TABLE):
        pass
    remove_units(path)
    assert list(path.parent.iterdir()) == []
    remove_units(path)
