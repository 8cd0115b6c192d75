"""What an earlier stage has found, as channels of the image.

On its way from the cache a guide is a second map beside the label, so that crops and deformations
treat the two alike; it becomes channels where augmentation is over.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medseg.data.feed.augment.compose import Compose
from medseg.data.feed.augment.guide_components import DropComponent
from medseg.data.feed.augment.guide_morphology import RandomMorphology
from medseg.data.feed.augment.transform import IntensityTransform
from medseg.data.feed.batch import Batch


def one_hot(guide: Tensor, classes: int, *, axis: int = 0) -> Tensor:
    """Turn label indices ``(…, *S)`` into bool masks ``(…, K, *S)`` of the classes 1 to K.

    Args:
        guide: label indices.
        classes: K, foreground classes.
        axis: where the classes go.
    """
    values = torch.arange(1, classes + 1, device=guide.device, dtype=guide.dtype)
    return guide.unsqueeze(axis) == values.view(-1, *(1,) * (guide.ndim - axis))


def with_guide(image: Tensor, guide: Tensor, classes: int) -> Tensor:
    """Append the masks of a guide ``(*S)`` to the channels of an image ``(C, *S)``."""
    return torch.cat([image, one_hot(guide, classes).to(image.dtype)])


class GuideChannels:
    """Make channels of the guides in a batch, and what a first stage gets wrong in some of them.

    Args:
        classes: foreground classes of the guides.
        transforms: applied to the masks ``(B, K, *S)`` in training; `cascade_augmentation` gives
            nnU-Net's.
    """

    def __init__(self, classes: int, transforms: Sequence[IntensityTransform] = ()) -> None:
        self.classes = int(classes)
        self.augment = Compose(transforms)

    def __call__(self, batch: Batch, *, training: bool = False) -> Batch:
        """Move the second map of the labels ``(B, 2, *S)`` to the images ``(B, C + K, *S)``.

        A batch whose labels have one map is returned as it came.
        """
        if batch.label is None or batch.label.shape[1] < 2:
            return batch
        masks = one_hot(batch.label[:, 1], self.classes, axis=1).to(batch.image.dtype)
        if training:
            masks = self.augment(batch._replace(image=masks, label=None, wide=None)).image
        image = torch.cat([batch.image, masks], dim=1)
        return batch._replace(image=image, label=batch.label[:, :1])


def cascade_augmentation() -> list[IntensityTransform]:
    """Give nnU-Net's augmentation of a first stage's masks."""
    return [RandomMorphology(), DropComponent()]
