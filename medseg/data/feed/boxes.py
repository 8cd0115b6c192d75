"""Boxes on their way through the feed: with the patch, with its deformations, at its border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.objects import IGNORED_OBJECT

if TYPE_CHECKING:
    # Transforms import this module, whichever of the two is imported first.
    from medseg.data.feed.augment.warp import Warp


def shift_boxes(boxes: Boxes, start: Sequence[int]) -> Boxes:
    """Count boxes from the first voxel of a patch, ``start`` in the image; none is left out."""
    return replace(boxes, corners=boxes.corners - np.tile(np.asarray(start, dtype=float), 2))


def warp_boxes(boxes: Boxes, warp: Warp, shape: Sequence[int]) -> Boxes:
    """Move boxes of a patch ``shape`` as its voxels move.

    A turned box needs a new one around what is in it. That is taken for the ellipsoid that the box
    is drawn around: the box of a turned ellipsoid is exact, while a box around turned corners would
    grow with every turn. Mirrors, quarter turns and scalings are exact for any content.

    Raises:
        InputError: space is bent (an elastic field), where boxes would not stay boxes.
    """
    if warp.field is not None:
        raise InputError(
            "boxes cannot follow an elastic deformation",
            remedy="leave elastic out of the augmentation of a detection",
        )
    # A warp says where an output voxel reads; boxes go the other way. Counted from the patch's
    # centre, voxel centres and voxel edges are the same coordinates.
    inverse = np.linalg.inv(warp.matrix[:, :-1])
    middle = np.asarray(shape, dtype=float) / 2
    centres = (boxes.centres - middle - warp.matrix[:, -1]) @ inverse.T + middle
    half = np.sqrt((boxes.sizes / 2) ** 2 @ (inverse**2).T)
    return replace(boxes, corners=np.hstack([centres - half, centres + half]))


def visible_boxes(boxes: Boxes, shape: Sequence[int], *, least: float = 0.5) -> Boxes:
    """Settle what becomes of boxes at a patch's border.

    What is outside is cut off. A box of which less than ``least`` of the volume is left is neither
    an object to be found nor background: it gets the class `IGNORED_OBJECT`. One of which nothing
    is left is gone.
    """
    inside = boxes.clip(shape)
    whole = boxes.sizes.prod(axis=1)
    left = inside.sizes.prod(axis=1)
    part = np.divide(left, whole, out=np.zeros_like(left), where=whole > 0)
    classes = np.where(part >= least, boxes.classes, IGNORED_OBJECT)
    return replace(inside, classes=classes)[part > 0]
