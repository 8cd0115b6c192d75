from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from medseg.geometry.box_iou import box_diameters, box_iou
from medseg.geometry.box_overlap import iou as torch_iou


@pytest.mark.parametrize("ndim", [2, 3])
def test_overlap_is_that_of_the_training(ndim):
    rng = np.random.default_rng(0)
    lower = rng.uniform(0, 20, (80, ndim))
    boxes = np.hstack([lower, lower + rng.uniform(0, 15, (80, ndim))])
    there = torch_iou(torch.from_numpy(boxes[:50]), torch.from_numpy(boxes[50:])).numpy()
    assert np.allclose(box_iou(boxes[:50], boxes[50:]), there, atol=1e-12)


def test_a_crowd_is_overlapped_by_the_part_of_the_prediction_in_it():
    crowd = np.array([[0.0, 0, 10, 10]])
    preds = np.array([[0.0, 0, 2, 2], [9, 0, 13, 2]])
    assert box_iou(preds, crowd).ravel().tolist() == [4 / 100, 2 / 106]
    assert box_iou(preds, crowd, crowd=np.array([True])).ravel().tolist() == [1, 2 / 8]


def test_boxes_without_volume_overlap_nothing():
    point = np.array([[3.0, 3, 3, 3]])
    assert box_iou(point, point) == 0
    assert box_iou(point, point, crowd=np.array([True])) == 0
    assert box_iou(np.zeros((0, 6)), np.zeros((4, 6))).shape == (0, 4)


def test_the_size_of_a_spheres_box_is_its_diameter():
    box = np.array([[0.0, 0, 0, 12, 12, 8]])
    assert box_diameters(box, (0.5, 0.5, 0.75)) == pytest.approx([6.0])
    assert box_diameters(box[:, [0, 1, 3, 5]], (1, 1)) == pytest.approx([math.sqrt(12 * 8)])
