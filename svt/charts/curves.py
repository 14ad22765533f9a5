"""Cubic curves that leave and arrive upwards, and which places they run over."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
Curve = tuple[Point, Point, Point, Point]
"""A cubic curve: its start, two control points and its end."""
Floats = npt.NDArray[np.float64]

STEPS = 30
CLEARANCE = 0.43
"""Slots between a curve and the middle of a node that it does not touch."""
T = np.linspace(0.0, 1.0, STEPS + 1)[:, None]
BERNSTEIN: Floats = np.hstack([(1 - T) ** 3, 3 * T * (1 - T) ** 2, 3 * T**2 * (1 - T), T**3])


def rising(start: Point, end: Point, bend: float, bend_above: float | None = None) -> Curve:
    """From `start` up to `end`; `bend` moves both control points sideways.

    `bend_above` moves the upper one, if it differs.
    """
    (x0, y0), (x3, y3) = start, end
    lift = (y3 - y0) * 0.4
    above = bend if bend_above is None else bend_above
    return start, (x0 + bend, y0 + lift), (x3 + above, y3 - lift), end


def points_of(curve: Curve) -> Floats:
    """[STEPS + 1, 2]: points along the curve, from its start to its end."""
    return BERNSTEIN @ np.array(curve)


def between_discs(curve: Curve, radius: float) -> Curve:
    """Return the part of the curve that lies outside discs around its start and its end."""
    points, ends = points_of(curve), np.array(curve)
    outside = np.flatnonzero(
        (((points[:, None] - ends[[0, 3]]) ** 2).sum(-1) > radius**2).all(1)  # [point]
    )
    if outside.size < 2:
        return curve
    (t0, t1), steps = outside[[0, -1]] / STEPS, np.diff(ends, axis=0)
    third = [(t1 - t0) * np.array([(1 - t) ** 2, 2 * t * (1 - t), t**2]) @ steps for t in (t0, t1)]
    first, last = points[outside[0]], points[outside[-1]]
    parts = np.array([first, first + third[0], last - third[1], last]).tolist()
    return tuple(map(tuple, parts))  # type: ignore[return-value]


def hits(curve: Curve, places: Sequence[Point]) -> int:
    """How many places the curve passes closer than `CLEARANCE`."""
    return int(all_hits([curve], places)[0])


def all_hits(curves: Sequence[Curve], places: Sequence[Point]) -> npt.NDArray[np.int64]:
    """[curve]: how many places each curve passes closer than `CLEARANCE`."""
    if not places:
        return np.zeros(len(curves), dtype=np.int64)
    points = np.einsum("tk,ckd->ctd", BERNSTEIN, np.array(curves))
    nearest = ((points[:, :, None] - np.array(places)) ** 2).sum(-1).min(1)  # [curve, place]
    return (nearest < CLEARANCE**2).sum(1)
