"""Which anchor learns which box: adaptive training sample selection (ATSS)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medseg.geometry.box_overlap import paired_iou

BACKGROUND = -1
IGNORED = -2


@torch.no_grad()
def match(
    anchors: Tensor,
    counts: Sequence[int],
    boxes: Tensor,
    *,
    classes: Tensor | None = None,
    candidates: int = 4,
    per_place: int = 1,
    centres_inside: bool = False,
) -> Tensor:
    """Return for each anchor the number of its box ``(M,)``, `BACKGROUND` or `IGNORED`.

    Zhang et al., CVPR 2020 (arXiv 1912.02424), in 2D or 3D. A box's candidates are the anchors at
    the places nearest to its centre, on each level. It takes those whose IoU with it is at least
    mean + standard deviation over its candidates.

    What the paper leaves open:

    - Of places equally near, the first are candidates. Of boxes that want one anchor it goes to
      that with the larger IoU, of equal ones to the first; so a box can lose all its anchors to
      another that all but covers it.
    - Where mean + deviation is above the best IoU (half the candidates good, half bad), the best
      are taken: a box that any candidate touches has a candidate. One that none touches has none.
    - A box in which no anchor's centre lies, being smaller than the stride, is matched all the same
      unless ``centres_inside``, as by nnDetection and MONAI.
    - Anchors that an ignored box would take, and those whose centres lie in it, are ignored unless
      another box takes them.

    Args:
        anchors: ``(M, 2n)``, level by level; those of a place follow each other and share a centre.
        counts: anchors of each level.
        boxes: ``(N, 2n)``; may be none.
        classes: ``(N,)``; boxes of negative class are ignored ones. ``None``: there are none.
        candidates: places per level; nnDetection has 4, the paper 9.
        per_place: anchors at each place, all candidates with it.
        centres_inside: take only anchors whose centre lies in the box, as in the paper.
    """
    real = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    if classes is not None:
        real = classes >= 0
    rule = (counts, candidates, per_place, centres_inside)
    owners = _owners(anchors, boxes[real].to(anchors), *rule)
    numbers = torch.nonzero(real)[:, 0]
    matched = torch.full_like(owners, BACKGROUND)
    taken = owners >= 0
    matched[taken] = numbers[owners[taken]]

    ignored = boxes[~real].to(anchors)
    if len(ignored):
        left_out = _owners(anchors, ignored, *rule) >= 0
        left_out |= _centres_in_any(anchors, ignored, per_place)
        matched[left_out & ~taken] = IGNORED
    return matched


def _owners(
    anchors: Tensor,
    boxes: Tensor,
    counts: Sequence[int],
    candidates: int,
    per_place: int,
    centres_inside: bool,
) -> Tensor:
    """Return the number of the box that takes each anchor ``(M,)``, -1 where none does."""
    nobody = len(boxes)
    owners = torch.full((len(anchors),), nobody, dtype=torch.int64, device=anchors.device)
    if not nobody:
        return owners - 1
    chosen = _candidates(anchors, counts, boxes, candidates, per_place)
    box = torch.arange(nobody, device=boxes.device)[:, None].expand_as(chosen)
    overlap = paired_iou(boxes[box.flatten()], anchors[chosen.flatten()]).view(chosen.shape)
    threshold = overlap.amax(dim=1)
    if chosen.shape[1] > 1:  # a lone candidate has no deviation
        threshold = threshold.minimum(overlap.mean(dim=1) + overlap.std(dim=1))
    takes = (overlap >= threshold[:, None]) & (overlap > 0)
    if centres_inside:
        takes &= _inside(_centres(anchors)[chosen], boxes[:, None])

    anchor, box, overlap = chosen[takes], box[takes], overlap[takes]
    best = torch.zeros_like(anchors[:, 0]).scatter_reduce_(0, anchor, overlap, "amax")
    wins = overlap == best[anchor]
    owners.scatter_reduce_(0, anchor[wins], box[wins], "amin")
    return torch.where(owners < nobody, owners, -1)


def _candidates(
    anchors: Tensor, counts: Sequence[int], boxes: Tensor, candidates: int, per_place: int
) -> Tensor:
    """Return the numbers of each box's candidate anchors ``(N, C)``."""
    middles = _centres(boxes)
    found, start = [], 0
    for count in counts:
        places = _centres(anchors[start : start + count : per_place])
        distance = torch.zeros(len(boxes), len(places), device=boxes.device, dtype=boxes.dtype)
        for axis in range(middles.shape[1]):
            distance += (middles[:, None, axis] - places[None, :, axis]) ** 2
        near = start + per_place * _smallest(distance, min(candidates, len(places)))
        there = near[:, :, None] + torch.arange(per_place, device=boxes.device)
        found.append(there.flatten(1))
        start += count
    return torch.cat(found, dim=1)


def _smallest(values: Tensor, count: int) -> Tensor:
    """Return the columns ``(N, count)`` of each row's smallest values, of equal ones the first.

    ``topk`` alone leaves open which of equal values it takes, and devices differ.
    """
    limit = values.topk(count, dim=1, largest=False).values[:, -1:]
    below, tied = values < limit, values == limit
    still = count - below.sum(dim=1, keepdim=True)
    chosen = below | (tied & (tied.cumsum(dim=1) <= still))
    return torch.nonzero(chosen)[:, 1].view(len(values), count)


def _centres_in_any(anchors: Tensor, boxes: Tensor, per_place: int) -> Tensor:
    places = _centres(anchors[::per_place])
    inside = torch.zeros(len(places), dtype=torch.bool, device=anchors.device)
    for box in boxes:
        inside |= _inside(places, box)
    return inside.repeat_interleave(per_place)


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    lower, upper = boxes.chunk(2, dim=-1)
    return ((points > lower) & (points < upper)).all(dim=-1)


def _centres(boxes: Tensor) -> Tensor:
    lower, upper = boxes.chunk(2, dim=1)
    return (lower + upper) / 2
