from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes
from medseg.inference.detection.joining import join
from medseg.inference.detection.result import Detections

GRID = Grid.from_spacing((60, 60, 60), (1, 1, 2))
NAMES = ("nodule", "mass")
A, B = [10, 10, 10, 20, 20, 20], [40, 40, 40, 50, 50, 50]


def run(boxes, scores, classes=None, *, names=NAMES, grid=GRID) -> Detections:
    corners = np.array(boxes, dtype=float).reshape(-1, 6)
    return Detections(Boxes(corners, classes, np.array(scores, dtype=float)), grid, names)


def test_what_all_runs_find_stays_as_it_is():
    one = run([A, B], [0.9, 0.6], [0, 1])
    joined = join([one, one, one])
    assert np.allclose(joined.boxes.corners, [A, B]) and joined.names == ["nodule", "mass"]
    assert np.allclose(joined.scores, [0.9, 0.6]) and joined.grid == GRID


def test_one_run_alone_is_itself():
    one = run([A, B], [0.9, 0.6])
    assert np.allclose(join([one]).boxes.corners, one.boxes.corners)


def test_what_one_of_several_finds_has_its_share_of_the_score():
    joined = join([run([A, B], [0.8, 0.8]), run([A], [0.8]), run([], []), run([A], [0.8])])
    assert np.allclose(joined.boxes.corners, [A, B])
    assert np.allclose(joined.scores, [0.8 * 3 / 4, 0.8 / 4])


def test_boxes_of_one_object_become_their_weighted_mean():
    # Of one size, IoU 0.9 / 1.1 with the best; so weights 1 and 9 / 11, times the scores.
    moved = [11, *A[1:3], 21, *A[4:]]
    joined = join([run([A], [0.9]), run([moved], [0.6])])
    weights = np.array([1, 9 / 11])
    assert joined.scores == pytest.approx([weights @ [0.9, 0.6] / weights.sum()])
    shares = weights * [0.9, 0.6]
    assert np.allclose(joined.boxes.corners[0], shares @ np.array([A, moved]) / shares.sum())


def test_classes_go_by_their_names():
    joined = join([run([A], [0.8], [0]), run([A], [0.8], [1], names=NAMES[::-1])])
    assert joined.names == ["nodule"] and joined.scores == pytest.approx([0.8])
    other = join([run([A], [0.8], [0]), run([A], [0.8], [0], names=NAMES[::-1])])
    assert sorted(other.names) == ["mass", "nodule"] and np.allclose(other.scores, 0.4)


def test_nothing_found_is_joined_too():
    joined = join([run([], []), run([], [])])
    assert len(joined) == 0 and joined.boxes.ndim == 3


def test_runs_on_different_images_or_classes_are_refused():
    one = run([A], [0.9])
    with pytest.raises(InputError, match="nothing to join"):
        join([])
    small, turned = Grid.from_spacing((50, 60, 60), (1, 1, 2)), Grid.from_spacing((60, 60, 60))
    for grid in (small, turned, Grid.from_spacing((60, 60))):
        boxes = one.boxes if grid.ndim == 3 else Boxes.none(2)
        with pytest.raises(InputError, match="run 1 and run 3 are of different images"):
            join([one, one, replace(one, grid=grid, boxes=boxes)])
    with pytest.raises(InputError, match="different classes"):
        join([one, replace(one, classes=("nodule", "cyst"))])
