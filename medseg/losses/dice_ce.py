"""Dice plus cross-entropy: what most segmentation networks train with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from medseg.losses.cross_entropy import cross_entropy
from medseg.losses.dice import dice_loss
from medseg.losses.targets import class_weight_tensor, full_precision


class DiceCELoss(nn.Module):
    """``dice_weight`` · Dice + ``ce_weight`` · cross-entropy of exclusive classes, from logits.

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
        super().__init__()
        self.dice_options: dict[str, Any] = {
            "squared_denominator": squared_denominator,
            "batch": bool(batch),
            "include_background": include_background,
            "smooth": smooth,
        }
        self.dice_weight = dice_weight
        self.ce_weight = ce_weight
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weight_tensor(class_weights), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits ``(B, K, *S)`` and class indices."""
        log_probabilities = torch.log_softmax(full_precision(logits), dim=1)
        weights = self.class_weights
        ce = cross_entropy(log_probabilities, target, class_weights=weights)
        dice = dice_loss(
            log_probabilities.exp(), target, class_weights=weights, **self.dice_options
        )
        return self.dice_weight * dice + self.ce_weight * ce
