"""Centre-line Dice: vessels that hang together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce

import torch
from torch import Tensor

from medseg.errors import InputError
from medseg.losses.averages import first_class, mean_over_classes
from medseg.losses.comparison import of_masks
from medseg.losses.dice import dice_term
from medseg.losses.overlap import overlap
from medseg.losses.weighted_sum import WeightedSum


def cl_dice_loss(
    probabilities: Tensor,
    masks: Tensor,
    *,
    iterations: int = 3,
    include_background: bool = False,
    class_weights: Tensor | None = None,
    batch: bool = False,
    smooth: float = 1.0,
) -> Tensor:
    """Return 1 - soft clDice, averaged over classes and patches (Shit 2020, arXiv 2003.07311).

    clDice is the harmonic mean of how much of the predicted centre line lies in the true mask, and
    how much of the true centre line lies in the predicted one. A class that the target does not
    have costs about 1 where it is predicted, and 0 where it is not.

    Args:
        probabilities: ``(B, K, *S)``.
        masks: ``(B, K, *S)``.
        iterations: see `soft_skeleton`.
        include_background: see `dice_loss`.
        class_weights: see `dice_loss`.
        batch: see `dice_loss`.
        smooth: added to both fractions' numerator and denominator, as in the authors' code; must
            be positive.

    Raises:
        InputError: ``iterations`` is negative, or ``smooth`` is not positive.
    """
    first = first_class(masks.shape[1], include_background=include_background)
    pred, true = probabilities[:, first:], masks[:, first:].to(probabilities)
    precision = _part(soft_skeleton(pred, iterations), true, batch=batch, smooth=smooth)
    recall = _part(soft_skeleton(true, iterations), pred, batch=batch, smooth=smooth)
    loss = 1.0 - 2.0 * precision * recall / (precision + recall)
    weights = None if class_weights is None else class_weights[first:]
    return mean_over_classes(loss, include_background=True, class_weights=weights)


def soft_skeleton(masks: Tensor, iterations: int) -> Tensor:
    """Thin soft masks ``(B, K, *S)`` in 0 … 1 to their centre lines.

    What an opening takes away is skeleton; then the mask is eroded, and again. Each erosion takes
    the least of the neighbours along the axes, each dilation the largest of the whole neighbourhood
    (the paper's algorithm 1). The values are those of MONAI's ``soft_skel``, whose gradient on CUDA
    differs from run to run in 3D.

    Args:
        masks: any number of axes.
        iterations: erosions; at least the radius in voxels of the thickest vessel.

    Raises:
        InputError: ``iterations`` is negative.
    """
    if iterations < 0:
        raise InputError("iterations of clDice must not be negative", found=str(iterations))
    eroded = _eroded(masks)
    skeleton = torch.relu(masks - _dilated(eroded))
    for _ in range(iterations):
        masks, eroded = eroded, _eroded(eroded)
        rest = torch.relu(masks - _dilated(eroded))
        skeleton = skeleton + torch.relu(rest - skeleton * rest)
    return skeleton


def _part(line: Tensor, mask: Tensor, *, batch: bool, smooth: float) -> Tensor:
    """Return how much of a centre line lies in a mask, per patch and class."""
    inside, length, _ = overlap(line, mask, batch=batch, smooth=smooth)
    return (inside + smooth) / (length + smooth)


def _eroded(masks: Tensor) -> Tensor:
    """Take the least of each voxel and its neighbours along the axes, a cross."""
    lines = [_of_three(torch.minimum, masks, axis) for axis in range(2, masks.ndim)]
    return reduce(torch.minimum, lines)


def _dilated(masks: Tensor) -> Tensor:
    """Take the largest of each voxel's whole neighbourhood, a cube."""
    for axis in range(2, masks.ndim):
        masks = _of_three(torch.maximum, masks, axis)
    return masks


def _of_three(extreme: Callable[[Tensor, Tensor], Tensor], masks: Tensor, axis: int) -> Tensor:
    """Return the extreme of each voxel and its two neighbours along one axis.

    Not pooling: its backward is not deterministic on CUDA.
    """
    size = masks.shape[axis]
    if size == 1:
        return masks
    pairs = extreme(masks.narrow(axis, 0, size - 1), masks.narrow(axis, 1, size - 1))
    inner = extreme(pairs.narrow(axis, 0, size - 2), pairs.narrow(axis, 1, size - 2))
    return torch.cat([pairs.narrow(axis, 0, 1), inner, pairs.narrow(axis, size - 2, 1)], axis)


class DiceCLDiceLoss(WeightedSum):
    """``dice_weight`` · Dice + ``cl_dice_weight`` · centre-line Dice, for vessels and the like.

    Args:
        iterations: erosions towards the centre line; at least the radius in voxels of the thickest
            vessel.
        squared_denominator: ``Σ p² + Σ t²`` in Dice's denominator instead of ``Σ p + Σ t``.
        batch: one Dice over all patches of the batch instead of one per patch; ``None``: as the
            plan says where there is one, else not.
        include_background: count class 0 in both; of regions, none is a background.
        smooth: added to Dice's numerator and denominator; must be positive.
        class_weights: one per output, background first; weigh the averages over classes.
        dice_weight: factor of Dice; the paper's 1 - α.
        cl_dice_weight: factor of centre-line Dice; the paper's α, 0.5 at most.
        regions: the target is masks of regions that may overlap, instead of class indices.
    """

    def __init__(
        self,
        *,
        iterations: int = 3,
        squared_denominator: bool = False,
        batch: bool | None = None,
        include_background: bool = False,
        smooth: float = 1e-5,
        class_weights: Sequence[float] | None = None,
        dice_weight: float = 0.5,
        cl_dice_weight: float = 0.5,
        regions: bool = False,
    ) -> None:
        dice = dice_term(
            squared_denominator=squared_denominator,
            batch=batch,
            include_background=include_background,
            smooth=smooth,
        )
        cl_dice = partial(
            of_masks,
            function=cl_dice_loss,
            iterations=iterations,
            batch=bool(batch),
            include_background=include_background,
        )
        super().__init__(
            (dice_weight, dice),
            (cl_dice_weight, cl_dice),
            class_weights=class_weights,
            regions=regions,
        )
