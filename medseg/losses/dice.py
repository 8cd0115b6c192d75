"""Soft Dice: the overlap of probabilities with a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from medseg.errors import InputError
from medseg.losses.targets import (
    check_weight_count,
    class_masks,
    class_weight_tensor,
    full_precision,
)


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
    if not smooth > 0:
        raise InputError("smooth must be positive: empty classes divide by it", found=str(smooth))
    probabilities = full_precision(probabilities)
    masks = class_masks(probabilities, target)
    axes = ((0,) if batch else ()) + tuple(range(2, probabilities.ndim))
    overlap = (probabilities * masks).sum(axes)
    if squared_denominator:
        masks = masks if masks.dtype == torch.bool else masks.square()
        size = probabilities.square().sum(axes) + masks.sum(axes)
    else:
        size = probabilities.sum(axes) + masks.sum(axes)
    return (2.0 * overlap + smooth) / (size + smooth)


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
    check_weight_count(class_weights, probabilities.shape[1])
    loss = 1.0 - soft_dice(
        probabilities,
        target,
        squared_denominator=squared_denominator,
        batch=batch,
        smooth=smooth,
    )
    first = 0 if include_background or probabilities.shape[1] == 1 else 1
    loss = loss[..., first:]
    if class_weights is None:
        return loss.mean()
    weights = class_weights.to(loss)[first:].expand_as(loss)
    return (loss * weights).sum() / weights.sum().clamp_min(torch.finfo(loss.dtype).tiny)


class DiceLoss(nn.Module):
    """Soft Dice loss of exclusive classes, from logits.

    Args:
        squared_denominator: ``Σ p² + Σ t²`` in the denominator instead of ``Σ p + Σ t``.
        batch: one Dice over all patches of the batch instead of one per patch; ``None``: as the
            plan says where there is one, else not.
        include_background: count class 0 too.
        smooth: added to numerator and denominator; must be positive.
        class_weights: one per class, background first; weigh the average over classes.
    """

    def __init__(
        self,
        *,
        squared_denominator: bool = False,
        batch: bool | None = None,
        include_background: bool = False,
        smooth: float = 1e-5,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.options: dict[str, Any] = {
            "squared_denominator": squared_denominator,
            "batch": bool(batch),
            "include_background": include_background,
            "smooth": smooth,
        }
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weight_tensor(class_weights), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits ``(B, K, *S)`` and a target as in `soft_dice`."""
        probabilities = torch.softmax(full_precision(logits), dim=1)
        return dice_loss(probabilities, target, class_weights=self.class_weights, **self.options)
