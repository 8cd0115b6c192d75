"""Objects held against the images that they were drawn in.

What a file alone can tell was checked when it was read (`medseg.data.formats.drawn`); here the
grid, or the voxels, are known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medseg.data.case import Case, Dataset
from medseg.data.prepare.headers import grid_of
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes

# Drawing tools and rounding reach this far over the edge, in voxels; more is said.
_OVERHANG = 1.0
_MOST = 0.5


class Checked(NamedTuple):
    """Boxes that lie within their image, and what was odd about them, in words."""

    boxes: Boxes
    notes: tuple[str, ...] = ()


def check_boxes(boxes: Boxes, grid: Grid, file: Path | None, *, classes: Sequence[str]) -> Checked:
    """Refuse boxes that cannot be of this image, and cut off what others have over its edge.

    Args:
        boxes: in voxel edges of ``grid``.
        grid: of the image.
        file: where they were written, for messages.
        classes: names of the classes.

    Raises:
        InputError: a box has a coordinate that is no finite number, swapped corners, no size or an
            unknown class, occurs twice, or has its centre outside of the image.
    """
    if boxes.ndim != grid.ndim:
        raise InputError(
            "the boxes have another number of axes than the image",
            file=file,
            expected=f"{grid.ndim}",
            found=f"{boxes.ndim}",
        )
    sizes = boxes.sizes
    same = _repeats(boxes)
    outside = ~_inside(boxes.centres, grid)
    unknown = (boxes.classes < 0) | (boxes.classes >= len(classes))
    extent = "×".join(str(n) for n in grid.shape)
    for wrong, message, expected, remedy in (
        (
            np.any(~np.isfinite(boxes.corners), axis=1),
            "a box has a coordinate that is no finite number",
            "finite numbers",
            "correct it, or remove the box",
        ),
        (
            np.any(sizes < 0, axis=1),
            "a box has its corners swapped",
            "the lower corner first",
            "swap its corners",
        ),
        (np.any(sizes == 0, axis=1), "a box has no size", "more than 0 voxels", "remove the box"),
        (unknown, "a box is of an unknown class", f"0 to {len(classes) - 1}", "correct its class"),
        (same, "a box occurs twice", "each object once", "remove one of them"),
        (
            outside,
            "a box lies outside of the image",
            f"its centre within {extent} voxels",
            "check that annotation and image belong together, and that the image is whole",
        ),
    ):
        if wrong.any():
            raise _refused(boxes, wrong, message, expected, remedy, file, classes)
    clipped = boxes.clip(grid.shape)
    over = np.abs(clipped.corners - boxes.corners).max(axis=1, initial=0.0)
    far = int((over > _OVERHANG).sum())
    note = (
        f"{far} of {len(boxes)} boxes reach over the edge of the image, up to "
        f"{over.max(initial=0):.3g} voxels; that is cut off"
    )
    return Checked(clipped, (note,) if far else ())


def check_instances(values: np.ndarray, case: Case) -> tuple[str, ...]:
    """Hold the values in an instance map against the table of their classes.

    Args:
        values: of the map, background (0) or not.
        case: its `Case.instances` is the table; ``None``: all instances are of one class.

    Returns:
        Notes: the values have gaps.

    Raises:
        InputError: the table names a value that the map lacks, or the map has one that the table
            lacks; or a value is negative.
    """
    found = {int(value) for value in np.unique(values)} - {0}
    file = case.label or case.images[0]
    if found and min(found) < 0:
        raise InputError(
            "the instance map has a negative value",
            file=file,
            expected="0 for background, 1, 2, … for objects",
            found=str(min(found)),
        )
    if case.instances is not None:
        table = {value for value, _ in case.instances}
        for missing, message, remedy in (
            (table - found, "the table names instances that the map lacks", "from the table"),
            (found - table, "the map has instances that the table lacks", "from the map"),
        ):
            if missing:
                raise InputError(
                    message,
                    file=file,
                    expected=f"the values {_listed(table) or 'none'}, as "
                    f"{file.stem.split('.')[0]}.json says",
                    found=_listed(found) or "none",
                    remedy=f"remove {_listed(missing)} {remedy}, or add what is missing",
                )
    if not found or max(found) == len(found):
        return ()
    return (f"instances are not numbered throughout: {len(found)} values up to {max(found)}",)


def check_frames(
    dataset: Dataset, *, grid: Callable[[Path], Grid] = grid_of, most: int = 50
) -> None:
    """Refuse coordinates in mm that count from right to left where the data set's do the contrary.

    LPS given as RAS, or RAS as LPS, is told by most objects lying outside of their images, and
    within them once x and y are negated. Headers are read of images with objects in mm only.

    Args:
        dataset: any.
        grid: gives the grid of an image file.
        most: how many images to look into.

    Raises:
        InputError: so many lie outside.
    """
    cases = [c for c in dataset.cases if c.annotation and c.annotation.objects]
    cases = [c for c in cases if c.annotation and c.annotation.frame == "spheres"]
    total = inside = mirrored = 0
    for case in cases[:most]:
        assert case.annotation is not None
        lattice = grid(case.images[0])
        if lattice.ndim != 3:
            continue
        centres = np.array([numbers[:3] for numbers in case.annotation.objects])
        total += len(centres)
        inside += _hits(centres, lattice)
        mirrored += _hits(centres * (-1, -1, 1), lattice)
    # Half of all, so that images which are cut short do not count as turned.
    if total and inside <= (1 - _MOST) * total and mirrored > max(inside, _MOST * total):
        first = cases[0].annotation
        raise InputError(
            "the coordinates count x and y in the other direction: they were taken from LPS "
            "(DICOM, ITK) for RAS (NIfTI), or the other way round",
            file=(first.file if first else None) or dataset.root,
            expected="the objects within their images",
            found=f"{inside} of {total} within; {mirrored} with x and y negated",
            remedy="negate x and y in the file; in a box list name the columns coordX, coordY, "
            "coordZ for LPS, x_ras, y_ras, z_ras for RAS",
        )


def _inside(centres: np.ndarray, grid: Grid) -> np.ndarray:
    return np.all((centres >= 0) & (centres <= np.array(grid.shape)), axis=1)


def _hits(centres: np.ndarray, grid: Grid) -> int:
    """Count points in mm, RAS, that lie within an image."""
    inverse = np.linalg.inv(grid.affine)
    edges = centres @ inverse[:-1, :-1].T + inverse[:-1, -1] + 0.5
    return int(_inside(edges, grid).sum())


def _repeats(boxes: Boxes) -> np.ndarray:
    rows = np.column_stack([boxes.corners, boxes.classes])
    _, first = np.unique(rows, axis=0, return_index=True)
    repeated = np.ones(len(rows), dtype=bool)
    repeated[first] = False
    return repeated


def _refused(
    boxes: Boxes,
    wrong: np.ndarray,
    message: str,
    expected: str,
    remedy: str,
    file: Path | None,
    classes: Sequence[str],
) -> InputError:
    number = int(np.flatnonzero(wrong)[0])
    kind = int(boxes.classes[number])
    name = classes[kind] if 0 <= kind < len(classes) else f"class {kind}"
    lower, upper = (
        "(" + ", ".join(f"{edge:.6g}" for edge in corner[number]) + ")"
        for corner in (boxes.lower, boxes.upper)
    )
    more = int(wrong.sum()) - 1
    return InputError(
        message,
        file=file,
        expected=expected,
        found=f"object {number + 1}, {name}, from {lower} to {upper} in voxel edges"
        + (f", and {more} more" if more else ""),
        remedy=remedy,
    )


def _listed(values: set[int]) -> str:
    shown = ", ".join(str(value) for value in sorted(values)[:10])
    return shown + (" …" if len(values) > 10 else "")
