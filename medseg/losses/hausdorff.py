"""Hausdorff distance loss: errors count by how far they lie from either boundary."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from medseg.losses.averages import first_class, mean_over_classes, mean_over_space
from medseg.losses.comparison import Comparison, of_masks
from medseg.losses.dice import dice_term
from medseg.losses.distance import signed_distance
from medseg.losses.weighted_sum import WeightedSum

# Squared voxels. A boundary that is right and softly drawn costs about as much: there Hausdorff's
# term must fade, not be enlarged.
_SETTLED = 0.01


def hausdorff_loss(
    probabilities: Tensor,
    masks: Tensor,
    *,
    alpha: float = 2.0,
    include_background: bool = False,
    class_weights: Tensor | None = None,
    valid: Tensor | None = None,
    spacing: Sequence[float] | None = None,
) -> Tensor:
    """Return the mean of ``(p - t)² (d_p^alpha + d_t^alpha)`` over voxels, classes and patches.

    ``d_p`` and ``d_t`` are the distances to the predicted boundary (at probability 0.5) and to the
    true one (Karimi 2019, arXiv 1904.10030, with distance transforms). A mask without a boundary,
    empty or full, adds no distance; where neither has one, the loss is 0.

    Written here, because `monai.losses.HausdorffDTLoss` knows no spacing and no voxels to leave
    out.

    Args:
        probabilities: ``(B, K, *S)``, 0 at voxels that take no part.
        masks: ``(B, K, *S)``, 0 there too; for distances soft ones count from 0.5.
        alpha: power of the distance.
        include_background: see `dice_loss`.
        class_weights: see `dice_loss`.
        valid: see `signed_distance`; the mean is over these voxels.
        spacing: see `signed_distance`.
    """
    first = first_class(masks.shape[1], include_background=include_background)
    probabilities, masks = probabilities[:, first:], masks[:, first:]
    both = torch.cat([probabilities.detach() > 0.5, masks > 0.5], dim=1)
    powers = signed_distance(both, valid=valid, spacing=spacing).abs() ** alpha
    predicted, true = powers.chunk(2, dim=1)
    errors = (probabilities - masks.to(probabilities)).square()
    moments = mean_over_space(errors * (predicted + true), valid)
    weights = None if class_weights is None else class_weights[first:]
    return mean_over_classes(moments, include_background=True, class_weights=weights)


def hausdorff_term(seen: Comparison, **options: Any) -> Tensor:
    """Apply `hausdorff_loss` to the voxels that take part."""
    return of_masks(seen, hausdorff_loss, valid=seen.valid, **options)


class HausdorffLoss(WeightedSum):
    """Hausdorff distance loss alone.

    Args:
        alpha: power of the distance.
        include_background: count class 0 too; of regions, none is a background.
        class_weights: one per output, background first; weigh the average over classes.
        regions: the target is masks of regions that may overlap, instead of class indices.
        spacing: of the voxels, one number per axis; ``None``: all axes alike.
    """

    def __init__(
        self,
        *,
        alpha: float = 2.0,
        include_background: bool = False,
        class_weights: Sequence[float] | None = None,
        regions: bool = False,
        spacing: Sequence[float] | None = None,
    ) -> None:
        term = partial(
            hausdorff_term, alpha=alpha, include_background=include_background, spacing=spacing
        )
        super().__init__((1.0, term), class_weights=class_weights, regions=regions)


class DiceHausdorffLoss(WeightedSum):
    """Dice + Hausdorff distance loss, the latter as large as the former at every step.

    The paper sets the factor between the two anew after each epoch, so that they weigh the same;
    here it is set at each step, and is no part of the gradient. A coarse head of deep supervision
    measures in its own voxels.

    Args:
        alpha: power of the distance.
        squared_denominator: ``Σ p² + Σ t²`` in Dice's denominator instead of ``Σ p + Σ t``.
        batch: one Dice over all patches of the batch instead of one per patch; ``None``: as the
            plan says where there is one, else not.
        include_background: count class 0 in both; of regions, none is a background.
        smooth: added to Dice's numerator and denominator; must be positive.
        class_weights: one per output, background first; weigh the averages over classes.
        hausdorff_weight: how large the Hausdorff loss is against Dice.
        regions: the target is masks of regions that may overlap, instead of class indices.
        spacing: of the voxels, one number per axis; ``None``: all axes alike.
    """

    def __init__(
        self,
        *,
        alpha: float = 2.0,
        squared_denominator: bool = False,
        batch: bool | None = None,
        include_background: bool = False,
        smooth: float = 1e-5,
        class_weights: Sequence[float] | None = None,
        hausdorff_weight: float = 1.0,
        regions: bool = False,
        spacing: Sequence[float] | None = None,
    ) -> None:
        dice = dice_term(
            squared_denominator=squared_denominator,
            batch=batch,
            include_background=include_background,
            smooth=smooth,
        )
        hausdorff = partial(
            hausdorff_term, alpha=alpha, include_background=include_background, spacing=spacing
        )
        super().__init__(
            (1.0, dice),
            (hausdorff_weight, hausdorff),
            class_weights=class_weights,
            regions=regions,
        )

    def total(self, values: Sequence[Tensor]) -> Tensor:
        """Add up Dice and, scaled to its size, Hausdorff's loss."""
        dice = values[0]
        scaled = [v * (dice / v.clamp_min(_SETTLED)).detach() for v in values[1:]]
        return super().total([dice, *scaled])
