from __future__ import annotations

import numpy as np
import pytest
import torch

from medseg.geometry.box_overlap import iou
from medseg.geometry.suppression import cluster, nms, soft_nms


def random_boxes(count: int, ndim: int, *, room: float, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    lower = rng.uniform(0, room, (count, ndim))
    return torch.from_numpy(np.hstack([lower, lower + rng.uniform(2, 20, (count, ndim))]))


def greedy(boxes, scores, threshold, classes) -> tuple[list[int], list[int]]:
    """Go through the boxes from the best on; each that is left takes what it overlaps."""
    order = torch.argsort(scores, descending=True, stable=True)
    boxes, classes = boxes[order], classes[order]
    free, kept = torch.ones(len(order), dtype=torch.bool), []
    owners = torch.empty_like(order)
    for first in range(0, len(order), 500):  # all pairs at once would be a gigabyte
        rows = slice(first, first + 500)
        taken = (iou(boxes[rows], boxes[first:]) > threshold) & (
            classes[rows, None] == classes[None, first:]
        )
        for row, number in enumerate(order[rows]):
            if free[first + row]:
                mine = taken[row] & free[first:]
                mine[row] = True
                owners[order[first:][mine]] = number
                free[first:] &= ~mine
                kept.append(int(number))
    return kept, owners.tolist()


@pytest.mark.parametrize(
    ("ndim", "room", "threshold", "classes"),
    [(3, 150, 0.1, 1), (3, 150, 0.5, 3), (2, 300, 0.22, 2), (2, 40, 0.0, 1)],
)
def test_ten_thousand_boxes_are_suppressed_as_one_by_one(ndim, room, threshold, classes):
    rng = torch.Generator().manual_seed(0)
    boxes = random_boxes(10_000, ndim, room=room)
    scores = torch.randint(0, 5000, (10_000,), generator=rng) / 5000  # with ties
    kinds = torch.randint(0, classes, (10_000,), generator=rng)
    kept, owners = greedy(boxes, scores, threshold, kinds)
    assert nms(boxes, scores, threshold=threshold, classes=kinds).tolist() == kept
    assert cluster(boxes, scores, threshold=threshold, classes=kinds).tolist() == owners


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9])
def test_boxes_that_crowd_around_few_objects_leave_few(threshold):
    rng = torch.Generator().manual_seed(1)
    objects = random_boxes(12, 3, room=60)
    boxes = objects[torch.randint(0, 12, (3000,), generator=rng)]
    boxes = boxes + torch.randn(3000, 6, generator=rng, dtype=torch.float64) * 0.3
    scores = torch.rand(3000, generator=rng)
    kept, _ = greedy(boxes, scores, threshold, torch.zeros(3000))
    assert nms(boxes, scores, threshold=threshold).tolist() == kept


def test_one_giant_among_many_small_boxes_changes_nothing():
    boxes = random_boxes(2000, 3, room=200)
    boxes[7] = torch.tensor([-5000.0, -5000, -5000, 5000, 5000, 5000])
    scores = torch.rand(2000, generator=torch.Generator().manual_seed(2))
    kept, _ = greedy(boxes, scores, 0.1, torch.zeros(2000))
    assert nms(boxes, scores, threshold=0.1).tolist() == kept


def test_monai_keeps_the_same_boxes():
    box_utils = pytest.importorskip("monai.data.box_utils")
    boxes = random_boxes(500, 3, room=60).float()
    scores = torch.rand(500, generator=torch.Generator().manual_seed(3))
    theirs = box_utils.non_max_suppression(boxes, scores, nms_thresh=0.22)
    assert nms(boxes, scores, threshold=0.22).tolist() == theirs.tolist()


def test_a_box_that_overlaps_by_the_threshold_exactly_stays():
    boxes = torch.tensor([[0.0, 0, 2, 2], [1.0, 0, 3, 2]])  # IoU 1 / 3
    scores = torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, threshold=1 / 3).tolist() == [0, 1]
    assert nms(boxes, scores, threshold=0.33).tolist() == [0]


def test_a_suppressed_box_suppresses_nothing():
    boxes = torch.tensor([[0.0, 0, 4, 4], [2.0, 0, 6, 4], [4.0, 0, 8, 4]])
    assert nms(boxes, torch.tensor([0.9, 0.8, 0.7]), threshold=0.2).tolist() == [0, 2]


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_are_kept_as_they_are(count):
    boxes, scores = torch.zeros(count, 6), torch.ones(count)
    assert nms(boxes, scores, threshold=0.5).tolist() == list(range(count))
    assert cluster(boxes, scores, threshold=0.5).shape == (count,)
    assert soft_nms(boxes, scores)[0].tolist() == list(range(count))


