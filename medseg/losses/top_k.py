"""Top-k cross-entropy: only the voxels that are most wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from torch import Tensor

from medseg.errors import InputError
from medseg.losses.averages import mean_over_voxels
from medseg.losses.comparison import Comparison
from medseg.losses.dice import dice_term
from medseg.losses.weighted_sum import WeightedSum


def top_k_loss(entropy: Tensor, weights: Tensor | None = None, *, fraction: float = 0.1) -> Tensor:
    """Return the mean of the largest ``-log p`` (Wu 2016, arXiv 1605.06885; nnU-Net: 10 %).

    The largest are those of the whole batch, regions together; with weights those whose weighted
    loss is largest, and the mean is weighted too. A fraction of 1 is cross-entropy. Where there is
    no voxel, the loss is 0.

    Args:
        entropy: ``-log p`` of what is true, `Comparison.entropy`; any shape.
        weights: of a shape that broadcasts to it.
        fraction: part of the voxels that count, rounded up; above 0, at most 1.

    Raises:
        InputError: the fraction is out of its range.
    """
    if not 0 < fraction <= 1:
        raise InputError(
            "fraction of the top-k loss is a part of the voxels",
            expected="above 0, at most 1",
            found=str(fraction),
        )
    loss = entropy.flatten()
    # Rounded first: a tenth of 30 is 3.0000000000000004 in floating point.
    count = math.ceil(round(fraction * loss.numel(), 6))
    if weights is None:
        return loss.topk(count, sorted=False).values.sum() / max(count, 1)
    weights = weights.expand_as(entropy).flatten()
    worst = (loss.detach() * weights).topk(count, sorted=False).indices
    return mean_over_voxels(loss[worst], weights[worst])


def top_k_term(seen: Comparison, *, fraction: float) -> Tensor:
    """Apply `top_k_loss` to the voxels that take part: the fraction is of those."""
    entropy, weights = seen.entropy, seen.voxel_weights
    if seen.valid is not None:
        counted = seen.valid.expand_as(entropy)
        weights = None if weights is None else weights.expand_as(entropy)[counted]
        entropy = entropy[counted]
    return top_k_loss(entropy, weights, fraction=fraction)


class TopKLoss(WeightedSum):
    """Cross-entropy (of regions: binary) of the voxels that are most wrong.

    Args:
        fraction: part of the batch's voxels that count.
        class_weights: one per output, background first; weigh which voxels those are, and the
            average over them.
        regions: the target is masks of regions that may overlap, instead of class indices.
    """

    def __init__(
        self,
        *,
        fraction: float = 0.1,
        class_weights: Sequence[float] | None = None,
        regions: bool = False,
    ) -> None:
        term = partial(top_k_term, fraction=fraction)
        super().__init__((1.0, term), class_weights=class_weights, regions=regions)


class DiceTopKLoss(WeightedSum):
    """``dice_weight`` · Dice + ``top_k_weight`` · cross-entropy of the voxels that are most wrong.

    Args:
        fraction: part of the batch's voxels that count in cross-entropy.
        squared_denominator: ``Σ p² + Σ t²`` in Dice's denominator instead of ``Σ p + Σ t``.
        batch: one Dice over all patches of the batch instead of one per patch; ``None``: as the
            plan says where there is one, else not.
        include_background: count class 0 in Dice; cross-entropy always does.
        smooth: added to Dice's numerator and denominator; must be positive.
        class_weights: one per output, background first; see `DiceLoss` and `TopKLoss`.
        dice_weight: factor of Dice.
        top_k_weight: factor of cross-entropy.
        regions: the target is masks of regions that may overlap, instead of class indices.
    """

    def __init__(
        self,
        *,
        fraction: float = 0.1,
        squared_denominator: bool = False,
        batch: bool | None = None,
        include_background: bool = False,
        smooth: float = 1e-5,
        class_weights: Sequence[float] | None = None,
        dice_weight: float = 1.0,
        top_k_weight: float = 1.0,
        regions: bool = False,
    ) -> None:
        dice = dice_term(
            squared_denominator=squared_denominator,
            batch=batch,
            include_background=include_background,
            smooth=smooth,
        )
        top_k = partial(top_k_term, fraction=fraction)
        super().__init__(
            (dice_weight, dice), (top_k_weight, top_k), class_weights=class_weights, regions=regions
        )
