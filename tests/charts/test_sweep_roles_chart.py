"""The circuits of a sweep by the roles of their heads: table, intervals, what is left out."""

from typing import Any

import polars as pl
import pytest

from svt.charts.style import specification
from svt.charts.sweep_roles import COLUMN, LINE, MARGIN, MOST_JOBS, MOST_ROLES, sweep_roles
from tests.charts.frames import rows_of, subtitle

NAMES = {job: f"mini-{job}" for job in range(MOST_JOBS + 1)}
MANY = "5.0 5.1 5.2 5.3 5.4 5.5 5.6 5.7"


def roles_frame(rows: list[tuple[str, int, str]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(role, job, len(heads.split()), heads) for role, job, heads in rows],
        schema=["head_role", "job", "n_heads", "heads"],
        orient="row",
    )


def overlap_frame(pairs: list[tuple[int, int, float]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(a, b, 5, 10, 12, jaccard, 0.1, 0.05, 0.2) for a, b, jaccard in pairs],
        schema=[
            "job_a", "job_b", "n_shared", "n_edges_a", "n_edges_b", "jaccard", "random_mean",
            "random_low", "random_high",
        ],
        orient="row",
    )  # fmt: skip


@pytest.fixture
def spec() -> dict[str, Any]:
    roles = roles_frame(
        [("end->IO", 0, MANY), ("end->IO", 1, "6.1"), ("at S2", 0, ""), ("at S2", 1, "0.1 0.2")]
    )
    return specification(sweep_roles(roles, overlap_frame([(0, 1, 0.4)]), NAMES))


def test_heads_are_ordered_by_role_and_job(spec: dict[str, Any]) -> None:
    squares, heads, labels, columns = spec["concat"][0]["layer"]
    texts = {(r["role"], r["name"]): r["text"] for r in rows_of(spec, heads)}
    assert texts == {
        ("end -> IO", "mini-0"): "5.0  5.1  5.2  5.3  5.4  5.5  5.6\n5.7",
        ("end -> IO", "mini-1"): "6.1",
        ("at S2", "mini-1"): "0.1  0.2",
    }
    assert {r["role"] for r in rows_of(spec, labels)} == {"end -> IO", "at S2"}
    assert [r["name"] for r in rows_of(spec, columns)] == ["mini-0", "mini-1"]
    assert squares["encoding"]["opacity"]["field"] == "n_heads"


def test_rows_are_as_high_as_their_longest_list(spec: dict[str, Any]) -> None:
    """Two lines, then one; columns stand side by side."""
    table = spec["concat"][0]
    places = {(r["role"], r["name"]): r for r in rows_of(spec, table["layer"][0])}
    first, second = 2 * LINE + MARGIN, LINE + MARGIN
    assert {(r["y"], r["y2"]) for (role, _), r in places.items() if role == "end -> IO"} == {
        (0, first)
    }
    assert {(r["y"], r["y2"]) for (role, _), r in places.items() if role == "at S2"} == {
        (first, first + second)
    }
    assert (table["width"], table["height"]) == (2 * COLUMN, first + second)
    assert places["at S2", "mini-1"]["x"] == COLUMN


def test_each_pair_of_jobs_is_compared_with_chance(spec: dict[str, Any]) -> None:
    chance, points, said = spec["concat"][1]["layer"]
    (row,) = rows_of(spec, spec["concat"][1])
    assert (row["pair"], row["jaccard"], row["counts"]) == (
        "mini-0 and mini-1",
        0.4,
        "5 of 10 and 12",
    )
    assert chance["encoding"]["x"]["field"] == "random_low"
    assert chance["encoding"]["x2"]["field"] == "random_high"
    assert points["encoding"]["x"]["scale"]["domain"] == [0, 1]
    assert said["encoding"]["text"]["field"] == "text"
    assert row["text"] == "0.40, 5 of 10 and 12"


def test_one_job_has_no_pair() -> None:
    roles = roles_frame([("end->IO", 0, "5.0")])
    spec = specification(sweep_roles(roles, overlap_frame([]), NAMES))
    assert len(spec["concat"]) == 1
    (row,) = rows_of(specification(sweep_roles(roles.clear(), overlap_frame([]), {})))
    assert row["message"] == "Nothing to compare: no job has a circuit."


def test_a_note_says_what_does_not_fit() -> None:
    roles = roles_frame(
        [
            (f"r{role:02}", job, "1.0")
            for role in range(MOST_ROLES + 2)
            for job in range(MOST_JOBS + 1)
        ]
    )
    pairs = overlap_frame([(0, 1, 0.5), (0, MOST_JOBS, 0.5)])
    spec = specification(sweep_roles(roles, pairs, NAMES))
    assert subtitle(spec).endswith("Left out: 1 job. Left out: 2 roles with fewer heads.")
    squares = rows_of(spec, spec["concat"][0]["layer"][0])
    assert len(squares) == MOST_JOBS * MOST_ROLES
    assert len(rows_of(spec, spec["concat"][1])) == 1
