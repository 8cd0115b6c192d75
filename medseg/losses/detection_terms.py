"""What the losses of detectors have in common: their terms, and how sums become means."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from medseg.losses.all_ranks import summed


class DetectionTerms(NamedTuple):
    """A detector's loss and what it is the sum of, weights counted in; scalars.

    Attributes:
        total: what to train with.
        classes: whether there is an object, and of which class.
        boxes: where it is.
        segmentation: of a network that segments, where there is a target; else ``None``.
    """

    total: Tensor
    classes: Tensor
    boxes: Tensor
    segmentation: Tensor | None = None


def together(classes: Tensor, boxes: Tensor, segmentation: Tensor | None = None) -> DetectionTerms:
    """Add the terms up."""
    total = classes + boxes
    if segmentation is not None:
        total = total + segmentation
    return DetectionTerms(total, classes, boxes, segmentation)


def per(total: Tensor, count: Tensor) -> Tensor:
    """Return ``total / count`` over all patches of the step; ``total`` where the count is 0.

    Args:
        total: a sum; 0 with gradients where nothing was there to add up.
        count: how many there were.
    """
    return summed(total) / summed(count.to(total)).clamp(min=1)
