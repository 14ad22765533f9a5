"""A small graph, as its queries give it, small enough to check by eye."""

import polars as pl
import pytest

from tests.charts.frames import edges_frame, nodes_frame


@pytest.fixture
def edges() -> pl.DataFrame:
    """2.0 is the root; 1.1 writes to end and to S2; 0.3 writes to S2, which 1.1 reads from end."""
    return edges_frame(
        [
            (1, 1, "head", 2, 0, "dest", "end", 90, 95, 200, 40.0, "end", "IO"),
            (1, 2, "head", 2, 0, "src", "IO", 80, 80, 80, 30.0, "end", "IO"),
            (0, 3, "head", 1, 1, "src", "S2", 60, 61, 70, 12.0, "end", "S2"),
            (1, 1, "head", 2, 0, "src", "S2", 5, 5, 5, 1.0, "end", "S2"),
        ]
    )


@pytest.fixture
def nodes() -> pl.DataFrame:
    return nodes_frame(
        [
            (2, 0, True, 100, 100, False, None),
            (1, 1, False, 90, 95, True, "s-inhibition"),
            (1, 2, False, 80, 80, False, None),
            (0, 3, False, 0, 0, False, None),
        ]
    )
