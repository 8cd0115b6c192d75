"""Tversky's index: Dice with a price of its own for false positives and for false negatives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from medseg.errors import InputError
from medseg.losses.averages import mean_over_classes
from medseg.losses.comparison import of_masks
from medseg.losses.overlap import overlap
from medseg.losses.weighted_sum import WeightedSum

# A root is infinitely steep at 0; a class this near to perfect costs nothing.
_PERFECT = 1e-7


def tversky_loss(
    probabilities: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    exponent: float = 1.0,
    include_background: bool = False,
    class_weights: Tensor | None = None,
    batch: bool = False,
    smooth: float = 1e-5,
) -> Tensor:
    """Return ``(1 - TI)^exponent``, averaged over classes and patches.

    ``TI = TP / (TP + alpha · FP + beta · FN)`` with soft counts, and ``smooth`` added on both sides
    (Salehi 2017, arXiv 1706.05721; the exponent: Abraham 2018, arXiv 1810.07842). With 0.5 and 0.5
    it is Dice. A class that the target does not have costs
    ``1 - smooth / (alpha · Σ p + smooth)``.

    Args:
        probabilities: ``(B, K, *S)``.
        target: see `soft_dice`.
        alpha: price of false positives.
        beta: price of false negatives.
        exponent: below 1 the badly segmented classes count more.
        include_background: see `dice_loss`.
        class_weights: see `dice_loss`.
        batch: see `dice_loss`.
        smooth: must be positive.

    Raises:
        InputError: the shapes do not belong together, or a number is out of its range.
    """
    if min(alpha, beta) < 0 or not (alpha + beta > 0 and exponent > 0):
        raise InputError(
            "alpha and beta must not be negative nor both zero, and the exponent must be positive",
            found=f"alpha {alpha}, beta {beta}, exponent {exponent}",
        )
    both, pred, ref = overlap(probabilities, target, batch=batch, smooth=smooth)
    prices = alpha * (pred - both) + beta * (ref - both)
    loss = 1.0 - (both + smooth) / (both + prices + smooth)
    if exponent != 1.0:
        loss = loss.clamp_min(_PERFECT) ** exponent * (loss > _PERFECT)
    return mean_over_classes(
        loss, include_background=include_background, class_weights=class_weights
    )


class TverskyLoss(WeightedSum):
    """Tversky loss: Dice with a price of its own for false positives and for false negatives.

    Args:
        alpha: price of false positives.
        beta: price of false negatives; above ``alpha`` for small structures that must be found.
        exponent: of 1 minus the index; below 1 the badly segmented classes count more.
        batch: one index over all patches of the batch instead of one per patch; ``None``: as the
            plan says where there is one, else not.
        include_background: count class 0 too; of regions, none is a background.
        smooth: added to numerator and denominator; must be positive.
        class_weights: one per output, background first; weigh the average over classes.
        regions: the target is masks of regions that may overlap, instead of class indices.
    """

    def __init__(
        self,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        exponent: float = 1.0,
        batch: bool | None = None,
        include_background: bool = False,
        smooth: float = 1e-5,
        class_weights: Sequence[float] | None = None,
        regions: bool = False,
    ) -> None:
        term = partial(
            of_masks,
            function=tversky_loss,
            alpha=alpha,
            beta=beta,
            exponent=exponent,
            batch=bool(batch),
            include_background=include_background,
            smooth=smooth,
        )
        super().__init__((1.0, term), class_weights=class_weights, regions=regions)


class FocalTverskyLoss(TverskyLoss):
    """Focal Tversky loss: Tversky's to a power below 1, so that badly segmented classes count more.

    Args:
        alpha: price of false positives.
        beta: price of false negatives; above ``alpha`` for small structures that must be found.
        exponent: of 1 minus the index; the paper's 1/γ with γ = 4/3.
        batch: one index over all patches of the batch instead of one per patch; ``None``: as the
            plan says where there is one, else not.
        include_background: count class 0 too; of regions, none is a background.
        smooth: added to numerator and denominator; must be positive.
        class_weights: one per output, background first; weigh the average over classes.
        regions: the target is masks of regions that may overlap, instead of class indices.
    """

    def __init__(
        self,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        exponent: float = 0.75,
        batch: bool | None = None,
        include_background: bool = False,
        smooth: float = 1e-5,
        class_weights: Sequence[float] | None = None,
        regions: bool = False,
    ) -> None:
        super().__init__(
            alpha=alpha,
            beta=beta,
            exponent=exponent,
            batch=batch,
            include_background=include_background,
            smooth=smooth,
            class_weights=class_weights,
            regions=regions,
        )