def test_soft_nms_lowers_scores_by_their_overlap_with_better_ones():
    boxes = torch.tensor([[0.0, 0, 2, 2], [1.0, 0, 3, 2], [9.0, 9, 10, 10]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    order, lowered = soft_nms(boxes, scores, sigma=0.5)
    assert order.tolist() == [0, 2, 1]
    expected = [0.9, 0.7, 0.8 * np.exp(-((1 / 3) ** 2) / 0.5)]
    assert lowered.tolist() == pytest.approx(expected)


def test_soft_nms_drops_what_has_nothing_left_and_spares_other_classes():
    boxes = torch.tensor([[0.0, 0, 2, 2], [0.0, 0, 2, 2], [0.0, 0, 2, 2]])
    scores, classes = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 0, 1])
    order, lowered = soft_nms(boxes, scores, sigma=0.1, smallest=0.01, classes=classes)
    assert order.tolist() == [0, 2] and lowered.tolist() == pytest.approx([0.9, 0.7])


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU of one box with many, in NumPy."""
    n = len(box) // 2
    sides = np.minimum(box[n:], boxes[:, n:]) - np.maximum(box[:n], boxes[:, :n])
    common = sides.clip(min=0).prod(axis=1)
    volumes = (boxes[:, n:] - boxes[:, :n]).prod(axis=1)
    return common / ((box[n:] - box[:n]).prod() + volumes - common)


@pytest.mark.parametrize(
    ("ndim", "count", "room", "smallest"),
    [
        (3, 300, 40, 0.05),
        (2, 1_000, 60, 0.001),
        pytest.param(3, 10_000, 60, 0.2, marks=pytest.mark.slow),
        pytest.param(2, 10_000, 200, 0.2, marks=pytest.mark.slow),
    ],
)
def test_soft_nms_of_many_is_that_of_bodla_one_by_one(ndim, count, room, smallest):
    boxes = random_boxes(count, ndim, room=room)
    generator = torch.Generator().manual_seed(4)
    scores = torch.rand(count, generator=generator, dtype=torch.float64)
    kinds = torch.randint(0, 3, (count,), generator=generator)
    # Who is left, beside their scores and places; who was taken leaves the list.
    numbers, left = np.arange(count), scores.numpy().copy()
    corners, classes, expected = boxes.numpy(), kinds.numpy(), []
    while len(left) and left.max() >= smallest:
        best = int(left.argmax())
        box, kind = corners[best], classes[best]
        expected.append((numbers[best], left[best]))
        others = np.delete(np.arange(len(left)), best)
        numbers, left, corners, classes = (a[others] for a in (numbers, left, corners, classes))
        left *= np.where(classes == kind, np.exp(-(overlaps(box, corners) ** 2) / 0.3), 1)
        # Those that fall below will never rise again.
        alive = left >= smallest
        numbers, left, corners, classes = (a[alive] for a in (numbers, left, corners, classes))
    order, lowered = soft_nms(boxes, scores, sigma=0.3, smallest=smallest, classes=kinds)
    assert len(expected) > count / 50
    assert order.tolist() == [i for i, _ in expected]
    assert lowered.tolist() == pytest.approx([v for _, v in expected])


def test_boxes_on_a_lattice_which_overlap_by_the_threshold_exactly_are_suppressed_as_one_by_one():
    rng = np.random.default_rng(6)
    for number in range(24):
        ndim, count = 2 + number % 2, int(rng.integers(2, 40))
        lower = rng.integers(0, 4, (count, ndim))
        # Some without any size, many the same.
        boxes = torch.from_numpy(np.hstack([lower, lower + rng.integers(0, 4, (count, ndim))]))
        boxes, scores = boxes.double(), torch.from_numpy(rng.integers(0, 5, count) / 5)
        kinds = torch.from_numpy(rng.integers(0, 2, count))
        for threshold in (0.0, 1 / 3, 0.5, 1.0):
            kept, owners = greedy(boxes, scores, threshold, kinds)
            assert nms(boxes, scores, threshold=threshold, classes=kinds).tolist() == kept
            found = cluster(boxes, scores, threshold=threshold, classes=kinds)
            assert found.tolist() == owners
