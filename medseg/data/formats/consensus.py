"""What several readers agree on, from the outlines that each drew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Outline points (N, 2): column, row
Points = np.ndarray


@dataclass(frozen=True)
class Marked:
    """What one reader marked as one nodule.

    Attributes:
        reader: who.
        slices: where each slice lies, mm -> its pixels, int ``(N, 2)``: column, row.
    """

    reader: int
    slices: dict[float, np.ndarray]


def inside(outline: Points) -> np.ndarray:
    """Return the pixels ``(N, 2)`` that an outline encloses, without its own.

    LIDC's outlines run along the first pixels outside of a nodule. Points that are no neighbours
    are joined by straight lines.
    """
    from PIL import Image, ImageDraw

    points = np.asarray(outline, dtype=np.int64)
    corner = points.min(axis=0)
    width, height = points.max(axis=0) - corner + 1
    path = [(int(x), int(y)) for x, y in points - corner]
    if len(path) < 3:
        return np.zeros((0, 2), dtype=np.int64)
    canvas = Image.new("1", (int(width), int(height)))
    draw = ImageDraw.Draw(canvas)
    draw.polygon(path, fill=1, outline=1)
    draw.line([*path, path[0]], fill=0)
    rows, columns = np.nonzero(np.asarray(canvas))
    return np.stack([columns, rows], axis=1) + corner


def agreed(
    marks: Sequence[Marked], *, readers: int = 2
) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    """Find the nodules that enough readers marked.

    Marks that share a voxel are of one nodule; its voxels are those that ``readers`` of them share.

    Args:
        marks: of all readers of a scan.
        readers: how many must mark a voxel.

    Returns:
        The boxes of what is agreed, and those of nodules on whose voxels fewer agree (all that
        anybody marked), as ``(i0, j0, z0, i1, j1, z1)``: voxel edges, and the centres of the first
        and the last slice in mm; see the frame ``slices`` of `Annotation`.
    """
    found: list[tuple[float, ...]] = []
    alone: list[tuple[float, ...]] = []
    for members in _nodules(marks):
        votes = _votes(members)
        shared = [voxel for voxel, who in votes.items() if len(who) >= readers]
        (found if shared else alone).append(_box(shared or list(votes)))
    return sorted(found), sorted(alone)


_Voxel = tuple[int, int, float]


def _votes(members: Sequence[Marked]) -> dict[_Voxel, set[int]]:
    votes: dict[_Voxel, set[int]] = {}
    for mark in members:
        for z, pixels in mark.slices.items():
            for column, row in pixels.tolist():
                votes.setdefault((column, row, z), set()).add(mark.reader)
    return votes


def _nodules(marks: Sequence[Marked]) -> list[list[Marked]]:
    """Gather marks that share voxels, directly or through others."""
    voxels = [
        {(x, y, z) for z, pixels in mark.slices.items() for x, y in pixels.tolist()}
        for mark in marks
    ]
    groups: list[tuple[set, list[Marked]]] = []
    for mark, own in zip(marks, voxels, strict=True):
        touched = [group for group in groups if not own.isdisjoint(group[0])]
        groups = [group for group in groups if all(group is not other for other in touched)]
        together = own.union(*(group[0] for group in touched))
        groups.append((together, [*(m for group in touched for m in group[1]), mark]))
    return [members for _, members in groups]


def _box(voxels: Sequence[_Voxel]) -> tuple[float, ...]:
    array = np.array(voxels)
    (i0, j0, z0), (i1, j1, z1) = array.min(axis=0).tolist(), array.max(axis=0).tolist()
    return (i0, j0, z0, i1 + 1, j1 + 1, z1)
