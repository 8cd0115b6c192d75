"""What an earlier stage has found in a case, and what a crop to that keeps of the case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medseg.data.case import Case
from medseg.data.prepare.boxes import guided_box
from medseg.data.prepare.preprocess import plan_reorient
from medseg.data.prepare.reading import read_label
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.labels import LabelScheme, is_foreground


@dataclass(frozen=True)
class GuidedCrop:
    """What a case keeps where it is cut to its guide.

    Attributes:
        shape: voxels per axis, in the order of `CaseFingerprint.shape`.
        empty: the guide has no foreground, so that the whole image stays.
        kept: the part of the reference's foreground that lies in the box; 1 where there is none.
    """

    shape: tuple[int, ...]
    empty: bool
    kept: float


def read_guide(case: Case, labels: LabelScheme, *, like: Grid) -> np.ndarray:
    """Read the mask that an earlier stage made of a case, as label indices uint8 ``(*S)``.

    Args:
        case: with a ``guide``.
        labels: what its values mean, as medseg writes them: without the data set's value map.
        like: the grid of the case's image.

    Raises:
        InputError: the case has no guide; it cannot be read, has undeclared values, or lies on
            another grid than the image.
    """
    if case.guide is None:
        raise InputError(
            f"case {case.id!r} has no prediction of the first stage", file=case.images[0]
        )
    return read_label(case.guide, labels, like=like).data


def measure(
    case: Case, labels: LabelScheme, value_map: Mapping[int, int], margin: float
) -> GuidedCrop:
    """Read a case's guide and reference and tell what a crop with ``margin`` mm keeps.

    Raises:
        InputError: a file cannot be read, or the two lie on different grids.
    """
    if case.label is None:
        raise InputError("the case has no label", file=case.images[0])
    label = read_label(case.label, labels, value_map=value_map)
    grid = label.grid
    guide = read_guide(case, labels, like=grid)
    found = guided_box(guide, grid, margin)
    start, stop = found or ((0,) * grid.ndim, grid.shape)
    size = tuple(b - a for a, b in zip(start, stop, strict=True))
    if grid.ndim == 3:
        size = tuple(size[axis] for axis in plan_reorient(grid).axes)
    whole = np.count_nonzero(is_foreground(label.data))
    inside = label.data[tuple(map(slice, start, stop))]
    kept = np.count_nonzero(is_foreground(inside)) / whole if whole else 1.0
    return GuidedCrop(size, found is None, kept)
