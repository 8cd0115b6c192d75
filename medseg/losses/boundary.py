"""Boundary loss: how far what is predicted lies beyond the true boundary."""

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


def boundary_loss(
    probabilities: Tensor,
    masks: Tensor,
    *,
    include_background: bool = False,
    class_weights: Tensor | None = None,
    valid: Tensor | None = None,
    spacing: Sequence[float] | None = None,
) -> Tensor:
    """Return the mean of ``p · φ`` over voxels, classes and patches.

    φ is the signed distance to the true boundary (Kervadec 2018, arXiv 1812.07032; as in the
    authors' code it is 1 just outside and 0 just inside). The loss is negative where a prediction
    is good. A class that a patch does not have, or that fills it, has no boundary and costs 0.

    Written here, because `monai.losses.BoundaryLoss` knows no spacing and no voxels to leave out.

    Args:
        probabilities: ``(B, K, *S)``, 0 at voxels that take no part.
        masks: ``(B, K, *S)``; soft ones count from 0.5.
        include_background: see `dice_loss`.
        class_weights: see `dice_loss`.
        valid: see `signed_distance`; the mean is over these voxels.
        spacing: see `signed_distance`.
    """
    first = first_class(masks.shape[1], include_background=include_background)
    distance = signed_distance(masks[:, first:] > 0.5, valid=valid, spacing=spacing)
    distance = torch.where(distance < 0, distance + 1, distance)
    moments = mean_over_space(probabilities[:, first:] * distance, valid)
    weights = None if class_weights is None else class_weights[first:]
    return mean_over_classes(moments, include_background=True, class_weights=weights)


def boundary_term(seen: Comparison, **options: Any) -> Tensor:
    """Apply `boundary_loss` to the voxels that take part."""
    return of_masks(seen, boundary_loss, valid=seen.valid, **options)


class BoundaryLoss(WeightedSum):
    """The boundary loss alone, to go on with from weights that find the structure already.

    Fresh weights need a loss of regions beside it: where next to nothing is predicted it is near 0
    and so is its gradient, which is why the paper begins with generalised Dice
    (`DiceBoundaryLoss`).

    Args:
        include_background: count class 0 too; of regions, none is a background.
        class_weights: one per output, background first; weigh the average over classes.
        regions: the target is masks of regions that may overlap, instead of class indices.
        spacing: of the voxels, one number per axis; ``None``: all axes alike.
    """

    def __init__(
        self,
        *,
        include_background: bool = False,
        class_weights: Sequence[float] | None = None,
        regions: bool = False,
        spacing: Sequence[float] | None = None,
    ) -> None:
        term = partial(boundary_term, include_background=include_background, spacing=spacing)
        super().__init__((1.0, term), class_weights=class_weights, regions=regions)


class DiceBoundaryLoss(WeightedSum):
    """``dice_weight`` · Dice + ``boundary_weight`` · boundary loss, for thin and small structures.

    The paper adds the boundary loss to generalised Dice, with a weight that rises from 0.01 to 1
    over the training; here it is constant. Alone, it can settle where nothing is predicted. A
    coarse head of deep supervision measures in its own voxels.

    Args:
        squared_denominator: ``Σ p² + Σ t²`` in Dice's denominator instead of ``Σ p + Σ t``.
        batch: one Dice over all patches of the batch instead of one per patch; ``None``: as the
            plan says where there is one, else not.
        include_background: count class 0 in both; of regions, none is a background.
        smooth: added to Dice's numerator and denominator; must be positive.
        class_weights: one per output, background first; weigh the averages over classes.
        dice_weight: factor of Dice.
        boundary_weight: factor of the boundary loss.
        regions: the target is masks of regions that may overlap, instead of class indices.
        spacing: of the voxels, one number per axis; ``None``: all axes alike.
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
        boundary_weight: float = 0.1,
        regions: bool = False,
        spacing: Sequence[float] | None = None,
    ) -> None:
        dice = dice_term(
            squared_denominator=squared_denominator,
            batch=batch,
            include_background=include_background,
            smooth=smooth,
        )
        boundary = partial(boundary_term, include_background=include_background, spacing=spacing)
        super().__init__(
            (dice_weight, dice),
            (boundary_weight, boundary),
            class_weights=class_weights,
            regions=regions,
        )
