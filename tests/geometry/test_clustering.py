from __future__ import annotations

import numpy as np
import pytest
import torch

from medseg.geometry.box_overlap import iou, volumes
from medseg.geometry.clustering import weighted_clusters


def by_the_paper(boxes, scores, threshold, classes, weights, looks, expected):
    """Cluster from the best on, one box after the other (Jaeger et al., algorithm 1)."""
    left, found = torch.argsort(scores, descending=True, stable=True), []
    while len(left):
        best = int(left[0])
        overlap = iou(boxes[best, None], boxes[left])[0]
        taken = (overlap > threshold) & (classes[left] == classes[best])
        taken[0] = True
        mine, left, overlap = left[taken], left[~taken], overlap[taken]
        trust = overlap * volumes(boxes[mine]) * weights[mine]
        missing = max(0, int(expected[best]) - len(set(looks[mine].tolist())))
        score = (trust * scores[mine]).sum() / (trust.sum() + missing * trust.mean())
        by_score = (trust * scores[mine])[:, None]
        found.append((score, (boxes[mine] * by_score).sum(0) / by_score.sum(), classes[best]))
    found.sort(key=lambda one: -one[0])
    return found


@pytest.mark.parametrize(
    ("ndim", "count", "room"),
    [
        (2, 400, 30),
        (3, 400, 30),
        pytest.param(2, 10_000, 100, marks=pytest.mark.slow),
        pytest.param(3, 10_000, 45, marks=pytest.mark.slow),
    ],
)
def test_many_boxes_are_clustered_as_in_the_paper(ndim, count, room):
    rng = np.random.default_rng(0)
    lower = rng.uniform(0, room, (count, ndim))
    boxes = torch.from_numpy(np.hstack([lower, lower + rng.uniform(2, 15, (count, ndim))]))
    scores, weights = torch.from_numpy(rng.uniform(0.01, 1, (2, count)))
    classes, looks = (
        torch.from_numpy(rng.integers(0, 2, count)),
        torch.from_numpy(rng.integers(0, 4, count)),
    )
    expected = torch.from_numpy(rng.integers(1, 6, count))
    found = weighted_clusters(
        boxes,
        scores,
        threshold=0.15,
        classes=classes,
        weights=weights,
        looks=looks,
        expected=expected,
    )
    by_hand = by_the_paper(boxes, scores, 0.15, classes, weights, looks, expected)
    assert len(by_hand) < 0.7 * count
    assert found.scores.tolist() == pytest.approx([float(score) for score, _, _ in by_hand])
    assert torch.allclose(found.boxes, torch.stack([box for _, box, _ in by_hand]))
    assert found.classes.tolist() == [int(kind) for _, _, kind in by_hand]


def test_equal_boxes_of_two_looks_are_one_with_their_mean_score():
    boxes = torch.tensor([[0.0, 0, 0, 4, 4, 4]]).repeat(2, 1)
    found = weighted_clusters(boxes, torch.tensor([0.9, 0.5]), threshold=0.3)
    assert torch.allclose(found.boxes, boxes[:1]) and found.scores.tolist() == pytest.approx([0.7])


def test_a_look_that_found_nothing_counts_as_zero():
    box = torch.tensor([[0.0, 0, 4, 4]])
    found = weighted_clusters(
        box, torch.tensor([0.8]), threshold=0.3, expected=torch.tensor([4]), looks=torch.tensor([0])
    )
    assert found.scores.tolist() == pytest.approx([0.2])


def test_two_boxes_of_one_look_do_not_stand_for_another():
    box = torch.tensor([[0.0, 0, 4, 4]]).repeat(2, 1)
    scores, expected = torch.tensor([0.8, 0.8]), torch.tensor([2, 2])
    once = weighted_clusters(
        box, scores, threshold=0.3, looks=torch.tensor([0, 0]), expected=expected
    )
    twice = weighted_clusters(
        box, scores, threshold=0.3, looks=torch.tensor([0, 1]), expected=expected
    )
    assert once.scores.item() == pytest.approx(0.8 * 2 / 3)
    assert twice.scores.item() == pytest.approx(0.8)


def test_a_box_that_was_cut_by_the_border_of_its_tile_hardly_moves_the_mean():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 6]])
    found = weighted_clusters(
        boxes, torch.tensor([0.8, 0.8]), threshold=0.3, weights=torch.tensor([1.0, 0.01])
    )
    assert found.boxes[0, 3] > 9.98


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_come_back(count):
    boxes = torch.tensor([[1.0, 2, 3, 4, 5, 6]])[:count]
    found = weighted_clusters(boxes, torch.full((count,), 0.5), threshold=0.2)
    assert torch.allclose(found.boxes, boxes) and found.scores.tolist() == [0.5] * count


def test_boxes_without_volume_or_score_stay_finite():
    boxes = torch.tensor([[1.0, 1, 1, 1], [3.0, 3, 5, 5]])
    found = weighted_clusters(boxes, torch.tensor([0.9, 0.0]), threshold=0.2)
    assert torch.isfinite(found.boxes).all() and torch.isfinite(found.scores).all()
    assert found.scores.tolist() == pytest.approx([0.9, 0.0])


def test_every_box_knows_the_cluster_that_it_went_into():
    boxes = torch.tensor([[0.0, 0, 4, 4], [20.0, 20, 24, 24], [0.0, 0, 4, 5], [20.0, 20, 24, 23]])
    found = weighted_clusters(boxes, torch.tensor([0.3, 0.9, 0.4, 0.8]), threshold=0.3)
    assert found.members.tolist() == [1, 0, 1, 0]
    assert found.boxes[0, 0] == 20
