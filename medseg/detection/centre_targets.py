"""Boxes as points: the map of centres that a network without anchors learns, and their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class CentreTargets(NamedTuple):
    """What a network that outputs one place per ``stride`` voxels should say of one image.

    Attributes:
        heatmap: float32 ``(K, *S)``: 1 where an object of the class has its centre, less around it.
        counted: bool ``(*S)``: places that count, unless they are a centre; not those in ignored
            boxes.
        places: int64 ``(N,)``, numbers of the centres' places in C order.
        values: float32 ``(N, 2n)`` there: where in its place the centre lies, in ``[0, 1)``, then
            the box's size in places.
    """

    heatmap: Tensor
    counted: Tensor
    places: Tensor
    values: Tensor


@torch.no_grad()
def centre_targets(
    boxes: Tensor,
    classes: Tensor,
    *,
    shape: Sequence[int],
    stride: Sequence[int],
    num_classes: int,
    overlap: float = 0.7,
) -> CentreTargets:
    """Draw the centres of boxes as Gaussians (Zhou et al., Objects as Points, arXiv 1904.07850).

    Where Gaussians of one class meet, the larger value stands. Two objects with one place both
    count there.

    Args:
        boxes: ``(N, 2n)`` in voxel edges; may be none.
        classes: ``(N,)``; boxes of negative class are ignored.
        shape: places per axis.
        stride: voxels from place to place, per axis.
        num_classes: ``K``.
        overlap: see `spreads`.
    """
    device = boxes.device
    steps = torch.tensor([*stride, *stride], device=device)
    lower, upper = (boxes.float() / steps).chunk(2, dim=1)
    real = classes >= 0
    middles, sizes = ((lower + upper) / 2)[real], (upper - lower)[real]
    last = torch.tensor(shape, device=device) - 1
    index = middles.floor().long().clamp(min=0).minimum(last)
    sigma = spreads(sizes, overlap=overlap)

    heatmap = torch.zeros(num_classes, *shape, device=device)
    for kind, peak, width in zip(classes[real].tolist(), index, sigma, strict=True):
        torch.maximum(heatmap[kind], _gaussian(peak, width, shape), out=heatmap[kind])
    counted = torch.ones(tuple(shape), dtype=torch.bool, device=device)
    for low, high in zip(lower[~real], upper[~real], strict=True):
        counted &= ~_box_of_places(low, high, shape)

    places = torch.zeros(len(index), dtype=torch.int64, device=device)
    for axis, count in enumerate(shape):
        places = places * count + index[:, axis]
    return CentreTargets(heatmap, counted, places, torch.cat([middles - index, sizes], dim=1))


def spreads(sizes: Tensor, *, overlap: float = 0.7) -> Tensor:
    """Return the Gaussians' standard deviations ``(N, n)`` for sizes ``(N, n)`` in places.

    A box whose centre is off by ``r`` along every axis should still overlap the true one by the IoU
    ``overlap``. Off by the same part ``ρ`` of its size along each of ``n`` axes it does so with
    ``(1 - ρ)^n = 2·overlap / (1 + overlap)``. As in CornerNet (Law & Deng, ECCV 2018, where boxes
    are flat and ``r`` is one for both axes) the deviation is ``(2r + 1) / 6``.
    """
    part = 1 - (2 * overlap / (1 + overlap)) ** (1 / sizes.shape[1])
    return (2 * part * sizes + 1) / 6


def _gaussian(peak: Tensor, sigma: Tensor, shape: Sequence[int]) -> Tensor:
    n = len(shape)
    bell = torch.ones((), device=peak.device)
    for axis, count in enumerate(shape):
        way = (torch.arange(count, device=peak.device) - peak[axis]) / sigma[axis]
        bell = bell * torch.exp(-(way**2) / 2).view([-1 if a == axis else 1 for a in range(n)])
    return bell


def _box_of_places(lower: Tensor, upper: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the places of which some part lies in a box."""
    n = len(shape)
    inside = torch.ones((), dtype=torch.bool, device=lower.device)
    for axis, count in enumerate(shape):
        start = torch.arange(count, device=lower.device)
        within = (start < upper[axis]) & (start + 1 > lower[axis])
        inside = inside & within.view([-1 if a == axis else 1 for a in range(n)])
    return inside
