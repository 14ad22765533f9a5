"""The small graph of tests/charts, for pages that show it."""

from tests.charts.conftest import edges, nodes

__all__ = ["edges", "nodes"]
