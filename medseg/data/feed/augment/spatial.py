"""What moves voxels, and how neighbours among such transforms become one resampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from medseg.data.feed.augment.rearrange import rearrange
from medseg.data.feed.augment.resample import resample
from medseg.data.feed.augment.transform import BatchTransform
from medseg.data.feed.augment.warp import Field, Warp, fuse
from medseg.data.feed.batch import Wide
from medseg.data.feed.boxes import warp_boxes
from medseg.geometry.boxes import Boxes

P = TypeVar("P", np.ndarray, Field)


class SpatialTransform(BatchTransform[P]):
    """Deform space: a sample's parameters are a matrix, or a displacement field."""

    def apply(
        self, image: Tensor, label: Tensor | None, params: Sequence[P | None]
    ) -> tuple[Tensor, Tensor | None]:
        """Resample the samples that have parameters."""
        return warp_batch(image, label, [None if p is None else fuse([p]) for p in params])

    def move(self, boxes: Boxes, params: P | None, shape: Sequence[int]) -> Boxes:
        """Move the boxes of one sample ``(*S)`` as `apply` moves its voxels.

        Raises:
            InputError: see `warp_boxes`.
        """
        return boxes if params is None else warp_boxes(boxes, fuse([params]), shape)


def warp_batch(
    image: Tensor,
    label: Tensor | None,
    warps: Sequence[Warp | None],
    wide: Sequence[Wide | None] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Resample the samples of image ``(B, C, *S)`` and label ``(B, 1, *S)`` that have a warp.

    Where ``wide`` has a region it is read instead of the patch, and corners are filled with what
    lies there. Mirrors and quarter turns alone are exact: their voxels are copied. Samples go one
    by one: each result is the same to the last bit in any batch.
    """
    if all(warp is None for warp in warps):
        return image, label
    new_image = torch.empty_like(image)
    new_label = None if label is None else torch.empty_like(label)
    for number, warp in enumerate(warps):
        own = None if label is None else label[number]
        target = None if new_label is None else new_label[number]
        if warp is None or warp.exact:
            rearrange(image[number], warp, new_image[number])
            if own is not None and target is not None:
                rearrange(own, warp, target)
            continue
        region = None if wide is None else wide[number]
        if region is None:
            region = Wide(image[number], own, (0,) * (image.ndim - 2))
        region = region._replace(image=region.image.float())
        resample(region, warp, new_image[number], target)
    return new_image, new_label
