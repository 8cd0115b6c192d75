"""Rotation, scale, shear and translation in one resampling."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from medseg.data.feed.augment.draws import factors, interval, probability
from medseg.data.feed.augment.transform import BatchTransform
from medseg.errors import InputError


class Affine(BatchTransform[np.ndarray]):
    """Turn, scale, shear and shift image and label together, about the patch's centre.

    Done in millimetres, so that a rotation stays rigid where voxels are not cubes. The image is
    read linearly, the label from the nearest voxel; what comes from outside is zero.

    Args:
        rotation: largest angle in degrees, either way; about each axis in 3D.
        scale: range of the factor, one for all axes; above 1 magnifies.
        shear: largest off-diagonal entry, either way.
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
        self.axes = None if axes is None else tuple(sorted({int(a) for a in axes}))
        self.spacing = None if spacing is None else tuple(float(s) for s in spacing)
        if self.spacing and min(self.spacing) <= 0:
            raise InputError("spacing must be above 0 mm", found=repr(spacing))

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray | None:
        """Draw the matrix ``(ndim, ndim + 1)`` of one sample; see `sampling_matrix`."""
        ndim = len(shape) - 1
        axes = tuple(range(ndim)) if self.axes is None else self.axes
        spacing = (1.0,) * ndim if self.spacing is None else self.spacing
        if len(spacing) != ndim or (axes and max(axes) >= ndim):
            raise InputError(
                "affine: spacing or axes do not fit the image",
                expected=f"{ndim} spatial axes",
                found=f"spacing {self.spacing}, axes {self.axes}",
            )
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
                forward = forward @ _rotation(ndim, a, b, rng.uniform(-1, 1) * self.rotation)
        if sheared:
            shear = np.eye(ndim)
            for a, b in planes:
                shear[[a, b], [b, a]] = rng.uniform(-self.shear, self.shear, 2)
            forward = forward @ shear
        if scaled:
            stretch = np.ones(ndim)
            stretch[list(axes)] = factors(rng, self.scale, 1)
            forward = forward @ np.diag(stretch)
        if shifted:
            shift[list(axes)] = rng.uniform(-self.translation, self.translation, len(axes))
        return sampling_matrix(forward, shift, spacing)

    def apply(
        self, image: Tensor, label: Tensor | None, params: Sequence[np.ndarray | None]
    ) -> tuple[Tensor, Tensor | None]:
        """Resample the samples that have a matrix, all of them in one call."""
        active = [i for i, p in enumerate(params) if p is not None]
        if not active:
            return image, label
        matrices = np.stack([p for p in params if p is not None])
        grid = _grid(matrices, tuple(image.shape[2:]), image.device)
        index = torch.tensor(active, device=image.device)
        moved = image.index_copy(0, index, _sample(image[index], grid, "bilinear"))
        if label is None:
            return moved, None
        nearest = _sample(label[index].float(), grid, "nearest").to(label.dtype)
        return moved, label.index_copy(0, index, nearest)


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


def _rotation(ndim: int, a: int, b: int, degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    matrix = np.eye(ndim)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix


def _grid(matrices: np.ndarray, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Give coordinates ``(n, *S, ndim)`` for `grid_sample`, last axis first, in -1 … 1.

    Written out instead of `F.affine_grid`, whose matrix product may run in TF32 on a GPU: that
    misplaces voxels.
    """
    ndim = len(shape)
    size = np.asarray(shape, dtype=float)
    scaled = matrices.copy()
    scaled[:, :, :ndim] *= size[None, None, :] / size[None, :, None]
    scaled[:, :, ndim] *= 2.0 / size
    theta = torch.tensor(scaled, dtype=torch.float32, device=device)
    axes = []
    for axis, n in enumerate(shape):
        line = (torch.arange(n, device=device, dtype=torch.float32) * 2 + 1) / n - 1
        axes.append(line.view([-1 if a == axis else 1 for a in range(ndim)]))
    wide = (slice(None), *[None] * ndim)
    grid = torch.empty((len(matrices), *shape, ndim), device=device)
    for row in range(ndim):
        total = theta[:, row, ndim][wide].expand(-1, *shape)
        for column in range(ndim):
            total = total + theta[:, row, column][wide] * axes[column]
        grid[..., ndim - 1 - row] = total
    return grid


def _sample(array: Tensor, grid: Tensor, mode: str) -> Tensor:
    return F.grid_sample(array, grid, mode=mode, padding_mode="zeros", align_corners=False)
