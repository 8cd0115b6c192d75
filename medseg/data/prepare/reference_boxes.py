"""The boxes that a case has by its annotation, on its image's own grid, without its image."""

from __future__ import annotations

import numpy as np

from medseg.data.annotation import Annotation
from medseg.data.case import Case, Dataset, Volume
from medseg.data.prepare.headers import grid_of
from medseg.data.prepare.objects import drawn_boxes, read_objects
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes


def reference_boxes(case: Case, dataset: Dataset, grid: Grid) -> Boxes:
    """Read the objects of a case as `read_objects` does; voxels of the image are not looked at.

    Args:
        case: of the data set.
        dataset: says what an object is.
        grid: what predictions were made on.

    Raises:
        InputError: the image, or the mask of its objects, lies on another grid; see `read_objects`.
    """
    assert dataset.objects is not None
    own = grid_of(case.images[0])
    differs = f"{own.ndim} axes" if own.ndim != grid.ndim else own.mismatch(grid)
    if differs:
        raise InputError(
            f"the boxes of case {case.id} are of another grid than its image",
            file=case.images[0],
            expected=f"boxes on its grid, {'×'.join(map(str, own.shape))}",
            found=f"{'×'.join(map(str, grid.shape))}: {differs}",
            remedy="predict this image, or name the data set that the boxes are of",
        )
    if dataset.objects.source == "boxes":
        drawn = case.annotation or Annotation("voxels")
        return drawn_boxes(drawn, grid, dataset.labels).boxes
    unseen = Volume(np.zeros((0, *grid.shape), dtype=np.float32), grid)
    found = read_objects(
        case, unseen, dataset.objects, dataset.labels, value_map=dict(dataset.value_map)
    )
    return found.boxes
