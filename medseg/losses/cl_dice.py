"""Centre-line Dice: vessels that hang together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor

from medseg.errors import InputError
from medseg.losses.averages import first_class, mean_over_classes
from medseg.losses.comparison import Comparison, of_masks
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
    valid: Tensor | None = None,
) -> Tensor:
    """Return 1 - soft clDice, averaged over classes and patches (Shit 2020, arXiv 2003.07311).

    clDice is the harmonic mean of how much of the predicted centre line lies in the true mask, and
    how much of the true centre line lies in the predicted one. A class that the target does not
    have costs about 1 where it is predicted, and 0 where it is not.

    Args:
        probabilities: ``(B, K, *S)``, 0 at voxels that take no part.
        masks: ``(B, K, *S)``, 0 there too.
        iterations: see `soft_skeleton`.
        include_background: see `dice_loss`.
        class_weights: see `dice_loss`.
        batch: see `dice_loss`.
        smooth: added to both fractions' numerator and denominator, as in the authors' code; must
            be positive.
        valid: see `soft_skeleton`.

    Raises:
        InputError: ``iterations`` is negative, or ``smooth`` is not positive.
    """
    first = first_class(masks.shape[1], include_background=include_background)
    pred, true = probabilities[:, first:], masks[:, first:].to(probabilities)
    lines = [soft_skeleton(masks, iterations, valid=valid) for masks in (pred, true)]
    precision = _part(lines[0], true, batch=batch, smooth=smooth)
    recall = _part(lines[1], pred, batch=batch, smooth=smooth)
    loss = 1.0 - 2.0 * precision * recall / (precision + recall)
    weights = None if class_weights is None else class_weights[first:]
    return mean_over_classes(loss, include_background=True, class_weights=weights)


def soft_skeleton(masks: Tensor, iterations: int, *, valid: Tensor | None = None) -> Tensor:
    """Thin soft masks ``(B, K, *S)`` in 0 … 1 to their centre lines.

    What an opening takes away is skeleton; then the mask is eroded, and again. Each erosion takes
    the least of the neighbours along the axes, each dilation the largest of the whole neighbourhood
    (the paper's algorithm 1). The values are those of MONAI's ``soft_skel``, whose gradient on CUDA
    differs from run to run in 3D.

    Args:
        masks: any number of axes.
        iterations: erosions; at least the radius in voxels of the thickest vessel.
        valid: bool ``(B, 1, *S)``, the voxels that take part; the others are passed over as what
            lies beyond the image is, and have no skeleton. ``None``: all.

    Raises:
        InputError: ``iterations`` is negative.
    """
    if iterations < 0:
        raise InputError("iterations of clDice must not be negative", found=str(iterations))
    # What takes no part is the largest there is to an erosion, and the least to a dilation.
    out = None if valid is None else ~valid

    def eroded(masks: Tensor) -> Tensor:
        return _eroded(masks if out is None else masks.masked_fill(out, 1.0))

    def opened_away(masks: Tensor, eroded: Tensor) -> Tensor:
        rest = masks - _dilated(eroded if out is None else eroded.masked_fill(out, 0.0))
        return torch.relu(rest if out is None else rest.masked_fill(out, 0.0))

    smaller = eroded(masks)
    skeleton = opened_away(masks, smaller)
    for _ in range(iterations):
        masks, smaller = smaller, eroded(smaller)
        rest = opened_away(masks, smaller)
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


def cl_dice_term(seen: Comparison, **options: Any) -> Tensor:
    """Apply `cl_dice_loss` to the voxels that take part."""
    return of_masks(seen, cl_dice_loss, valid=seen.valid, **options)


class CLDiceLoss(WeightedSum):
    """Centre-line Dice alone, which says nothing of a vessel's width.

    A prediction of the centre line is as good to it as the whole vessel, so the paper has it beside
    Dice, with a weight of one half at most: `DiceCLDiceLoss`.

    Args:
        iterations: erosions towards the centre line; at least the radius in voxels of the thickest
            vessel.
        batch: one centre-line Dice over all patches of the batch instead of one per patch;
            ``None``: as the plan says where there is one, else not.
        include_background: count class 0 too; of regions, none is a background.
        class_weights: one per output, background first; weigh the average over classes.
        regions: the target is masks of regions that may overlap, instead of class indices.
    """

    def __init__(
        self,
        *,
        iterations: int = 3,
        batch: bool | None = None,
        include_background: bool = False,
        class_weights: Sequence[float] | None = None,
        regions: bool = False,
    ) -> None:
        term = partial(
            cl_dice_term,
            iterations=iterations,
            batch=bool(batch),
            include_background=include_background,
        )
        super().__init__((1.0, term), class_weights=class_weights, regions=regions)


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
            cl_dice_term,
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
