"""Cubic curves that leave and arrive upwards, and which places they run over."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
Curve = tuple[Point, Point, Point, Point]
"""A cubic curve: its start, two control points and its end."""
Floats = npt.NDArray[np.float64]

STEPS = 14


def rising(start: Point, end: Point, bend: float) -> Curve:
    """From `start` up to `end`; `bend` moves both control points sideways."""
    (x0, y0), (x3, y3) = start, end
    lift = (y3 - y0) * 0.4
    return start, (x0 + bend, y0 + lift), (x3 + bend, y3 - lift), end


def points_of(curve: Curve) -> Floats:
    """[STEPS + 1, 2]: points along the curve, from its start to its end."""
    t = np.linspace(0.0, 1.0, STEPS + 1)[:, None]
    weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    points: Floats = weights @ np.array(curve)
    return points


def hits(curve: Curve, places: Sequence[Point]) -> int:
    """How many places the curve, which rises throughout, passes closer than half a slot."""
    if not places:
        return 0
    x, y = np.array(places).T
    curve_x, curve_y = points_of(curve).T
    at = np.interp(y, curve_y, curve_x, left=np.inf, right=np.inf)
    return int((np.abs(at - x) < 0.5).sum())
