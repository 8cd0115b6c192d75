"""ATSS against plain loops and against MONAI's matcher."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
import torch

from medseg.detection.anchors import AnchorGenerator
from medseg.detection.atss import BACKGROUND, IGNORED, match

SHAPES = {2: [(16, 20), (8, 10)], 3: [(8, 10, 6), (4, 5, 3)]}
SIZES = {2: [(6, 8), (11, 5)], 3: [(6, 8, 5), (9, 9, 9)]}


def a_pyramid(ndim):
    strides = [(4,) * ndim, (8,) * ndim]
    sizes = [SIZES[ndim], [tuple(2 * n for n in size) for size in SIZES[ndim]]]
    generator = AnchorGenerator(sizes, strides)
    return generator(SHAPES[ndim]).double(), generator.counts(SHAPES[ndim])


def random_boxes(count, ndim, *, seed=0):
    rng = np.random.default_rng(seed)
    room = [4 * n for n in SHAPES[ndim][0]]
    middle = rng.uniform(0, room, (count, ndim))
    half = rng.uniform(1, 12, (count, ndim))
    return torch.from_numpy(np.hstack([middle - half, middle + half]))


def iou_by_hand(a, b):
    n = len(a) // 2
    common = first = second = 1.0
    for axis in range(n):
        common *= max(0.0, min(a[n + axis], b[n + axis]) - max(a[axis], b[axis]))
        first *= a[n + axis] - a[axis]
        second *= b[n + axis] - b[axis]
    return common / (first + second - common)


def middle(box):
    n = len(box) // 2
    return [(box[i] + box[n + i]) / 2 for i in range(n)]


def by_loops(anchors, counts, boxes, *, candidates, per_place, centres_inside=False):
    """Walk through the paper's algorithm 1, with the rules for ties that `match` states."""
    anchors, boxes = anchors.tolist(), boxes.tolist()
    owner, best = [BACKGROUND] * len(anchors), [0.0] * len(anchors)
    for number, box in enumerate(boxes):
        chosen, start = [], 0
        for count in counts:
            places = range(start, start + count, per_place)
            away = {
                p: sum((x - y) ** 2 for x, y in zip(middle(anchors[p]), middle(box), strict=True))
                for p in places
            }
            for place in sorted(places, key=lambda p: (away[p], p))[:candidates]:
                chosen += range(place, place + per_place)
            start += count
        overlaps = [iou_by_hand(anchors[a], box) for a in chosen]
        threshold = max(overlaps)
        if len(overlaps) > 1:
            spread = statistics.mean(overlaps) + statistics.stdev(overlaps)
            threshold = min(threshold, spread)
        for anchor, overlap in zip(chosen, overlaps, strict=True):
            if overlap < threshold or overlap <= best[anchor]:
                continue
            n = len(box) // 2
            centre = middle(anchors[anchor])
            if centres_inside and not all(box[i] < centre[i] < box[n + i] for i in range(n)):
                continue
            owner[anchor], best[anchor] = number, overlap
    return torch.tensor(owner)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("candidates", [1, 4, 9])
