"""Mirroring and quarter turns: voxels change places, and none is interpolated for that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from medseg.data.feed.augment.draws import check_axes, probability
from medseg.data.feed.augment.spatial import SpatialTransform
from medseg.errors import InputError


class Mirror(SpatialTransform[np.ndarray]):
    """Reverse image and label along axes drawn one by one.

    Args:
        p: probability of each axis.
        axes: the spatial axes that may be reversed; ``None``: all. Leave out left–right where a
            class knows its side.
    """

    def __init__(self, *, p: float = 0.5, axes: Sequence[int] | None = None) -> None:
        self.p = probability("p", p)
        self.axes = None if axes is None else tuple(sorted({int(a) for a in axes}))

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray | None:
        """Draw the matrix ``(ndim, ndim + 1)`` of one sample: -1 for each axis to reverse."""
        ndim = len(shape) - 1
        axes = tuple(range(ndim)) if self.axes is None else self.axes
        if axes and not (axes[0] >= 0 and axes[-1] < ndim):
            raise InputError(
                "mirror: axes do not fit the image",
                expected=f"from 0 to {ndim - 1}",
                found=str(self.axes),
            )
        drawn = rng.random(len(axes)) < self.p
        if not drawn.any():
            return None
        signs = np.ones(ndim)
        signs[list(axes)] = np.where(drawn, -1, 1)
        return np.eye(ndim, ndim + 1) * signs[:, None]


class QuarterTurn(SpatialTransform[np.ndarray]):
    """Turn image and label by a multiple of 90°, without interpolation.

    Only planes whose two axes have as many voxels and the same spacing are turned; a patch without
    any stays as it is.

    Args:
        p: probability that a sample is turned, by 90°, 180° or 270°.
        axes: the spatial axes that may change places; ``None``: all.
        spacing: mm per axis; ``None``: equal.
    """

    def __init__(
        self,
        *,
        p: float = 0.5,
        axes: Sequence[int] | None = None,
        spacing: Sequence[float] | None = None,
    ) -> None:
        self.p = probability("p", p)
        self.axes = None if axes is None else tuple(sorted({int(a) for a in axes}))
        self.spacing = None if spacing is None else tuple(float(s) for s in spacing)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray | None:
        """Draw the matrix ``(ndim, ndim + 1)`` of one sample: a plane and its quarter turns."""
        ndim = len(shape) - 1
        axes, spacing = check_axes("quarter_turn", ndim, axes=self.axes, spacing=self.spacing)
        planes = [
            (a, b)
            for a, b in combinations(axes, 2)
            if shape[a + 1] == shape[b + 1] and math.isclose(spacing[a], spacing[b], rel_tol=0.01)
        ]
        if rng.random() >= self.p or not planes:
            return None
        a, b = planes[int(rng.integers(len(planes)))]
        once = np.eye(ndim)
        once[[a, b]] = once[[b, a]]
        once[b] *= -1
        turned = np.linalg.matrix_power(once, int(rng.integers(1, 4)))
        return np.hstack([turned, np.zeros((ndim, 1))])
