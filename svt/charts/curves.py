"""Cubic curves that start and end vertically, and the places that they pass."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
Curve = tuple[Point, Point, Point, Point]
"""A cubic curve: its start, two control points and its end."""
Floats = npt.NDArray[np.float64]

STEPS = 30
CLEARANCE = 0.43
"""The distance in slots from the middle of a node within which a curve touches the node."""


def _weigh(t: Floats) -> Floats:
    """Return the weights of a curve's four points at t [n, 1]: [n, 4]."""
    return np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])


BERNSTEIN = _weigh(np.linspace(0.0, 1.0, STEPS + 1)[:, None])


def rising(start: Point, end: Point, bend: float, bend_above: float | None = None) -> Curve:
    """Return a curve from `start` up to `end`.

    bend: the sideways shift of both control points; bend_above: that of the upper one alone.
    """
    (x0, y0), (x3, y3) = start, end
    lift = (y3 - y0) * 0.4
    above = bend if bend_above is None else bend_above
    return start, (x0 + bend, y0 + lift), (x3 + above, y3 - lift), end


def points_of(curve: Curve) -> Floats:
    """Return points along the curve from start to end: [STEPS + 1, 2]."""
    return BERNSTEIN @ np.array(curve)


def between_discs(curve: Curve, radius: float) -> Curve:
    """Return the part of the curve that lies outside discs around its start and its end."""
    points, ends = points_of(curve), np.array(curve)
    distance = np.linalg.norm(points[:, None] - ends[[0, 3]], axis=-1)  # [point, end]
    outside = np.flatnonzero((distance > radius).all(1))
    if outside.size < 2:
        return curve
    first, last = int(outside[0]), int(outside[-1])  # the rims lie one step before and behind
    t0 = np.interp(radius, distance[first - 1 : first + 1, 0], [first - 1, first]) / STEPS
    t1 = np.interp(radius, distance[[last + 1, last], 1], [last + 1, last]) / STEPS
    t = np.array([[t0], [t1]])
    start, end = _weigh(t) @ ends
    first_third, last_third = (t1 - t0) / 3 * _weigh_slopes(t) @ np.diff(ends, axis=0)
    parts = np.array([start, start + first_third, end - last_third, end]).tolist()
    return tuple(map(tuple, parts))  # type: ignore[return-value]


def _weigh_slopes(t: Floats) -> Floats:
    """Return the weights of the three steps between a curve's points in its slope at t: [n, 3]."""
    return 3 * np.hstack([(1 - t) ** 2, 2 * t * (1 - t), t**2])


def hits(curve: Curve, places: Sequence[Point]) -> int:
    """Count the places that the curve passes at less than `CLEARANCE`."""
    return int(count_hits([curve], places)[0])


def count_hits(curves: Sequence[Curve], places: Sequence[Point]) -> npt.NDArray[np.int64]:
    """Count the places that each curve passes at less than `CLEARANCE`: [curve]."""
    if not places:
        return np.zeros(len(curves), dtype=np.int64)
    points = np.einsum("tk,ckd->ctd", BERNSTEIN, np.array(curves))
    nearest = ((points[:, :, None] - np.array(places)) ** 2).sum(-1).min(1)  # [curve, place]
    return (nearest < CLEARANCE**2).sum(1)
