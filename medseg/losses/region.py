"""The usual loss of overlapping regions: one sigmoid a region, Dice plus binary cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence

from medseg.losses.cross_entropy import CE
from medseg.losses.dice import dice_term
from medseg.losses.weighted_sum import WeightedSum


class RegionLoss(WeightedSum):
    """``dice_weight`` · Dice + ``ce_weight`` · binary cross-entropy of overlapping regions.

    Every output is a region (BraTS: WT, TC, ET), so there is no background to leave out. A region
    that a patch does not have costs Dice ``1 - smooth / (Σ p + smooth)`` and stays finite.

    Args:
        squared_denominator: ``Σ p² + Σ t²`` in Dice's denominator instead of ``Σ p + Σ t``.
        batch: one Dice over all patches of the batch instead of one per patch; ``None``: as the
            plan says where there is one, else not.
        smooth: added to Dice's numerator and denominator; must be positive.
        class_weights: one per region; weigh the averages over regions.
        dice_weight: factor of Dice.
        ce_weight: factor of binary cross-entropy.
    """

    def __init__(
        self,
        *,
        squared_denominator: bool = False,
        batch: bool | None = None,
        smooth: float = 1e-5,
        class_weights: Sequence[float] | None = None,
        dice_weight: float = 1.0,
        ce_weight: float = 1.0,
    ) -> None:
        dice = dice_term(squared_denominator=squared_denominator, batch=batch, smooth=smooth)
        super().__init__(
            (dice_weight, dice), (ce_weight, CE), regions=True, class_weights=class_weights
        )
