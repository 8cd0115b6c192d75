"""Where an output voxel reads its value: an affine map of a smooth displacement."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Small enough for a core's second-level cache, large enough to hide the cost of a call.
_SLAB_VOXELS = {"cpu": 2**16, "cuda": 2**21}


@dataclass(frozen=True, eq=False)
class Field:
    """A displacement in voxels, smooth between control points: a cubic B-spline.

    Attributes:
        control: coefficients ``(ndim, *N)``; the control points lie about the patch's centre.
        step: voxels between control points, per axis.
    """

    control: np.ndarray
    step: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Warp:
    """The map ``q -> A (q + d(q)) + b`` from output to input voxels, counted from the centre.

    Attributes:
        matrix: ``A`` and ``b`` as ``(ndim, ndim + 1)``.
        field: ``d``; ``None``: zero.
    """

    matrix: np.ndarray
    field: Field | None = None

    @property
    def separable(self) -> bool:
        """Whether each input coordinate depends on its own output coordinate alone."""
        linear = self.matrix[:, :-1]
        return self.field is None and bool((linear == np.diag(np.diag(linear))).all())

    @property
    def exact(self) -> bool:
        """Whether voxels only change places: mirrors and quarter turns about the centre."""
        parts = np.abs(self.matrix)
        whole = bool(((parts == 0) | (parts == 1)).all()) and not parts[:, -1].any()
        return self.field is None and whole and bool((parts.sum(axis=1) == 1).all())

    def origin(self, shape: Sequence[int], start: Sequence[int]) -> np.ndarray:
        """Give the input coordinates ``(ndim,)`` of the first output voxel, without the field.

        Args:
            shape: of the output ``(*S)``.
            start: where the output's first voxel lies in the input.
        """
        linear, shift = self.matrix[:, :-1], self.matrix[:, -1]
        centre = (np.asarray(shape, dtype=float) - 1) / 2
        return centre + shift - linear @ centre + np.asarray(start, dtype=float)

    def reach(self, shape: Sequence[int]) -> list[tuple[int, int]]:
        """Bound the voxels read before and after a patch of ``shape`` ``(*S)``, per axis.

        A B-spline stays within its coefficients, so the bound needs no field.
        """
        half = (np.asarray(shape, dtype=float) - 1) / 2
        linear, shift = self.matrix[:, :-1], self.matrix[:, -1]
        spread = np.abs(linear) @ (half + self._largest())
        low, high = spread - half - shift, spread - half + shift
        return [
            (max(0, math.ceil(a - 1e-6)), max(0, math.ceil(b - 1e-6)))
            for a, b in zip(low, high, strict=True)
        ]

    def shadow(
        self, shape: Sequence[int], source: Sequence[int], start: Sequence[int]
    ) -> tuple[slice, ...]:
        """Bound the part of the output where something of the input can be seen.

        Args:
            shape: of the output ``(*S)``.
            source: shape of the input ``(*R)``.
            start: where the output's first voxel lies in the input.
        """
        linear = self.matrix[:, :-1]
        # An input voxel is seen from less than one voxel away.
        middle = (np.asarray(source, dtype=float) - 1) / 2
        inverse = np.linalg.inv(linear)
        centre = inverse @ (middle - self.origin(shape, start))
        spread = np.abs(inverse) @ (middle + 1) + self._largest() + 1e-3
        low = np.clip(np.ceil(centre - spread), 0, shape).astype(int)
        high = np.clip(np.floor(centre + spread) + 1, 0, shape).astype(int)
        return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))

    def _largest(self) -> np.ndarray | float:
        if self.field is None:
            return 0.0
        return np.abs(self.field.control).reshape(len(self.matrix), -1).max(1)


def fuse(parts: Sequence[np.ndarray | Field]) -> Warp:
    """Make one warp of what consecutive transforms drew: matrices in order, at most one field.

    Wherever the field stands in the list, space is deformed first and then mapped by the matrices.
    """
    fields = [part for part in parts if isinstance(part, Field)]
    ndim = len(fields[0].control) if fields else len(parts[0])  # type: ignore[arg-type]
    square = np.eye(ndim + 1)
    for part in parts:
        if not isinstance(part, Field):
            square = square @ np.vstack([part, np.eye(ndim + 1)[-1]])
    return Warp(square[:-1], fields[0] if fields else None)


def coordinates(
    warp: Warp,
    shape: Sequence[int],
    source: Sequence[int],
    start: Sequence[int],
    device: torch.device,
    *,
    box: Sequence[slice] | None = None,
    units: Sequence[tuple[float, float]] | None = None,
) -> Iterator[tuple[slice, list[Tensor]]]:
    """Yield slabs of the first axis and the input coordinates of their voxels.

    Coordinates count from a border of one voxel: 1 is the input's first voxel. They are kept
    between 0 and ``n + 1``, where nothing of the input is left. They may share memory: whoever
    gets them leaves them as they are.

    Args:
        warp: the map.
        shape: of the output ``(*S)``.
        source: shape of the input ``(*R)``.
        start: where the output's first voxel lies in the input.
        device: of the coordinates.
        box: the part of the output that is wanted; ``None``: all.
        units: per input axis a factor and what is then added, for coordinates in another measure
            than voxels; that costs nothing here.

    Yields:
        The slab, counted from the box's first row, and a float32 tensor per input axis; they
        broadcast to the slab's shape.
    """
    ndim = len(shape)
    box = [slice(0, n) for n in shape] if box is None else list(box)
    factor, zero = np.asarray([(1.0, 0.0)] * ndim if units is None else units, dtype=float).T
    linear = warp.matrix[:, :-1] * factor[:, None]
    origin = (warp.origin(shape, start) + 1) * factor + zero
    lines = [
        torch.arange(part.start, part.stop, device=device, dtype=torch.float32).view(
            [-1 if a == axis else 1 for a in range(ndim)]
        )
        for axis, part in enumerate(box)
    ]
    # Python scalars throughout: a tensor made on the host would stall a GPU, and a matrix product
    # might run in TF32, which misplaces voxels.
    within: list[Tensor | float] = []
    for row in range(ndim):
        total: Tensor | float = float(origin[row])
        for column in range(ndim - 1, 0, -1):
            if linear[row, column]:
                total = lines[column] * float(linear[row, column]) + total
        within.append(total)
    bend = None if warp.field is None else _Bend(warp.field, linear, shape, box, device)
    beyond = [
        low > first or high > n - size - first
        for (low, high), first, n, size in zip(warp.reach(shape), start, source, shape, strict=True)
    ]
    size = [part.stop - part.start for part in box]
    rows = slab_rows(size, device)
    for first in range(0, size[0], rows):
        slab = slice(first, min(first + rows, size[0]))
        places = []
        for row, n in enumerate(source):
            place: Tensor = within[row]  # type: ignore[assignment]
            if linear[row, 0] or row == 0 or isinstance(place, float):
                place = lines[0][slab] * float(linear[row, 0]) + place
            if bend is not None:
                place = bend(row, slab) + place
            if beyond[row]:
                place = place.clamp(float(zero[row]), float((n + 1) * factor[row] + zero[row]))
            places.append(place)
        yield slab, places


class _Bend:
    """The displacement after the matrix, evaluated slab by slab."""

    def __init__(
        self,
        field: Field,
        linear: np.ndarray,
        shape: Sequence[int],
        box: Sequence[slice],
        device: torch.device,
    ) -> None:
        # The matrix commutes with the interpolation: it is applied to the few coefficients.
        control = np.tensordot(linear, field.control, axes=1)
        self.shape = [part.stop - part.start for part in box]
        counts = control.shape[1:]
        self.weights = [
            to_device(spline_matrix(n, count, step)[part], device)
            for n, count, step, part in zip(shape, counts, field.step, box, strict=True)
        ]
        planes = to_device(control, device)
        for axis in range(len(shape) - 1, 0, -1):
            planes = along_axis(self.weights[axis], planes, axis + 1)
        self.planes = planes.reshape(len(shape), control.shape[1], -1)

    def __call__(self, row: int, slab: slice) -> Tensor:
        weights = self.weights[0][slab]
        moved = combine(weights, self.planes[row])
        return moved.view(len(weights), *self.shape[1:])


def spline_matrix(size: int, count: int, step: float) -> np.ndarray:
    """Give the weights ``(size, count)`` of ``count`` control points at ``size`` voxels."""
    voxels = np.arange(size) - (size - 1) / 2
    knots = (np.arange(count) - (count - 1) / 2) * step
    if count == 1:
        return np.ones((size, 1), dtype=np.float32)
    t = np.abs(voxels[:, None] - knots[None]) / step
    near, far = 2 / 3 - t**2 * (1 - t / 2), np.clip(2 - t, 0, None) ** 3 / 6
    return np.where(t < 1, near, far).astype(np.float32)


def along_axis(matrix: Tensor, array: Tensor, axis: int) -> Tensor:
    """Multiply an axis of length ``m`` by a matrix ``(n, m)``."""
    moved = array.movedim(axis, 0)
    product = combine(matrix, moved.reshape(len(moved), -1))
    return product.view(len(matrix), *moved.shape[1:]).movedim(0, axis)


def combine(weights: Tensor, rows: Tensor) -> Tensor:
    """Multiply ``(n, m)`` by ``(m, v)`` in full float32 precision."""
    return weights @ rows if rows.device.type == "cpu" else accumulate(weights, rows)


def accumulate(weights: Tensor, rows: Tensor) -> Tensor:
    """Multiply ``(n, m)`` by ``(m, v)`` row by row: TF32 would misplace voxels by its rounding."""
    total = weights[:, :1] * rows[:1]
    for number in range(1, len(rows)):
        total.addcmul_(weights[:, number : number + 1], rows[number : number + 1])
    return total


def slab_rows(shape: Sequence[int], device: torch.device) -> int:
    """Choose how many rows of the first axis are worked on at once."""
    return max(1, _SLAB_VOXELS.get(device.type, 2**21) // max(1, math.prod(shape[1:])))


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Bring a small array to a device without waiting for it."""
    tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
