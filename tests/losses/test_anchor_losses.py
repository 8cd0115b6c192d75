from __future__ import annotations

import torch

from medseg.losses.anchor_losses import class_targets

BOXES = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 10, 10], [0, 0, 10, 5]])


def test_an_anchor_is_of_the_class_of_its_box():
    target = class_targets(torch.tensor([1, -1, -2]), BOXES, torch.tensor([0, 1, 0, 2]), 3)
    assert target.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_where_boxes_of_two_classes_are_one_place_it_is_of_both():
    target = class_targets(torch.tensor([0, 2, 3]), BOXES, torch.tensor([0, 1, 1, 2]), 3)
    assert target.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]


def test_an_ignored_box_at_the_same_place_is_of_no_class():
    target = class_targets(torch.tensor([0]), BOXES, torch.tensor([0, 1, -1, 2]), 3)
    assert target.tolist() == [[1, 0, 0]]


def test_without_boxes_nothing_is_asked_for():
    target = class_targets(torch.tensor([-1, -1]), torch.zeros(0, 4), torch.zeros(0).long(), 2)
    assert target.tolist() == [[0, 0], [0, 0]]


def test_reduced_precision_changes_nothing():
    matched, classes = torch.tensor([0, 1]), torch.tensor([0, 1, 1, 2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        target = class_targets(matched, BOXES, classes, 3)
    assert torch.equal(target, class_targets(matched, BOXES, classes, 3))
