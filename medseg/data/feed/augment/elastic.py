"""Elastic deformation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from medseg.data.feed.augment.draws import check_axes, interval, probability
from medseg.data.feed.augment.spatial import SpatialTransform
from medseg.data.feed.augment.warp import Field
from medseg.errors import InputError

# Beyond, neighbouring voxels may change places.
_STEEPEST = 1 / 3


class Elastic(SpatialTransform[Field]):
    """Push voxels about smoothly: random shifts of control points, a cubic B-spline between.

    Beside `Affine` in a list, both are one resampling. nnU-Net leaves this out of its set; its
    ``elastic_deform_scale`` (a fraction of the patch) times the patch corresponds to
    ``control_spacing``, its ``elastic_deform_magnitude`` (voxels) to ``displacement``. TorchIO's
    ``num_control_points: 7, max_displacement: 7.5`` on a patch of 96 mm corresponds to
    ``control_spacing: 16, displacement: [0, 5]``.

    Args:
        p: probability that a sample is deformed.
        displacement: range of the largest shift of a control point along an axis, in mm.
        control_spacing: distance between control points in mm.
        axes: the spatial axes that take part, each slice across the others being deformed alike;
            ``None``: all.
        spacing: mm per axis; ``None``: equal, 1 mm.
    """

    def __init__(
        self,
        *,
        p: float = 0.2,
        displacement: Sequence[float] = (0.0, 4.0),
        control_spacing: float = 24.0,
        axes: Sequence[int] | None = None,
        spacing: Sequence[float] | None = None,
    ) -> None:
        self.p = probability("p", p)
        self.displacement = interval("displacement", displacement)
        self.control_spacing = float(control_spacing)
        self.axes = None if axes is None else tuple(sorted({int(a) for a in axes}))
        self.spacing = None if spacing is None else tuple(float(s) for s in spacing)
        if self.spacing and min(self.spacing) <= 0:
            raise InputError("spacing must be above 0 mm", found=repr(spacing))
        if not 0 <= self.displacement[1] <= self.control_spacing * _STEEPEST:
            raise InputError(
                "displacement is too large for control points so close: the image would fold",
                expected=f"at most a third of control_spacing, {self.control_spacing / 3:.3g} mm",
                found=f"{self.displacement[1]:g} mm",
            )

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Field | None:
        """Draw the coefficients of the field."""
        ndim = len(shape) - 1
        axes, spacing = check_axes("elastic", ndim, axes=self.axes, spacing=self.spacing)
        if rng.random() >= self.p or not axes:
            return None
        step = tuple(max(self.control_spacing / s, 1.0) for s in spacing)
        counts = [
            math.ceil((n - 1) / h) + 3 if a in axes else 1
            for a, (n, h) in enumerate(zip(shape[1:], step, strict=True))
        ]
        control = np.zeros((ndim, *counts))
        for axis in axes:
            shifts = rng.uniform(-1, 1, counts)
            largest = np.abs(_at_control_points(shifts)).max()
            control[axis] = shifts * (rng.uniform(*self.displacement) / largest / spacing[axis])
        return Field(control, step)


def _at_control_points(coefficients: np.ndarray) -> np.ndarray:
    """Evaluate a cubic B-spline where its inner control points lie: weights 1/6, 4/6, 1/6."""
    values = coefficients
    for axis, n in enumerate(values.shape):
        if n > 2:
            middle = values.take(range(1, n - 1), axis)
            ends = values.take(range(n - 2), axis) + values.take(range(2, n), axis)
            values = (4 * middle + ends) / 6
    return values
