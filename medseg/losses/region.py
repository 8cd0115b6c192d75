"""The loss of overlapping regions: one sigmoid a region, binary cross-entropy plus Dice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from medseg.losses.dice import dice_loss
from medseg.losses.targets import (
    check_weight_count,
    class_weight_tensor,
    full_precision,
    region_target,
)


def binary_cross_entropy(
    logits: Tensor, target: Tensor, *, class_weights: Tensor | None = None
) -> Tensor:
    """Return the binary cross-entropy of each voxel and region, averaged over both.

    Args:
        logits: ``(B, R, *S)``.
        target: masks ``(B, R, *S)``, bool or soft values 0 … 1.
        class_weights: ``(R,)``; the average over regions is weighted by them.

    Raises:
        InputError: the shapes do not belong together.
    """
    logits = full_precision(logits)
    check_weight_count(class_weights, logits.shape[1])
    target = region_target(logits, target)
    if class_weights is None:
        return functional.binary_cross_entropy_with_logits(logits, target)
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weights = class_weights.to(loss)
    return (loss.transpose(1, -1) * weights).mean() * (len(weights) / weights.sum())


class RegionLoss(nn.Module):
    """``dice_weight`` · Dice + ``ce_weight`` · binary cross-entropy of regions, from logits.

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
        super().__init__()
        self.dice_options: dict[str, Any] = {
            "squared_denominator": squared_denominator,
            "batch": bool(batch),
            "smooth": smooth,
        }
        self.dice_weight = dice_weight
        self.ce_weight = ce_weight
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weight_tensor(class_weights), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits ``(B, R, *S)`` and masks of the same shape."""
        logits = full_precision(logits)
        masks = region_target(logits, target)
        weights = self.class_weights
        ce = binary_cross_entropy(logits, masks, class_weights=weights)
        dice = dice_loss(
            torch.sigmoid(logits),
            masks,
            include_background=True,
            class_weights=weights,
            **self.dice_options,
        )
        return self.dice_weight * dice + self.ce_weight * ce
