"""Averages over voxels, over space and over classes, weighted or not."""

from __future__ import annotations

import torch
from torch import Tensor

from medseg.losses.all_ranks import summed
from medseg.losses.targets import check_weight_count


def mean_over_voxels(values: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return ``Σ w·v / Σ w``, or the plain mean; 0 where all weights are zero.

    Args:
        values: any shape.
        weights: not negative, of a shape that broadcasts to that of ``values``.
    """
    if weights is None:
        return values.mean()
    weights = weights.expand_as(values)
    total = summed(weights.sum()).clamp_min(torch.finfo(values.dtype).tiny)
    return summed((values * weights).sum()) / total


def mean_over_classes(
    values: Tensor, *, include_background: bool = False, class_weights: Tensor | None = None
) -> Tensor:
    """Average values per class ``(…, K)`` over the classes, and over whatever comes before.

    Args:
        values: one per class, background first.
        include_background: count class 0 too; meaningless, so without effect, where K is 1.
        class_weights: ``(K,)``; the average is weighted by them. Where only the background has a
            weight and it is not counted, the average is 0.
    """
    check_weight_count(class_weights, values.shape[-1])
    first = first_class(values.shape[-1], include_background=include_background)
    weights = None if class_weights is None else class_weights.to(values)[first:]
    return mean_over_voxels(values[..., first:], weights)


def mean_over_space(values: Tensor, valid: Tensor | None = None) -> Tensor:
    """Average ``(B, K, *S)`` over the valid voxels of each patch to ``(B, K)``; 0 without any.

    Args:
        values: 0 at voxels that are not valid.
        valid: bool ``(B, 1, *S)``, or ``None`` for all.
    """
    axes = tuple(range(2, values.ndim))
    if valid is None:
        return values.mean(axes)
    return values.sum(axes) / valid.sum(axes).clamp_min(1)


def first_class(outputs: int, *, include_background: bool) -> int:
    """Return the index of the first class that counts."""
    return 0 if include_background or outputs == 1 else 1
