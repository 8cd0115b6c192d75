"""Focal loss: cross-entropy that turns away from what is known already."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from medseg.errors import InputError
from medseg.losses.averages import mean_over_voxels
from medseg.losses.comparison import of_voxels
from medseg.losses.dice import dice_term
from medseg.losses.weighted_sum import WeightedSum

# Keeps powers below 1 from being infinitely steep where a voxel is certain.
_CERTAIN = 1e-7


def focal_loss(entropy: Tensor, weights: Tensor | None = None, *, gamma: float = 2.0) -> Tensor:
    """Return the mean of ``-(1 - p)^gamma log p`` over voxels (Lin 2017, arXiv 1708.02002).

    With ``gamma`` 0 it is cross-entropy. The paper's α is a class weight.

    Args:
        entropy: ``-log p`` of what is true, `Comparison.entropy`.
        weights: of a shape that broadcasts to it; the mean is weighted by them.
        gamma: how far certain voxels are passed by; not negative.

    Raises:
        InputError: ``gamma`` is negative.
    """
    if not gamma >= 0:
        raise InputError("gamma of the focal loss must not be negative", found=str(gamma))
    doubt = (-torch.expm1(-entropy)).clamp_min(_CERTAIN) ** gamma
    return mean_over_voxels(doubt * entropy, weights)


class FocalLoss(WeightedSum):
    """Focal loss: cross-entropy (of regions: binary) in which uncertain voxels count most.

    Args:
        gamma: how far certain voxels are passed by; 0 is cross-entropy.
        class_weights: one per output, background first; weigh the average over voxels.
        regions: the target is masks of regions that may overlap, instead of class indices.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        class_weights: Sequence[float] | None = None,
        regions: bool = False,
    ) -> None:
        term = partial(of_voxels, function=focal_loss, gamma=gamma)
        super().__init__((1.0, term), class_weights=class_weights, regions=regions)


class DiceFocalLoss(WeightedSum):
    """``dice_weight`` · Dice + ``focal_weight`` · focal loss.

    Args:
        gamma: how far the focal loss passes by certain voxels.
        squared_denominator: ``Σ p² + Σ t²`` in Dice's denominator instead of ``Σ p + Σ t``.
        batch: one Dice over all patches of the batch instead of one per patch; ``None``: as the
            plan says where there is one, else not.
        include_background: count class 0 in Dice; the focal loss always does.
        smooth: added to Dice's numerator and denominator; must be positive.
        class_weights: one per output, background first; weigh Dice's average over classes and the
            focal loss's average over voxels.
        dice_weight: factor of Dice.
        focal_weight: factor of the focal loss.
        regions: the target is masks of regions that may overlap, instead of class indices.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        squared_denominator: bool = False,
        batch: bool | None = None,
        include_background: bool = False,
        smooth: float = 1e-5,
        class_weights: Sequence[float] | None = None,
        dice_weight: float = 1.0,
        focal_weight: float = 1.0,
        regions: bool = False,
    ) -> None:
        dice = dice_term(
            squared_denominator=squared_denominator,
            batch=batch,
            include_background=include_background,
            smooth=smooth,
        )
        focal = partial(of_voxels, function=focal_loss, gamma=gamma)
        super().__init__(
            (dice_weight, dice), (focal_weight, focal), class_weights=class_weights, regions=regions
        )
