"""Boxes around objects, in voxels and in the scanner's space.

One frame, everywhere: a box of an image with ``n`` axes is the ``2n`` numbers ``(lo_0 … lo_{n-1},
hi_0 … hi_{n-1})``, axes in array order (i, j, k), counted in **voxel edges**. Voxel ``i`` spans
``[i, i + 1)``, so a mask whose first and last voxels are 3 and 5 has the box ``[3, 6)``, and its
size is ``hi - lo`` voxels. The centre of voxel ``i`` is at ``i + 0.5`` here and at ``i`` in a
`Grid`'s affine; the functions below know that, so nobody else has to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from medseg.geometry.grid import Grid


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of one image, in voxel edges.

    Attributes:
        corners: float64 ``(N, 2n)``, lower corners, then upper ones; ``(0, 2n)`` without any.
        classes: int64 ``(N,)``, indices of the classes; default: all 0.
        scores: float64 ``(N,)`` of boxes that a network found, or ``None``.
    """

    corners: np.ndarray
    classes: np.ndarray = None  # type: ignore[assignment]
    scores: np.ndarray | None = None

    def __post_init__(self) -> None:
        corners = np.array(self.corners, dtype=np.float64)
        if corners.ndim != 2 or corners.shape[1] not in (4, 6):
            raise ValueError(f"boxes are (N, 4) in 2D and (N, 6) in 3D, not {corners.shape}")
        count = len(corners)
        classes = np.zeros(count) if self.classes is None else self.classes
        classes = np.array(classes, dtype=np.int64)
        scores = None if self.scores is None else np.array(self.scores, dtype=np.float64)
        for name, values in (("classes", classes), ("scores", scores)):
            if values is not None and values.shape != (count,):
                raise ValueError(f"{count} boxes have {name} of shape {values.shape}")
        object.__setattr__(self, "corners", corners)
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "scores", scores)

    @classmethod
    def none(cls, ndim: int) -> Boxes:
        """Give no boxes of an image with ``ndim`` axes."""
        return cls(np.zeros((0, 2 * ndim)))

    def __len__(self) -> int:
        return len(self.corners)

    def __getitem__(self, chosen: Any) -> Boxes:
        """Return the boxes of a slice, a mask or a list of numbers."""
        scores = None if self.scores is None else self.scores[chosen]
        return Boxes(self.corners[chosen], self.classes[chosen], scores)

    @property
    def ndim(self) -> int:
        """Axes of the image."""
        return self.corners.shape[1] // 2

    @property
    def lower(self) -> np.ndarray:
        """First edges ``(N, n)``."""
        return self.corners[:, : self.ndim]

    @property
    def upper(self) -> np.ndarray:
        """Last edges ``(N, n)``."""
        return self.corners[:, self.ndim :]

    @property
    def centres(self) -> np.ndarray:
        """Middles ``(N, n)``, in voxel edges."""
        return (self.lower + self.upper) / 2

    @property
    def sizes(self) -> np.ndarray:
        """Extents ``(N, n)`` in voxels."""
        return self.upper - self.lower

    def clip(self, shape: Sequence[int]) -> Boxes:
        """Cut off what lies outside an image of ``shape``; boxes wholly outside get no size."""
        limits = np.tile(np.asarray(shape, dtype=np.float64), 2)
        return replace(self, corners=np.clip(self.corners, 0.0, limits))

    def to_world(self, grid: Grid) -> WorldBoxes:
        """Say where the boxes of an image on ``grid`` lie in the scanner's space, without loss."""
        linear, origin = grid.affine[:-1, :-1], grid.affine[:-1, -1]
        spacing = np.asarray(grid.spacing)
        centres = (self.centres - 0.5) @ linear.T + origin
        return WorldBoxes(
            centres, self.sizes * spacing, linear / spacing, self.classes, self.scores
        )

    @classmethod
    def from_world(cls, boxes: WorldBoxes, grid: Grid) -> Boxes:
        """Bring boxes in the scanner's space onto a grid.

        Where the grid runs along the boxes' directions this undoes `to_world`; on any other grid a
        box becomes the smallest one that holds all of it.
        """
        inverse = np.linalg.inv(grid.affine)
        centres = boxes.centres @ inverse[:-1, :-1].T + inverse[:-1, -1] + 0.5
        half = (boxes.sizes / 2) @ np.abs(inverse[:-1, :-1] @ boxes.directions).T
        return cls(np.hstack([centres - half, centres + half]), boxes.classes, boxes.scores)


