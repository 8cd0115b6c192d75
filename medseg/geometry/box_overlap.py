"""How much boxes overlap: IoU and its generalisation, in torch.

Boxes are corners ``(N, 2n)`` as in `medseg.geometry.boxes`, in 2D or 3D, on any device; no boxes
are as good as many. Pairs are worked out axis by axis, so that beside the result ``(N, M)`` few
more matrices of that size are in memory.
"""

from __future__ import annotations

import torch
from torch import Tensor


def volumes(boxes: Tensor) -> Tensor:
    """Return the areas or volumes ``(N,)``; a box with swapped corners has none."""
    lower, upper = boxes.chunk(2, dim=1)
    return (upper - lower).clamp(min=0).prod(dim=1)


def intersections(first: Tensor, second: Tensor) -> Tensor:
    """Return the common volumes ``(N, M)`` of all pairs."""
    n = first.shape[1] // 2
    common: Tensor | None = None
    for axis in range(n):
        low = torch.maximum(first[:, None, axis], second[None, :, axis])
        high = torch.minimum(first[:, None, n + axis], second[None, :, n + axis])
        extent = high.sub_(low).clamp_(min=0)
        common = extent if common is None else common.mul_(extent)
    assert common is not None
    return common


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Return intersection over union ``(N, M)`` of all pairs, in ``[0, 1]``.

    Two boxes without volume have 0, whether or not they are the same.
    """
    common = intersections(first, second)
    union = volumes(first)[:, None] + volumes(second)[None, :] - common
    return common / union.clamp(min=_tiny(union))


def giou(first: Tensor, second: Tensor) -> Tensor:
    """Return generalised IoU ``(N, M)`` of all pairs, in ``(-1, 1]``.

    IoU minus the part of the smallest enclosing box that neither fills (Rezatofighi et al., CVPR
    2019).
    """
    n = first.shape[1] // 2
    common = intersections(first, second)
    union = volumes(first)[:, None] + volumes(second)[None, :] - common
    around: Tensor | None = None
    for axis in range(n):
        low = torch.minimum(first[:, None, axis], second[None, :, axis])
        high = torch.maximum(first[:, None, n + axis], second[None, :, n + axis])
        extent = high.sub_(low).clamp_(min=0)
        around = extent if around is None else around.mul_(extent)
    assert around is not None
    return _generalised(common, union, around)


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return IoU ``(N,)`` of boxes of the same number; differentiable."""
    common, union, _ = _paired(first, second)
    return common / union.clamp(min=_tiny(union))


def paired_giou(first: Tensor, second: Tensor) -> Tensor:
    """Return generalised IoU ``(N,)`` of boxes of the same number; differentiable."""
    return _generalised(*_paired(first, second))


def _paired(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return common volume, union and enclosing volume ``(N,)``."""
    (low_a, high_a), (low_b, high_b) = first.chunk(2, dim=1), second.chunk(2, dim=1)
    inner = torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)
    common = inner.clamp(min=0).prod(dim=1)
    outer = torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b)
    union = volumes(first) + volumes(second) - common
    return common, union, outer.clamp(min=0).prod(dim=1)


def _generalised(common: Tensor, union: Tensor, around: Tensor) -> Tensor:
    tiny = _tiny(union)
    around = around.clamp(min=tiny)
    return common / union.clamp(min=tiny) - (around - union) / around


def _tiny(like: Tensor) -> float:
    return torch.finfo(like.dtype).tiny
