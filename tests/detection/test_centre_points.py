from __future__ import annotations

import numpy as np
import pytest
import torch

from medseg.detection.centre_peaks import boxes_at_peaks
from medseg.detection.centre_targets import centre_targets, spreads
from medseg.detection.output import DetectionOutput
from medseg.geometry.box_overlap import paired_iou

STRIDE = {2: (4, 2), 3: (4, 2, 2)}
SHAPE = {2: (10, 16), 3: (10, 16, 8)}


def random_boxes(count, ndim, *, seed=0):
    rng = np.random.default_rng(seed)
    room = [n * s for n, s in zip(SHAPE[ndim], STRIDE[ndim], strict=True)]
    middle = rng.uniform(0, room, (count, ndim))
    half = rng.uniform(1, 8, (count, ndim))
    boxes = torch.from_numpy(np.hstack([middle - half, middle + half])).float()
    return boxes, torch.from_numpy(rng.integers(0, 2, count))


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_map_is_drawn_as_place_by_place(ndim):
    boxes, classes = random_boxes(6, ndim)
    ours = centre_targets(
        boxes, classes, shape=SHAPE[ndim], stride=STRIDE[ndim], num_classes=2, overlap=0.6
    )
    expected = np.zeros((2, *SHAPE[ndim]))
    stride = np.array(STRIDE[ndim])
    for box, kind in zip(boxes.double().numpy(), classes.tolist(), strict=True):
        middle, size = (box[:ndim] + box[ndim:]) / 2 / stride, (box[ndim:] - box[:ndim]) / stride
        part = 1 - (1.2 / 1.6) ** (1 / ndim)
        sigma = (2 * part * size + 1) / 6
        for place in np.ndindex(*SHAPE[ndim]):
            away = (np.array(place) - np.floor(middle)) / sigma
            value = np.exp(-(away**2).sum() / 2)
            expected[(kind, *place)] = max(expected[(kind, *place)], value)
    assert np.allclose(ours.heatmap.numpy(), expected, atol=1e-5)
    assert (ours.heatmap == 1).sum() == 6
    assert ours.counted.all()


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_box_off_by_the_spread_overlaps_as_stated(ndim):
    size = torch.rand(50, ndim) * 20 + 4
    off = (6 * spreads(size, overlap=0.7) - 1) / 2
    box = torch.cat([torch.zeros_like(size), size], 1)
    moved = torch.cat([off, size + off], 1)
    assert torch.allclose(paired_iou(box, moved), torch.tensor(0.7), atol=1e-5)


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_network_that_says_the_targets_gives_the_boxes_back(ndim):
    boxes, classes = random_boxes(8, ndim, seed=4)
    target = centre_targets(boxes, classes, shape=SHAPE[ndim], stride=STRIDE[ndim], num_classes=2)
    assert len(set(zip(target.places.tolist(), classes.tolist(), strict=True))) == 8
    values = torch.zeros(2 * ndim, target.heatmap[0].numel())
    values[:, target.places] = target.values.T
    output = DetectionOutput(
        [torch.logit(target.heatmap.double().clamp(1e-9, 0.9999))[None]],
        [values.view(1, -1, *SHAPE[ndim])],
    )
    found = boxes_at_peaks(output, STRIDE[ndim], score=0.99)
    order = [int((found.corners - box).abs().sum(1).argmin()) for box in boxes]
    assert len(found.scores) == len(boxes)
    assert torch.allclose(found.corners[order], boxes, atol=1e-4)
    assert torch.equal(found.classes[order], classes)


def test_neighbours_of_a_peak_are_no_boxes():
    logits = torch.full((1, 1, 6, 6), -9.0)
    logits[0, 0, 2:5, 2:5] = 1.0
    logits[0, 0, 3, 3] = 2.0
    output = DetectionOutput([logits], [torch.full((1, 4, 6, 6), 0.5)])
    found = boxes_at_peaks(output, (2, 2), score=0.5)
    # Centre (3.5, 3.5) places of 2 voxels, half a place long.
    assert torch.allclose(found.corners, torch.tensor([[6.5, 6.5, 7.5, 7.5]]))


def test_without_boxes_the_map_is_empty_and_nothing_is_found():
    none = torch.zeros(0, 6)
    target = centre_targets(
        none,
        torch.zeros(0, dtype=torch.int64),
        shape=(4, 4, 4),
        stride=(2, 2, 2),
        num_classes=2,
    )
    assert not target.heatmap.any()
    assert target.values.shape == (0, 6)
    silent = DetectionOutput([torch.full((1, 2, 4, 4, 4), -9.0)], [torch.zeros(1, 6, 4, 4, 4)])
    assert boxes_at_peaks(silent, (2, 2, 2)).corners.shape == (0, 6)


def test_an_ignored_box_has_no_centre_and_its_places_do_not_count():
    boxes = torch.tensor([[2.0, 2, 9, 8], [10, 10, 14, 14]])
    target = centre_targets(
        boxes, torch.tensor([-1, 0]), shape=(8, 8), stride=(2, 2), num_classes=1
    )
    assert (target.heatmap == 1).sum() == 1
    assert target.places.tolist() == [6 * 8 + 6]
    expected = torch.ones(8, 8, dtype=torch.bool)
    expected[1:5, 1:4] = False
    assert torch.equal(target.counted, expected)
