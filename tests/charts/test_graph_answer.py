"""The answer at the top of the graph: which heads have a line into it, how wide, and in words."""

import polars as pl
import pytest

from svt.charts.graph_answer import answer_marks, answer_rows, describe_answer
from svt.charts.graph_encodings import Axes
from svt.charts.layout import Edge, Layout, Node, lay_out

ROOT, OTHER, ELSEWHERE = Node(3, 0, "end"), Node(2, 1, "end"), Node(1, 1, "S2")
EFFECTS = pl.DataFrame(
    {
        "layer": [3, 2, 1, 0],
        "head": [0, 1, 1, 5],
        "is_root": [True, False, False, False],
        "n_prompts": [8] * 4,
        "n_positive": [8, 1, 4, 5],
        "mean": [2.0, -0.5, 1.0, 1.0],
        "share": [0.5, -0.125, 0.25, 0.25],
    }
)


@pytest.fixture
def layout() -> Layout:
    edges = [Edge(OTHER, ROOT, "dest", "end"), Edge(ELSEWHERE, ROOT, "src", "S2")]
    return lay_out([ROOT], edges)


def test_heads_in_the_roots_column_have_a_line(layout: Layout) -> None:
    """1.1 stands at S2 and 0.5 nowhere; the strongest comes last, on top."""
    rows = answer_rows(layout, EFFECTS, "end")
    assert [(row["from"], row["hinders"], row["mean"]) for row in rows] == [
        ("2.1", True, -0.5),
        ("3.0", False, 2.0),
    ]
    assert rows[0]["width"] == pytest.approx(rows[1]["width"] / 2)  # the root of a quarter
    assert rows[1]["positive"] == "8 of 8 prompts"


def test_a_line_ends_at_the_answer_above_the_roots(layout: Layout) -> None:
    """A path is in pixels from its start; both end at the same place."""
    ends = set()
    for row in answer_rows(layout, EFFECTS, "end"):
        x, y = map(float, row["path"].split(" ")[-1].split(","))
        ends.add((round(row["x"] + x / 43, 1), round(row["y"] - y / 41, 1)))
    ((_, height),) = ends
    assert height > layout.height


def test_the_share_of_the_roots_is_said() -> None:
    assert describe_answer(EFFECTS) == (
        "Top: direct effects on the logit difference; 1 root has 50% of the positive effects."
    )
    assert describe_answer(EFFECTS.clear()) == ""


def test_without_answers_there_is_no_top(layout: Layout) -> None:
    assert answer_rows(layout, EFFECTS.clear(), "end") == []
    assert answer_marks([], layout, "end", Axes(0, 1, 0, 1)) == []
