"""Weighted box clustering: several looks at one object become one box, in torch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from medseg.geometry.box_overlap import paired_iou, volumes
from medseg.geometry.suppression import cluster


class Clustered(NamedTuple):
    """What is left of the boxes of several looks, best first.

    Attributes:
        boxes: corners ``(M, 2n)``.
        scores: ``(M,)``.
        classes: ``(M,)``.
        members: ``(N,)``, for each of the boxes that were given the number of the one it is now in.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    members: Tensor


def weighted_clusters(
    boxes: Tensor,
    scores: Tensor,
    *,
    threshold: float,
    classes: Tensor | None = None,
    weights: Tensor | None = None,
    looks: Tensor | None = None,
    expected: Tensor | None = None,
) -> Clustered:
    """Replace boxes that overlap by their weighted mean (Jaeger et al., Retina U-Net, ML4H 2020).

    The best box gathers those of its class whose IoU with it is larger than ``threshold``, then the
    best of the rest, and so on. A box counts by IoU with the best · volume · ``weights``. The mean
    corners are weighted by that times the scores. The mean score, weighted by it, counts a look
    that was expected and found nothing as a score of 0.

    Args:
        boxes: corners ``(N, 2n)`` of all looks: tiles, mirrored images, networks.
        scores: ``(N,)``, not negative.
        threshold: IoU from which two boxes show one object.
        classes: ``(N,)``; ``None``: one class.
        weights: ``(N,)``, how far each is to be trusted: a box at the border of a tile was seen in
            part. ``None``: equally.
        looks: ``(N,)``, the number of the look each comes from. ``None``: each from one of its own.
        expected: ``(N,)``, how many looks saw that place; ``None``: those that found it.
    """
    kinds = torch.zeros_like(scores, dtype=torch.int64) if classes is None else classes
    owners = cluster(boxes, scores, threshold=threshold, classes=kinds)
    seeds, members = torch.unique(owners, return_inverse=True)

    trust = paired_iou(boxes[owners], boxes) * volumes(boxes)
    if weights is not None:
        trust = trust * weights
    total = _sums(trust, members, len(seeds))
    scored = _sums(trust * scores, members, len(seeds))

    missing = torch.zeros_like(total)
    count = _sums(torch.ones_like(trust), members, len(seeds))
    if expected is not None:
        came = count if looks is None else _distinct(members, looks, len(seeds))
        missing = (expected[seeds].to(total) - came).clamp(min=0)
    mean_scores = scored / (total + missing * total / count)
    corners = _sums(boxes * (trust * scores)[:, None], members, len(seeds)) / scored[:, None]
    # All scores 0: nothing says how to average.
    corners = torch.where(scored[:, None] > 0, corners, boxes[seeds])
    mean_scores = torch.where(total > 0, mean_scores, scores[seeds])

    order = torch.argsort(mean_scores, descending=True, stable=True)
    place = torch.argsort(order)
    return Clustered(corners[order], mean_scores[order], kinds[seeds][order], place[members])


def _sums(values: Tensor, members: Tensor, count: int) -> Tensor:
    zeros = values.new_zeros((count, *values.shape[1:]))
    return zeros.index_add_(0, members, values)


def _distinct(members: Tensor, looks: Tensor, count: int) -> Tensor:
    """Count the different looks in each cluster."""
    pairs = torch.unique(torch.stack([members, looks.to(members)], dim=1), dim=0)
    return torch.bincount(pairs[:, 0], minlength=count)
