"""Branching tubes that taper towards the pleura, as arteries and veins of a lung do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

SMALLEST_MM = 0.8
_STEP_MM = 1.2
# Beyond this distance from every surface nobody needs to know how far it is.
_REACH_MM = 9.0


class Vessels(NamedTuple):
    """Centre lines as points ``(N, 3)`` and the radius ``(N,)`` at each, in mm."""

    points: np.ndarray
    radii: np.ndarray


def grow(
    rng: np.random.Generator,
    start: np.ndarray,
    direction: np.ndarray,
    *,
    radius: float,
    size: float,
    inside: Callable[[np.ndarray], bool],
) -> Vessels:
    """Grow one tree: each branch divides into two thinner ones until they are too thin to see.

    Args:
        rng: the generator.
        start: where it begins ``(3,)``, in mm.
        direction: where it leads to ``(3,)``; any length.
        radius: of the stem, in mm.
        size: of the anatomy; branches of a lung half as large are half as long.
        inside: tells whether a point in mm is still in the lung; a branch ends where it leaves it.
    """
    points: list[np.ndarray] = []
    radii: list[float] = []
    open_ends = [(start, _unit(direction), radius)]
    while open_ends:
        place, heading, thick = open_ends.pop()
        length = size * (4.0 + thick * rng.uniform(5.0, 8.0))
        ratios = rng.uniform(0.68, 0.86, size=2)
        left = False
        for part in np.linspace(0, 1, max(2, round(length / _STEP_MM))):
            points.append(place)
            # Towards its end a branch is as thin as the thicker of the two that follow.
            radii.append(thick * (1 - part * (1 - ratios.max())))
            heading = _unit(heading + 0.1 * rng.standard_normal(3))
            place = place + _STEP_MM * heading
            left = not inside(place)
            if left:
                break
        side = _across(rng, heading)
        for ratio, sign in zip(ratios, (1.0, -1.0), strict=True):
            if not left and thick * ratio >= SMALLEST_MM:
                spread = np.tan(np.deg2rad(rng.uniform(18, 48)))
                open_ends.append((place, _unit(heading + sign * spread * side), thick * ratio))
    return Vessels(np.array(points), np.array(radii))


def join(trees: Sequence[Vessels]) -> Vessels:
    """Take several trees as one."""
    return Vessels(
        np.concatenate([tree.points for tree in trees]),
        np.concatenate([tree.radii for tree in trees]),
    )


def depth_in(vessels: Vessels, points: np.ndarray) -> np.ndarray:
    """Return how deep points ``(N, 3)`` lie below the vessels' surface in mm.

    Outside it is the negative distance to the surface, and minus infinity far away.
    """
    near = min(4, len(vessels.points))
    away, number = cKDTree(vessels.points).query(
        points, k=[*range(1, near + 1)], distance_upper_bound=_REACH_MM
    )
    # Where there is nobody near, the tree answers with one number too many and infinity.
    return (np.append(vessels.radii, 0.0)[number] - away).max(axis=1)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _across(rng: np.random.Generator, heading: np.ndarray) -> np.ndarray:
    """Draw a direction at right angles to another."""
    drawn = rng.standard_normal(3)
    return _unit(drawn - (drawn @ heading) * heading)
