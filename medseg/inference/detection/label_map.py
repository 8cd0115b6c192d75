"""Boxes as voxels: a mask that numbers what was found."""

from __future__ import annotations

import numpy as np

from medseg.geometry.boxes import voxels_of
from medseg.inference.detection.result import Detections


def label_map(found: Detections) -> np.ndarray:
    """Return uint16 ``(*S)`` on the image's grid: 0, or 1 + the number of the best box there.

    Which voxels a box has says `medseg.geometry.boxes.voxels_of`.
    """
    out = np.zeros(found.grid.shape, dtype=np.uint16)
    for number, box in reversed(list(enumerate(found.boxes.corners))):
        out[voxels_of(box, out.shape)] = number + 1
    return out
