"""Dice plus cross-entropy: what most segmentation networks train with."""

from __future__ import annotations

from collections.abc import Sequence

from medseg.losses.cross_entropy import CE
from medseg.losses.dice import dice_term
from medseg.losses.weighted_sum import WeightedSum


class DiceCELoss(WeightedSum):
    """``dice_weight`` · Dice + ``ce_weight`` · cross-entropy of exclusive classes.

    Args:
        squared_denominator: ``Σ p² + Σ t²`` in Dice's denominator instead of ``Σ p + Σ t``.
        batch: one Dice over all patches of the batch instead of one per patch; ``None``: as the
            plan says where there is one, else not.
        include_background: count class 0 in Dice; cross-entropy always does.
        smooth: added to Dice's numerator and denominator; must be positive.
        class_weights: one per class, background first; weigh Dice's average over classes and
            cross-entropy's average over voxels.
        dice_weight: factor of Dice.
        ce_weight: factor of cross-entropy.
    """

    def __init__(
        self,
        *,
        squared_denominator: bool = False,
        batch: bool | None = None,
        include_background: bool = False,
        smooth: float = 1e-5,
        class_weights: Sequence[float] | None = None,
        dice_weight: float = 1.0,
        ce_weight: float = 1.0,
    ) -> None:
        dice = dice_term(
            squared_denominator=squared_denominator,
            batch=batch,
            include_background=include_background,
            smooth=smooth,
        )
        super().__init__((dice_weight, dice), (ce_weight, CE), class_weights=class_weights)
