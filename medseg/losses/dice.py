"""Soft Dice: the overlap of probabilities with a target."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor

from medseg.losses.averages import mean_over_classes
from medseg.losses.comparison import Term, of_masks
from medseg.losses.overlap import overlap
from medseg.losses.weighted_sum import WeightedSum


def soft_dice(
    probabilities: Tensor,
    target: Tensor,
    *,
    squared_denominator: bool = False,
    batch: bool = False,
    smooth: float = 1e-5,
) -> Tensor:
    """Return the soft Dice of each class, ``(2 Σ p·t + smooth) / (Σ p + Σ t + smooth)``.

    Args:
        probabilities: ``(B, K, *S)``.
        target: indices ``(B, *S)`` or ``(B, 1, *S)`` of exclusive classes, or masks
            ``(B, K, *S)`` (bool, or soft values 0 … 1) that may overlap.
        squared_denominator: ``Σ p² + Σ t²`` instead (Milletari 2016, arXiv 1606.04797).
        batch: sum over the batch too: one Dice of all patches instead of one per patch.
        smooth: keeps empty classes finite; must be positive.

    Returns:
        ``(B, K)``, or ``(K,)`` with ``batch``; at least float32. A class that the target does not
        have scores ``smooth / (Σ p + smooth)``: 1 where nothing is predicted, near 0 elsewhere.
        Values and gradients are finite in every case.

    Raises:
        InputError: the shapes do not belong together, or ``smooth`` is not positive.
    """
    both, pred, ref = overlap(
        probabilities, target, squared=squared_denominator, batch=batch, smooth=smooth
    )
    return (2.0 * both + smooth) / (pred + ref + smooth)


def dice_loss(
    probabilities: Tensor,
    target: Tensor,
    *,
    include_background: bool = False,
    class_weights: Tensor | None = None,
    squared_denominator: bool = False,
    batch: bool = False,
    smooth: float = 1e-5,
) -> Tensor:
    """Return 1 - soft Dice, averaged over classes and patches.

    Args:
        probabilities: ``(B, K, *S)``.
        target: see `soft_dice`.
        include_background: count class 0 too; meaningless, so without effect, where K is 1.
        class_weights: ``(K,)``; the average over classes is weighted by them. Where only the
            background has a weight and it is not counted, the loss is 0.
        squared_denominator: see `soft_dice`.
        batch: see `soft_dice`.
        smooth: see `soft_dice`.
    """
    dice = soft_dice(
        probabilities,
        target,
        squared_denominator=squared_denominator,
        batch=batch,
        smooth=smooth,
    )
    return mean_over_classes(
        1.0 - dice, include_background=include_background, class_weights=class_weights
    )


def dice_term(*, batch: bool | None = None, **options: Any) -> Term:
    """Return `dice_loss` as a term of a `WeightedSum`."""
    return partial(of_masks, function=dice_loss, batch=bool(batch), **options)


class DiceLoss(WeightedSum):
    """Soft Dice loss.

    Args:
        squared_denominator: ``Σ p² + Σ t²`` in the denominator instead of ``Σ p + Σ t``.
        batch: one Dice over all patches of the batch instead of one per patch; ``None``: as the
            plan says where there is one, else not.
        include_background: count class 0 too; of regions, none is a background.
        smooth: added to numerator and denominator; must be positive.
        class_weights: one per output, background first; weigh the average over classes.
        regions: the target is masks of regions that may overlap, instead of class indices.
    """

    def __init__(
        self,
        *,
        squared_denominator: bool = False,
        batch: bool | None = None,
        include_background: bool = False,
        smooth: float = 1e-5,
        class_weights: Sequence[float] | None = None,
        regions: bool = False,
    ) -> None:
        dice = dice_term(
            squared_denominator=squared_denominator,
            batch=batch,
            include_background=include_background,
            smooth=smooth,
        )
        super().__init__((1.0, dice), class_weights=class_weights, regions=regions)