@pytest.mark.parametrize("ndim", [2, 3])
def test_boxes_get_the_anchors_that_loops_give_them(ndim, candidates, inside):
    anchors, counts = a_pyramid(ndim)
    boxes = random_boxes(30, ndim)
    kwargs = {"candidates": candidates, "per_place": 2, "centres_inside": inside}
    ours = match(anchors, counts, boxes, **kwargs)
    expected = by_loops(anchors, counts, boxes, **kwargs)
    assert torch.equal(ours, expected)
    assert len(ours.unique()) > 15


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("ndim", [2, 3])
def test_monai_matches_the_same(ndim, inside):
    theirs = pytest.importorskip("monai.apps.detection.utils.ATSS_matcher")
    anchors, counts = a_pyramid(ndim)
    boxes = random_boxes(12, ndim, seed=5).float()
    matcher = theirs.ATSSMatcher(num_candidates=4, center_in_gt=inside)
    # Boxes of integer voxels tie, and there torch's topk is free; these do not.
    _, expected = matcher(boxes, anchors.float(), [n // 2 for n in counts], 2)
    ours = match(anchors.float(), counts, boxes, per_place=2, centres_inside=inside)
    assert torch.equal(ours, expected)
    assert (ours >= 0).sum() > 8


@pytest.mark.parametrize("ndim", [2, 3])
def test_boxes_of_whole_voxels_tie_and_the_first_place_wins(ndim):
    anchors, counts = a_pyramid(ndim)
    boxes = random_boxes(20, ndim, seed=2).div(4).round().mul(4)
    ours = match(anchors, counts, boxes, per_place=2)
    assert torch.equal(ours, by_loops(anchors, counts, boxes, candidates=4, per_place=2))


@pytest.mark.parametrize("ndim", [2, 3])
def test_without_boxes_all_is_background(ndim):
    anchors, counts = a_pyramid(ndim)
    none = torch.zeros(0, 2 * ndim)
    assert (match(anchors, counts, none, per_place=2) == BACKGROUND).all()
    kinds = torch.zeros(0, dtype=torch.int64)
    assert (match(anchors, counts, none, classes=kinds, per_place=2) == BACKGROUND).all()


def test_a_lone_candidate_is_taken():
    anchors = torch.tensor([[0.0, 0, 4, 4]])
    assert match(anchors, [1], torch.tensor([[1.0, 1, 4, 4]])).tolist() == [0]


def test_where_half_the_candidates_are_good_the_best_are_taken():
    """Mean + deviation of (1/2, 1/2, 0, 0) is above 1/2: the paper would take none."""
    anchors = torch.tensor([[0.0, 0, 2, 4], [2, 0, 4, 4], [-4, 0, 0, 4], [4, 0, 8, 4]])
    box = torch.tensor([[0.0, 0, 4, 4]])
    overlap = torch.tensor([0.5, 0.5, 0.0, 0.0])
    assert overlap.mean() + overlap.std() > 0.5
    assert match(anchors, [4], box).tolist() == [0, 0, BACKGROUND, BACKGROUND]


def test_a_box_smaller_than_the_stride_is_matched_unless_centres_must_lie_in_it():
    generator = AnchorGenerator([[(6.0, 6.0)]], [(8, 8)])
    anchors, counts = generator([(4, 4)]), generator.counts([(4, 4)])
    box = torch.tensor([[9.0, 9, 11, 11]])  # between the centres at 4 and 12
    assert match(anchors, counts, box).tolist() == [BACKGROUND] * 5 + [0] + [BACKGROUND] * 10
    assert (match(anchors, counts, box, centres_inside=True) == BACKGROUND).all()


def test_a_box_that_touches_no_anchor_has_none():
    generator = AnchorGenerator([[(2.0, 2.0)]], [(8, 8)])
    anchors, counts = generator([(4, 4)]), generator.counts([(4, 4)])
    assert (match(anchors, counts, torch.tensor([[7.0, 7, 9, 9]])) == BACKGROUND).all()


@pytest.mark.parametrize("ndim", [2, 3])
def test_anchors_of_ignored_boxes_count_for_nothing(ndim):
    anchors, counts = a_pyramid(ndim)
    boxes = random_boxes(12, ndim, seed=3)
    classes = torch.tensor([0, -1, 2, -1] * 3)
    ours = match(anchors, counts, boxes, classes=classes, per_place=2)
    real = torch.nonzero(classes >= 0)[:, 0]
    taken = by_loops(anchors, counts, boxes[real], candidates=4, per_place=2)
    positive = taken >= 0
    assert torch.equal(ours[positive], real[taken[positive]])

    left_out = by_loops(anchors, counts, boxes[classes < 0], candidates=4, per_place=2) >= 0
    for a, anchor in enumerate(anchors.tolist()):
        for box in boxes[classes < 0].tolist():
            inside = [box[i] < c < box[ndim + i] for i, c in enumerate(middle(anchor))]
            left_out[a] |= all(inside)
    assert torch.equal(ours == IGNORED, left_out & ~positive)
    assert (ours == IGNORED).sum() > 10


def test_of_two_boxes_an_anchor_goes_to_the_one_it_fits_better():
    anchors = torch.tensor([[0.0, 0, 4, 4]])
    boxes = torch.tensor([[0.0, 0, 4, 3], [0, 0, 4, 4], [0, 0, 4, 4]])
    assert match(anchors, [1], boxes).tolist() == [1]
