from __future__ import annotations

import itertools

import numpy as np
import pytest

from medseg.data.case import LabelVolume, Volume
from medseg.data.prepare.moving_boxes import prepare_boxes, restore_boxes
from medseg.data.prepare.preprocess import preprocess
from medseg.data.prepare.steps import Crop, Normalise, Reorient, Resample
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes
from medseg.geometry.objects_in_masks import of_instances
from medseg.planning.plan import Normalisation, PreprocessingPlan

TURNS = [
    (axes, flips)
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


def random_corners(count: int, ndim: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    lower = rng.uniform(0, 10, (count, ndim))
    return np.hstack([lower, lower + rng.uniform(0.5, 8, (count, ndim))])


def through(turn) -> list:
    start = Grid.from_spacing((20, 22, 24), (0.5, 1.0, 2.0))
    turned = Reorient(start, *turn)
    cut = Crop(turned.target, (2, -1, 3), (17, 18, 19))
    return [turned, cut, Normalise(()), Resample(cut.target, (31, 7, 16), 1)]


@pytest.mark.parametrize("turn", TURNS)
def test_the_way_back_is_exact_for_all_48_orientations(turn):
    record, corners = through(turn), random_corners(50)
    assert np.allclose(restore_boxes(record, prepare_boxes(record, corners)), corners, atol=1e-12)


@pytest.mark.parametrize("turn", TURNS)
def test_boxes_stay_where_they_are_in_the_scanners_space(turn):
    record, corners = through(turn), random_corners(20)
    before = Boxes(corners).to_world(record[0].source)
    after = Boxes(prepare_boxes(record, corners)).to_world(record[-1].target)
    assert np.allclose(before.centres, after.centres)
    assert np.allclose(
        np.abs(before.directions @ before.sizes.T), np.abs(after.directions @ after.sizes.T)
    )


@pytest.mark.parametrize("turn", TURNS)
def test_the_box_of_a_mask_moves_as_the_mask_does(turn):
    grid = Grid.from_spacing((12, 14, 10), (1.0, 1.0, 1.0)).reorient(*turn)
    labels = np.zeros(grid.shape, dtype=np.uint8)
    labels[2:5, 3:9, 1:4], labels[6:9, 1:3, 5:9] = 1, 2
    image = np.ones((1, *grid.shape), dtype=np.float32)
    plan = PreprocessingPlan("RAS", "none", (1.0, 1.0, 1.0), (Normalisation("none"),))
    done = preprocess(Volume(image, grid), plan, LabelVolume(labels, grid))
    moved = prepare_boxes(done.record, of_instances(labels).corners)
    assert done.label is not None
    assert moved.tolist() == of_instances(done.label).corners.tolist()


@pytest.mark.parametrize("ndim", [2, 3])
def test_no_boxes_go_there_and_back(ndim):
    grid = Grid.from_spacing((9,) * ndim)
    record = [Crop(grid, (1,) * ndim, (8,) * ndim), Resample(grid, (4,) * ndim)]
    none = np.zeros((0, 2 * ndim))
    assert restore_boxes(record, prepare_boxes(record, none)).shape == (0, 2 * ndim)
