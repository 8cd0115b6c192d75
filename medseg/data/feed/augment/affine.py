"""Rotation, scale, shear and translation in one resampling."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from medseg.data.feed.augment.draws import check_axes, factors, interval, probability
from medseg.data.feed.augment.spatial import SpatialTransform
from medseg.errors import InputError


class Affine(SpatialTransform[np.ndarray]):
    """Turn, scale, shear and shift image and label together, about the patch's centre.

    Done in millimetres, so that a rotation stays rigid where voxels are not cubes. The image is
    read linearly, the label by the votes of the voxels around (see `vote.Votes`). At the head of a
    list of transforms, corners show what lies around the patch; outside the image is zero.

    Args:
        rotation: largest angle in degrees, either way; about each axis in 3D.
        scale: range of the factor; above 1 magnifies.
        isotropic: one factor for all axes, instead of one for each.
        shear: largest off-diagonal entry, either way; below 0.5.
        translation: largest shift per axis in mm, either way.
        p_rotation: probability that a sample is turned.
        p_scale: probability that it is scaled.
        p_shear: probability that it is sheared.
        p_translation: probability that it is shifted.
        axes: the spatial axes that take part (``(0, 1)`` turns and scales within these planes
            only, for thick slices); ``None``: all.
        spacing: mm per axis; ``None``: equal, 1 mm.
    """

    def __init__(
        self,
        *,
        rotation: float = 30.0,
        scale: Sequence[float] = (0.7, 1.4),
        shear: float = 0.0,
        translation: float = 0.0,
        p_rotation: float = 0.2,
        p_scale: float = 0.2,
        p_shear: float = 0.2,
        p_translation: float = 0.2,
        isotropic: bool = True,
        axes: Sequence[int] | None = None,
        spacing: Sequence[float] | None = None,
    ) -> None:
        self.rotation = float(rotation)
        self.scale = interval("scale", scale, positive=True)
        self.shear = float(shear)
        self.translation = float(translation)
        self.p_rotation = probability("p_rotation", p_rotation)
        self.p_scale = probability("p_scale", p_scale)
        self.p_shear = probability("p_shear", p_shear)
        self.p_translation = probability("p_translation", p_translation)
        self.isotropic = bool(isotropic)
        self.axes = None if axes is None else tuple(sorted({int(a) for a in axes}))
        self.spacing = None if spacing is None else tuple(float(s) for s in spacing)
        if self.spacing and min(self.spacing) <= 0:
            raise InputError("spacing must be above 0 mm", found=repr(spacing))
        if not abs(self.shear) < 0.5:
            raise InputError("shear folds the image", expected="below 0.5", found=f"shear {shear}")

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray | None:
        """Draw the matrix ``(ndim, ndim + 1)`` of one sample; see `sampling_matrix`."""
        ndim = len(shape) - 1
        axes, spacing = check_axes("affine", ndim, axes=self.axes, spacing=self.spacing)
        planes = list(combinations(axes, 2))
        turned, scaled, sheared, shifted = rng.random(4) < (
            self.p_rotation if self.rotation and planes else 0.0,
            self.p_scale if self.scale != (1.0, 1.0) else 0.0,
            self.p_shear if self.shear else 0.0,
            self.p_translation if self.translation else 0.0,
        )
        if not (turned or scaled or sheared or shifted):
            return None
        forward = np.eye(ndim)
        shift = np.zeros(ndim)
        if turned:
            for a, b in planes:
                forward = forward @ rotation_matrix(ndim, a, b, rng.uniform(-1, 1) * self.rotation)
        if sheared:
            shear = np.eye(ndim)
            for a, b in planes:
                shear[[a, b], [b, a]] = rng.uniform(-self.shear, self.shear, 2)
            forward = forward @ shear
        if scaled:
            stretch = np.ones(ndim)
            stretch[list(axes)] = factors(rng, self.scale, 1 if self.isotropic else len(axes))
            forward = forward @ np.diag(stretch)
        if shifted:
            shift[list(axes)] = rng.uniform(-self.translation, self.translation, len(axes))
        return sampling_matrix(forward, shift, spacing)


def sampling_matrix(forward: np.ndarray, shift: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Give the matrix ``(ndim, ndim + 1)`` from output to input voxels, counted from the centre.

    Args:
        forward: ``(ndim, ndim)``, how the object is deformed, in mm.
        shift: ``(ndim,)`` mm, how it is then moved.
        spacing: mm per voxel and axis.
    """
    inverse = np.linalg.inv(forward)
    size = np.asarray(spacing, dtype=float)
    linear = inverse * size[None, :] / size[:, None]
    offset = -(inverse @ shift) / size
    return np.concatenate([linear, offset[:, None]], axis=1)


def rotation_matrix(ndim: int, a: int, b: int, degrees: float) -> np.ndarray:
    """Give the matrix ``(ndim, ndim)`` that turns axis ``a`` towards axis ``b``."""
    angle = np.deg2rad(degrees)
    matrix = np.eye(ndim)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix
