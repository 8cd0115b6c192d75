"""Generalised Dice: every class counts the same, however few voxels it has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from medseg.losses.averages import first_class
from medseg.losses.comparison import of_masks
from medseg.losses.overlap import overlap
from medseg.losses.targets import check_weight_count
from medseg.losses.weighted_sum import WeightedSum


def generalised_dice_loss(
    probabilities: Tensor,
    target: Tensor,
    *,
    include_background: bool = True,
    class_weights: Tensor | None = None,
    batch: bool = False,
    smooth: float = 1e-5,
) -> Tensor:
    """Return ``1 - 2 Σ_k w_k Σ p·t / Σ_k w_k (Σ p + Σ t)`` with ``w_k = 1 / (Σ t)²``.

    One ratio of all classes together, averaged over patches (Sudre 2017, arXiv 1707.03237). The
    weights of a patch are scaled so that the largest is 1, which changes nothing but how far
    ``smooth`` reaches. A class that the target does not have takes the largest weight of those
    that it has, as in the authors' NiftyNet; where it has none, all weigh the same.

    Args:
        probabilities: ``(B, K, *S)``.
        target: see `soft_dice`.
        include_background: count class 0 too, as the paper does.
        class_weights: ``(K,)``, factors of ``w_k``.
        batch: one ratio of all patches instead of one per patch.
        smooth: added to numerator and denominator; must be positive.

    Raises:
        InputError: the shapes do not belong together, or ``smooth`` is not positive.
    """
    check_weight_count(class_weights, probabilities.shape[1])
    counts = overlap(probabilities, target, batch=batch, smooth=smooth)
    first = first_class(probabilities.shape[1], include_background=include_background)
    both, pred, ref = (count[..., first:] for count in counts)
    weights = _volume_weights(ref.to(both))
    if class_weights is not None:
        weights = weights * class_weights.to(weights)[first:]
    numerator = 2.0 * (weights * both).sum(-1) + smooth
    return (1.0 - numerator / ((weights * (pred + ref)).sum(-1) + smooth)).mean()


def _volume_weights(ref: Tensor) -> Tensor:
    """Return ``1 / ref²`` over the last axis, the largest as 1; absent classes take that."""
    smallest = torch.where(ref > 0, ref, torch.inf).amin(-1, keepdim=True)
    return torch.where(ref > 0, (smallest / ref.clamp_min(1e-12)).square(), 1.0)


class GeneralisedDiceLoss(WeightedSum):
    """Generalised Dice: small classes weigh as much as large ones.

    Args:
        batch: one ratio over all patches of the batch instead of one per patch; ``None``: as the
            plan says where there is one, else not.
        include_background: count class 0 too, as the paper does.
        smooth: added to numerator and denominator; must be positive.
        class_weights: one per output, background first; factors beside those by volume.
        regions: the target is masks of regions that may overlap, instead of class indices.
    """

    def __init__(
        self,
        *,
        batch: bool | None = None,
        include_background: bool = True,
        smooth: float = 1e-5,
        class_weights: Sequence[float] | None = None,
        regions: bool = False,
    ) -> None:
        term = partial(
            of_masks,
            function=generalised_dice_loss,
            batch=bool(batch),
            include_background=include_background,
            smooth=smooth,
        )
        super().__init__((1.0, term), class_weights=class_weights, regions=regions)
