"""Maps that number objects, with the table of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medseg.data.case import Case
from medseg.data.prepare.object_checks import check_instances
from medseg.data.prepare.raw import suffix
from medseg.data.prepare.reading import check_finite, check_same_grid, load_mask
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.objects_in_masks import of_instances
from medseg.objects import ObjectRule

# The largest whole number that a float64 tells from its neighbours.
_LARGEST = 2**53


class NumberedObjects(NamedTuple):
    """The objects of an instance map.

    Attributes:
        map: int32 ``(*S)``: 0 background, ``i + 1`` object ``i``.
        corners: their boxes, float64 ``(N, 2n)`` in voxel edges.
        classes: int64 ``(N,)``, indices into the foreground classes.
        dtype: type of the values in the file.
        notes: what was odd, in words.
    """

    map: np.ndarray
    corners: np.ndarray
    classes: np.ndarray
    dtype: str
    notes: tuple[str, ...]


def read_instances(
    case: Case,
    rule: ObjectRule,
    *,
    value_map: Mapping[int, int] | None = None,
    like: Grid,
    like_file: Path | None = None,
) -> NumberedObjects:
    """Read the map of a case; values of fewer voxels than the rule wants are background.

    Args:
        case: whose ``label`` numbers objects.
        rule: what is one object.
        value_map: as of masks.
        like: the grid that the map must share.
        like_file: its file, for messages.

    Raises:
        InputError: the map cannot be read, lies on another grid, holds other than whole numbers, or
            does not go with its table.
    """
    assert case.label is not None
    raw = load_mask(case.label, value_map)
    check_same_grid(raw.grid, case.label, like=like, like_file=like_file, what="label")
    values = whole_numbers(raw.data[0], case.label)
    odd = check_instances(values, case)
    found = of_instances(values)
    table = dict(case.instances or ())
    classes = np.array([table.get(int(value), 0) for value in found.values], dtype=np.int64)
    kept = found.sizes >= rule.smallest
    numbers = np.append(0, np.where(kept, np.cumsum(kept), 0)).astype(np.int32)
    notes = (*raw.notes, *odd)
    return NumberedObjects(numbers[found.map], found.corners[kept], classes[kept], raw.dtype, notes)


def whole_numbers(values: np.ndarray, file: Path) -> np.ndarray:
    """Return the numbers of a map as int64; floats may be off by 0.01, as scaled ones are.

    Raises:
        InputError: they are no numbers of objects: not finite, not whole, beyond any count, or from
            a JPEG, whose compression changes them.
    """
    check_finite(values, file)
    lossy = suffix(file) in (".jpg", ".jpeg")
    whole = values if values.dtype.kind in "iub" else np.rint(values)
    off = np.abs(values - whole) if whole is not values else np.zeros(0)
    far = int(whole.max(initial=0)) > _LARGEST
    if lossy or far or off.max(initial=0) > 0.01:
        raise InputError(
            "the instance map is a JPEG, whose compression changes its values"
            if lossy
            else "the instance map holds what numbers no object",
            file=file,
            expected="0 for background, and a whole number for each object",
            found=f"values from {values.min():g} to {values.max():g}",
            remedy="store maps as PNG, TIFF or NIfTI"
            if lossy
            else "name the maps, not probabilities or intensities",
        )
    return whole.astype(np.int64)