@dataclass(frozen=True, eq=False)
class WorldBoxes:
    """Boxes in the scanner's space: millimetres, RAS.

    Attributes:
        centres: float64 ``(N, n)``.
        sizes: extents ``(N, n)`` in mm along ``directions``.
        directions: ``(n, n)``, columns of unit length: where the boxes' axes point. Those of an
            image point along its own axes, which in an oblique scan are not those of the scanner.
        classes, scores: as of `Boxes`.
    """

    centres: np.ndarray
    sizes: np.ndarray
    directions: np.ndarray
    classes: np.ndarray
    scores: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.centres)


def voxels_of(box: np.ndarray, shape: Sequence[int]) -> tuple[slice, ...]:
    """Return the part of an image of ``shape`` that a box ``(2n,)`` is, in whole voxels.

    A voxel belongs to a box that holds its centre; a box too small for any is the one voxel that
    its own centre lies in. Of a box outside the image the part is empty.
    """
    lower, upper = np.split(np.asarray(box, dtype=np.float64), 2)
    # The centre of voxel i is at i + 0.5.
    first, stop = np.ceil(lower - 0.5), np.ceil(upper - 0.5)
    thin = stop <= first
    first = np.where(thin, np.floor((lower + upper) / 2), first)
    stop = np.where(thin, first + 1, stop)
    first, stop = np.clip(first, 0, shape).astype(int), np.clip(stop, 0, shape).astype(int)
    return tuple(slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))


def from_centre_size(centres: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return corners ``(N, 2n)`` of centres and sizes ``(N, n)``."""
    half = np.asarray(sizes, dtype=np.float64) / 2
    return np.hstack([centres - half, centres + half])


def to_centre_size(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return centres and sizes ``(N, n)`` of corners ``(N, 2n)``."""
    lower, upper = np.split(np.asarray(corners, dtype=np.float64), 2, axis=1)
    return (lower + upper) / 2, upper - lower


def from_spheres(centres: np.ndarray, diameters: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the corners ``(N, 2n)`` of the smallest boxes on ``grid`` that hold spheres.

    LUNA16 describes nodules so. Its centres are in the LPS frame of its images: negate the first
    two of their numbers before.

    Args:
        centres: ``(N, n)`` in mm, RAS.
        diameters: ``(N,)`` in mm.
        grid: of the image; may be oblique or sheared (a tilted gantry).
    """
    inverse = np.linalg.inv(grid.affine)
    middle = np.asarray(centres, dtype=np.float64) @ inverse[:-1, :-1].T + inverse[:-1, -1] + 0.5
    # A sphere reaches as far along an axis as the longest step of that coordinate per millimetre.
    reach = np.linalg.norm(inverse[:-1, :-1], axis=1)
    return from_centre_size(middle, np.asarray(diameters, dtype=np.float64)[:, None] * reach)


def from_voc(boxes: ArrayLike) -> np.ndarray:
    """Turn Pascal VOC's ``(xmin, ymin, xmax, ymax)`` ``(N, 4)`` into corners of pictures.

    VOC counts pixels from 1 and includes the last (Everingham et al. 2010), x along the columns; a
    picture's axes here are row, column.
    """
    x0, y0, x1, y1 = np.asarray(boxes, dtype=np.float64).reshape(-1, 4).T
    return np.stack([y0 - 1, x0 - 1, y1, x1], axis=1)


def to_voc(corners: np.ndarray) -> np.ndarray:
    """Undo `from_voc`."""
    i0, j0, i1, j1 = np.asarray(corners, dtype=np.float64).reshape(-1, 4).T
    return np.stack([j0 + 1, i0 + 1, j1, i1], axis=1)


def from_coco(boxes: ArrayLike) -> np.ndarray:
    """Turn COCO's ``(x, y, width, height)`` ``(N, 4)``, counted in pixel edges, into corners."""
    x, y, width, height = np.asarray(boxes, dtype=np.float64).reshape(-1, 4).T
    return np.stack([y, x, y + height, x + width], axis=1)


def to_coco(corners: np.ndarray) -> np.ndarray:
    """Undo `from_coco`."""
    i0, j0, i1, j1 = np.asarray(corners, dtype=np.float64).reshape(-1, 4).T
    return np.stack([j0, i0, j1 - j0, i1 - i0], axis=1)
