"""How much of probabilities and masks lies on each other: what Dice and its kin are made of."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from medseg.errors import InputError
from medseg.losses.all_ranks import summed
from medseg.losses.targets import class_masks, full_precision


class Overlap(NamedTuple):
    """Soft voxel counts per class, ``(B, K)``, or ``(K,)`` summed over the batch."""

    both: Tensor  # Σ p·t, the true positives
    pred: Tensor  # Σ p
    ref: Tensor  # Σ t


def overlap(
    probabilities: Tensor,
    target: Tensor,
    *,
    squared: bool = False,
    batch: bool = False,
    smooth: float,
) -> Overlap:
    """Sum over space, and with ``batch`` over the batch too; at least float32.

    Args:
        probabilities: ``(B, K, *S)``.
        target: indices ``(B, *S)`` or ``(B, 1, *S)`` of exclusive classes, or masks
            ``(B, K, *S)`` (bool, or soft values 0 … 1) that may overlap.
        squared: ``Σ p²`` and ``Σ t²`` instead of ``Σ p`` and ``Σ t``.
        batch: sum over the batch too.
        smooth: what the caller adds to keep empty classes finite; only checked here.

    Raises:
        InputError: the shapes do not belong together, or ``smooth`` is not positive.
    """
    if not smooth > 0:
        raise InputError("smooth must be positive: empty classes divide by it", found=str(smooth))
    probabilities = full_precision(probabilities)
    masks = class_masks(probabilities, target)
    axes = ((0,) if batch else ()) + tuple(range(2, probabilities.ndim))
    both = (probabilities * masks).sum(axes)
    if squared:
        probabilities = probabilities.square()
        masks = masks.square() if masks.is_floating_point() else masks
    counts = Overlap(both, probabilities.sum(axes), masks.sum(axes))
    return Overlap(*map(summed, counts)) if batch else counts
