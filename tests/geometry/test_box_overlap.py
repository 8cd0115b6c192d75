from __future__ import annotations

import numpy as np
import pytest
import torch

from medseg.geometry.box_overlap import giou, intersections, iou, paired_giou, paired_iou, volumes


def random_boxes(count: int, ndim: int, *, seed: int = 0, room: float = 12.0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    lower = rng.uniform(0, room, (count, ndim))
    return torch.from_numpy(np.hstack([lower, lower + rng.uniform(0.1, 8, (count, ndim))]))


def by_hand(a, b) -> tuple[float, float]:
    n = len(a) // 2
    common = around = first = second = 1.0
    for axis in range(n):
        common *= max(0.0, min(a[n + axis], b[n + axis]) - max(a[axis], b[axis]))
        around *= max(a[n + axis], b[n + axis]) - min(a[axis], b[axis])
        first *= a[n + axis] - a[axis]
        second *= b[n + axis] - b[axis]
    union = first + second - common
    return common / union, common / union - (around - union) / around


@pytest.mark.parametrize("ndim", [2, 3])
def test_ten_thousand_boxes_overlap_as_worked_out_one_by_one(ndim):
    first, second = random_boxes(10_000, ndim), random_boxes(10_000, ndim, seed=1)
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    expected = torch.tensor([by_hand(a, b) for a, b in pairs], dtype=torch.float64)
    assert 1000 < (expected[:, 0] > 0).sum() < 9900
    assert torch.allclose(paired_iou(first, second), expected[:, 0])
    assert torch.allclose(paired_giou(first, second), expected[:, 1])


@pytest.mark.parametrize("ndim", [2, 3])
def test_all_pairs_are_the_pairs_one_by_one(ndim):
    first, second = random_boxes(70, ndim), random_boxes(50, ndim, seed=1)
    a, b = first.repeat_interleave(50, 0), second.repeat(70, 1)
    assert torch.allclose(iou(first, second), paired_iou(a, b).view(70, 50))
    assert torch.allclose(giou(first, second), paired_giou(a, b).view(70, 50))


def test_monai_says_the_same_in_single_precision():
    box_utils = pytest.importorskip("monai.data.box_utils")
    first, second = random_boxes(300, 3).float(), random_boxes(200, 3, seed=1).float()
    assert torch.allclose(iou(first, second), box_utils.box_iou(first, second), atol=1e-6)
    assert torch.allclose(giou(first, second), box_utils.box_giou(first, second), atol=1e-6)
    assert torch.allclose(volumes(first), box_utils.box_area(first), rtol=1e-5)


def test_values_with_a_closed_form():
    unit = torch.tensor([[0.0, 0, 0, 1, 1, 1]])
    half = torch.tensor([[0.5, 0, 0, 1.5, 1, 1]])
    away = torch.tensor([[3.0, 0, 0, 4, 1, 1]])
    assert iou(unit, torch.cat([unit, half, away])).tolist() == [[1.0, pytest.approx(1 / 3), 0.0]]
    assert giou(unit, torch.cat([unit, away])).tolist() == [[1.0, pytest.approx(-2 / 4)]]
    assert intersections(unit, half).tolist() == [[0.5]]


def test_touching_boxes_do_not_overlap():
    assert iou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[2.0, 0, 4, 2]])).item() == 0


def test_boxes_without_volume_overlap_with_nothing():
    point = torch.tensor([[1.0, 1, 1, 1]])
    assert iou(point, point).item() == 0
    assert torch.isfinite(giou(point, point)).all()


@pytest.mark.parametrize("counts", [(0, 0), (0, 3), (3, 0)])
def test_no_boxes_have_no_overlaps(counts):
    first, second = random_boxes(counts[0], 3), random_boxes(counts[1], 3)
    assert iou(first, second).shape == giou(first, second).shape == counts
    assert paired_giou(first[:0], second[:0]).shape == (0,)


def test_gradients_of_giou_pull_boxes_together_that_do_not_touch():
    mine = torch.tensor([[0.0, 0, 1, 1]], requires_grad=True)
    paired_giou(mine, torch.tensor([[4.0, 0, 5, 1]])).sum().backward()
    assert mine.grad is not None and torch.isfinite(mine.grad).all() and mine.grad[0, 2] > 0
