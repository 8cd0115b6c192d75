"""Random fields and the flaws of an MR image, from a generator that the caller owns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def smooth_noise(
    rng: np.random.Generator, shape: Sequence[int], *, scale: float | Sequence[float]
) -> np.ndarray:
    """Draw a smooth field ``(*shape)`` of mean 0 and standard deviation 1.

    Args:
        rng: the generator.
        shape: voxels per axis.
        scale: distance in voxels between independent values, one number or one per axis.
    """
    scales = np.broadcast_to(np.asarray(scale, dtype=float), len(shape))
    weights = [_spline_weights(n, s) for n, s in zip(shape, scales, strict=True)]
    field = rng.standard_normal([w.shape[1] for w in weights])
    for axis, weight in enumerate(weights):
        # einsum adds in a fixed order; a BLAS would make the phantom depend on its threads.
        moved = np.einsum(
            "ij,jk->ik", weight, np.moveaxis(field, axis, 0).reshape(len(weight.T), -1)
        )
        rest = np.delete(field.shape, axis)
        field = np.moveaxis(moved.reshape(len(weight), *rest), 0, axis)
    return ((field - field.mean()) / max(float(field.std()), 1e-6)).astype(np.float32)


def _spline_weights(n: int, scale: float) -> np.ndarray:
    """Return the cubic B-spline's weights ``(n, control points)`` at ``n`` places."""
    place = 1.0 + np.arange(n) / scale
    control = np.arange(int(np.ceil(n / scale)) + 3)
    distance = np.abs(place[:, None] - control)
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far)


def millimetres(shape: Sequence[int], spacing: Sequence[float]) -> np.ndarray:
    """Return the voxel centres ``(ndim, *shape)`` in mm, the middle of the box at the origin."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)


def displacement(
    rng: np.random.Generator,
    shape: Sequence[int],
    spacing: Sequence[float],
    *,
    scale_mm: float,
    size_mm: float,
) -> np.ndarray:
    """Draw a smooth vector field ``(ndim, *shape)`` in mm with standard deviation ``size_mm``."""
    scale = [scale_mm / s for s in spacing]
    return np.stack([size_mm * smooth_noise(rng, shape, scale=scale) for _ in shape])


def bias_field(
    rng: np.random.Generator, shape: Sequence[int], *, strength: float = 0.2
) -> np.ndarray:
    """Draw a slowly varying gain ``(*shape)`` around 1, as a surface coil leaves it."""
    return np.exp(strength * smooth_noise(rng, shape, scale=[0.8 * n for n in shape]))


def rician(rng: np.random.Generator, image: np.ndarray, *, sigma: float) -> np.ndarray:
    """Add Rician noise: the magnitude of a signal with Gaussian noise in both of its parts.

    Source: Gudbjartsson and Patz, Magn. Reson. Med. 1995.
    """
    real = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(image.shape, dtype=np.float32)
    return np.sqrt(real**2 + imaginary**2)
