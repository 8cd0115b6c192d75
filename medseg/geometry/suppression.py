"""Of many boxes around one object, keep the best: NMS and its soft form, in torch.

Boxes are corners ``(N, 2n)`` as in `medseg.geometry.boxes`, in 2D or 3D, on any device. Boxes of
different classes never touch each other. Ties between scores go to the box that comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from medseg.geometry.box_overlap import iou, paired_iou

# Boxes of the first round; each round has twice as many as the one before.
_FIRST = 512
# Pairs that are in memory at once.
_PAIRS = 2**21


def nms(
    boxes: Tensor, scores: Tensor, *, threshold: float, classes: Tensor | None = None
) -> Tensor:
    """Return the numbers ``(M,)`` of the boxes to keep, best first.

    A box goes where its IoU with a better one that is kept is larger than ``threshold``, which lies
    in ``[0, 1]``.
    """
    owners = cluster(boxes, scores, threshold=threshold, classes=classes)
    kept = torch.nonzero(owners == torch.arange(len(boxes), device=boxes.device))[:, 0]
    return kept[_ranking(scores[kept])]


def cluster(
    boxes: Tensor, scores: Tensor, *, threshold: float, classes: Tensor | None = None
) -> Tensor:
    """Return for each box the number of the one that suppresses it ``(N,)``: itself if it is kept.

    That is the best of the kept boxes whose IoU with it is larger than ``threshold``.
    """
    order = _ranking(scores)
    ranked = boxes[order].double()
    kinds = torch.zeros_like(order) if classes is None else classes[order]
    owners = torch.arange(len(order), device=boxes.device)
    left, size = owners.clone(), _FIRST
    # Round by round from the best: of boxes that crowd around few objects the first rounds leave
    # none, and of boxes that lie apart few pairs meet.
    while len(left):
        head, left = left[:size], left[size:]
        better, worse = _clashes(ranked, kinds, head, head, threshold)
        kept = _greedy(head, better[better < worse], worse[better < worse], len(order))
        for others in (head[~kept[head]], left):
            best, lower = _clashes(ranked, kinds, head[kept[head]], others, threshold)
            owners.scatter_reduce_(0, lower, best, "amin")
        left = left[owners[left] == left]
        size *= 2
    result = torch.empty_like(order)
    result[order] = order[owners]
    return result


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    *,
    sigma: float = 0.5,
    smallest: float = 0.001,
    classes: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Lower the scores of boxes by their overlap with better ones (Bodla et al., ICCV 2017).

    Each box taken multiplies those left by ``exp(-IoU² / sigma)``.

    Args:
        boxes: corners ``(N, 2n)``.
        scores: ``(N,)``, not negative.
        sigma: how gentle it is.
        smallest: boxes whose score falls below this are dropped.
        classes: ``(N,)``; ``None``: one class.

    Returns:
        The numbers ``(M,)`` of the boxes that are left, best first, and their scores ``(M,)``.
    """
    left = scores.clone()
    kinds = torch.zeros(len(boxes), device=boxes.device) if classes is None else classes
    numbers, values = [], []
    for _ in range(len(boxes)):
        value, best = left.max(dim=0)
        if value < smallest:
            break
        numbers.append(best)
        values.append(value.clone())
        overlap = iou(boxes[best, None], boxes)[0] * (kinds == kinds[best])
        left *= torch.exp(-(overlap**2) / sigma)
        left[best] = -1.0
    if not numbers:
        return torch.zeros(0, dtype=torch.int64, device=boxes.device), scores[:0]
    return torch.stack(numbers), torch.stack(values)


def _ranking(scores: Tensor) -> Tensor:
    return torch.argsort(scores, descending=True, stable=True)


def _greedy(head: Tensor, better: Tensor, worse: Tensor, count: int) -> Tensor:
    """Return whether each of ``count`` ranked boxes is one of ``head`` and kept.

    Whether a box is kept hangs on better ones only, so the rule, repeated, settles one box after
    the other from the best on; most of them at once.
    """
    start = torch.zeros(count, dtype=torch.bool, device=head.device)
    start[head] = True
    kept = start
    for _ in range(len(head)):
        settled = start.clone()
        settled[worse[kept[better]]] = False
        if torch.equal(settled, kept):
            break
        kept = settled
    return kept


def _clashes(
    boxes: Tensor, kinds: Tensor, first: Tensor, second: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    """Return the pairs of a number of ``first`` and one of ``second`` with IoU above ``threshold``.

    IoU is at most what two boxes share of the longer one, along every axis. So their lengths differ
    by a factor of ``1 / threshold`` at most, and their centres by ``1 - threshold`` of the longer
    length. Space is cut into columns as wide as that, and the boxes of a column and its neighbours
    are sorted along it: of twenty thousand boxes in a volume one pair in hundreds is looked at.
    """
    found = [(first[:0], second[:0])]
    if not len(first) or not len(second):
        return found[0]
    n = boxes.shape[1] // 2
    centres = (boxes[:, :n] + boxes[:, n:]) / 2
    lengths = (boxes[:, n:] - boxes[:, :n]).clamp(min=0)
    # Rounding must not part two boxes that just clash.
    sure = threshold * (1 - 1e-9)
    longest = lengths.amax(dim=0).clamp(min=1e-6) * 1.0001
    reach = (1 - threshold) * torch.minimum(lengths * 1.0001 / max(threshold, 1e-6), longest)
    along = int((longest / (centres.amax(dim=0) - centres.amin(dim=0) + longest)).argmin())
    across = [axis for axis in range(n) if axis != along]
    columns = centres[:, across] - centres[:, across].amin(dim=0)
    columns = (columns / ((1 - threshold) * longest[across]).clamp(min=1e-6)).floor().long()
    counts = columns.amax(dim=0) + 1
    place = centres[:, along] - centres[:, along].amin()
    room = float(place.max() + longest[along] + 1)

    def key(column: Tensor, place: Tensor) -> Tensor:
        number = torch.zeros_like(place)
        for axis in range(n - 1):
            number = number * counts[axis] + column[:, axis]
        return number * (3 * room) + place

    keys, order = torch.sort(key(columns[first], place[first]))
    by_key = first[order]
    for step in product((-1, 0, 1), repeat=n - 1):
        beside = columns[second] + torch.tensor(step, device=boxes.device)
        inside = ((beside >= 0) & (beside < counts)).all(dim=1)
        mine, column = second[inside], beside[inside]
        around = reach[mine, along]
        begin = torch.searchsorted(keys, key(column, place[mine] - around))
        end = torch.searchsorted(keys, key(column, place[mine] + around), right=True)
        for a, b in _ranges(by_key, mine, begin, end - begin):
            for axis in range(n):
                shared = torch.minimum(boxes[a, n + axis], boxes[b, n + axis])
                shared -= torch.maximum(boxes[a, axis], boxes[b, axis])
                meet = shared > sure * torch.maximum(lengths[a, axis], lengths[b, axis])
                a, b = a[meet], b[meet]
            hit = (paired_iou(boxes[a], boxes[b]) > threshold) & (kinds[a] == kinds[b])
            found.append((a[hit], b[hit]))
    return torch.cat([a for a, _ in found]), torch.cat([b for _, b in found])


def _ranges(
    values: Tensor, partners: Tensor, begin: Tensor, counts: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ``values[begin : begin + count]`` of each partner beside the partner, in portions."""
    ends = counts.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, _PAIRS):
        pair = torch.arange(start, min(start + _PAIRS, total), device=values.device)
        owner = torch.searchsorted(ends, pair, right=True)
        yield values[begin[owner] + pair - (ends - counts)[owner]], partners[owner]
