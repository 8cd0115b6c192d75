"""Resampling between grids that fill the same box, one axis after the other.

Interpolating on a regular grid is linear and separable, so each axis is one small matrix and a
volume is three matrix products: a cubic spline from 240×240×155 to 200×200×186 voxels takes 0.2 s
on one core, against 3.5 s in `scipy.ndimage.zoom` (the same values) and 2.8 s in SimpleITK. The
matrices come from SciPy's own splines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from medseg.geometry import Grid

Array = TypeVar("Array")

# nnU-Net's threshold: beyond it slices are too far apart for a spline across them to mean anything.
ANISOTROPY = 3.0


def coarse_axis(source: Sequence[float], target: Sequence[float]) -> int | None:
    """Name the axis to resample by nearest neighbour, or ``None``.

    That is the axis of largest spacing (mm) when it is more than 3 times the smallest, in the
    source or else in the target, unless two axes are equally coarse (nnU-Net's rule).
    """
    for spacing in (np.asarray(source), np.asarray(target)):
        if len(spacing) == 3 and spacing.max() / spacing.min() > ANISOTROPY:
            coarsest = np.flatnonzero(np.isclose(spacing, spacing.max(), rtol=1e-3))
            return int(coarsest[0]) if len(coarsest) == 1 else None
    return None


def resample_channel(array: Array, shape: Sequence[int], order: int | Sequence[int]) -> Array:
    """Resample one channel ``(*S)`` to ``shape``; the box's outer faces stay where they are.

    Args:
        array: NumPy array or torch tensor, on any device. Order 0 keeps its type, other orders
            compute and return floating point.
        shape: voxels per axis wanted.
        order: 0 nearest, 1 linear, 3 cubic spline; one for all axes, or one per axis. Beyond the
            outermost voxel centres the edge value continues.
    """
    orders = (order,) * len(shape) if isinstance(order, int) else tuple(order)
    # Axes that shrink go first: what follows has less to do.
    axes = sorted(range(len(shape)), key=lambda axis: shape[axis] / array.shape[axis])  # type: ignore[attr-defined]
    for axis in axes:
        size = array.shape[axis]  # type: ignore[attr-defined]
        if size == shape[axis]:
            continue
        if orders[axis] == 0 or size == 1:
            array = _take(array, nearest(size, shape[axis]), axis)
        else:
            array = _multiply(weights(size, shape[axis], orders[axis]), array, axis)
    return array


def resample_image(array: np.ndarray, source: Grid, target: Grid, *, order: int = 3) -> np.ndarray:
    """Resample an image ``(C, *source.shape)`` to ``(C, *target.shape)``, float32.

    The coarse axis, if there is one, takes the nearest voxel. Overshoot of the spline is clipped to
    the range of each channel.
    """
    orders = _orders(source, target, order)
    out = np.empty((len(array), *target.shape), dtype=np.float32)
    for channel, result in zip(array, out, strict=True):
        channel = np.asarray(channel, dtype=np.float32)
        result[...] = resample_channel(channel, target.shape, orders)
        if order > 1:
            np.clip(result, channel.min(), channel.max(), out=result)
    return out


def resample_label(index: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Resample a label array ``(*source.shape)`` of indices, uint8, without inventing a label.

    Each class is interpolated linearly as a mask of its own (nearest along the coarse axis) and
    the largest wins; on a tie the lower index. Memory stays at three channels for any number of
    classes.
    """
    orders = _orders(source, target, 1)
    if not any(orders):
        return resample_channel(index, target.shape, 0)
    out = np.zeros(target.shape, dtype=np.uint8)
    best = np.zeros(target.shape, dtype=np.float32)
    for label, box in _boxes(index):
        region = tuple(
            _reach(size, new, order, part)
            for size, new, order, part in zip(index.shape, target.shape, orders, box, strict=True)
        )
        part = (index[box] == label).astype(np.float32)
        for axis, order in enumerate(orders):
            matrix = _matrix(index.shape[axis], target.shape[axis], order)
            part = _multiply(matrix[region[axis], box[axis]], part, axis)
        wins = part > best[region]
        best[region][wins] = part[wins]
        out[region][wins] = label
    return out


@lru_cache(maxsize=256)
def weights(size: int, new: int, order: int) -> np.ndarray:
    """Give the matrix ``(new, size)`` float32 that resamples one axis by a spline of ``order``."""
    if order == 1:
        at = np.clip((np.arange(new) + 0.5) * size / new - 0.5, 0, size - 1)
        low = np.minimum(at.astype(int), size - 2)
        matrix = np.zeros((new, size))
        matrix[np.arange(new), low] = 1 - (at - low)
        matrix[np.arange(new), low + 1] += at - low
    else:
        from scipy.ndimage import zoom

        matrix = np.empty((new, size))
        for column, impulse in enumerate(np.eye(size)):
            matrix[:, column] = zoom(
                impulse, new / size, order=order, mode="nearest", grid_mode=True
            )
    matrix = matrix.astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def nearest(size: int, new: int) -> np.ndarray:
    """Give the index of the nearest old voxel for each of ``new`` ones."""
    return np.minimum(((np.arange(new) + 0.5) * size / new).astype(np.int64), size - 1)


def _matrix(size: int, new: int, order: int) -> np.ndarray:
    if size == new:
        return np.eye(size, dtype=np.float32)
    if order == 0 or size == 1:
        return np.eye(size, dtype=np.float32)[nearest(size, new)]
    return weights(size, new, order)


def _orders(source: Grid, target: Grid, order: int) -> tuple[int, ...]:
    coarse = coarse_axis(source.spacing, target.spacing)
    return tuple(0 if axis == coarse else order for axis in range(source.ndim))


def _boxes(index: np.ndarray) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """Yield each label present and the box that holds it; the whole array for background."""
    from scipy.ndimage import find_objects

    yield 0, tuple(slice(0, n) for n in index.shape)
    for label, box in enumerate(find_objects(index), start=1):
        if box is not None:
            yield label, box


def _reach(size: int, new: int, order: int, box: slice) -> slice:
    """Give the new voxels that the old voxels of ``box`` contribute to."""
    hits = np.flatnonzero(_matrix(size, new, order)[:, box].any(axis=1))
    return slice(int(hits[0]), int(hits[-1]) + 1) if len(hits) else slice(0, 0)


def _take(array: Any, index: np.ndarray, axis: int) -> Any:
    if isinstance(array, np.ndarray):
        return np.take(array, index, axis=axis)
    import torch

    return array.index_select(axis, torch.from_numpy(index).to(array.device))


def _multiply(matrix: np.ndarray, array: Any, axis: int) -> Any:
    """Multiply ``matrix`` ``(new, size)`` onto one axis of ``array``."""
    if isinstance(array, np.ndarray):
        kind = np.float64 if array.dtype == np.float64 else np.float32
        factor = matrix.astype(kind, copy=False)
        array = np.ascontiguousarray(array, dtype=kind)
        if axis == array.ndim - 1:
            flat = array.reshape(-1, array.shape[-1]) @ factor.T
            return flat.reshape(*array.shape[:-1], len(matrix))
        # One large product: of many small ones, each waits for BLAS's threads, which on a busy
        # machine takes ten times as long as the arithmetic.
        return np.moveaxis(np.tensordot(factor, array, axes=(1, axis)), 0, axis)
    import torch

    if not array.is_floating_point():
        array = array.float()
    weight = torch.from_numpy(np.array(matrix)).to(array.device, array.dtype)
    return torch.movedim(torch.tensordot(weight, array, dims=([1], [axis])), 0, axis)
