"""Fixtures of the small graph of tests/charts."""

from tests.charts.conftest import edges, nodes

__all__ = ["edges", "nodes"]
