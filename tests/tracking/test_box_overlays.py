from __future__ import annotations

import numpy as np
import pytest

from medseg.geometry.boxes import Boxes
from medseg.tracking.box_overlays import box_overlay, picture_of, telling_slices
from medseg.tracking.box_pictures import BoxPicture, Rectangle, of_one_size, rectangles
from medseg.tracking.overlays import COLOURS
from medseg.tracking.wandb_boxes import wandb_boxes

NONE = Boxes.none(3)


def at(*slices: float, scores=None, classes=None, side=4) -> Boxes:
    """Cubes far from each other, through the middle of the slices."""
    rows = []
    for number, k in enumerate(slices):
        low = 10.0 * number
        rows.append([low, low, k + 0.5 - side / 2, low + side, low + side, k + 0.5 + side / 2])
    return Boxes(np.array(rows).reshape(-1, 6), classes, scores)


def test_a_case_shows_the_best_found_object_and_the_missed_one():
    there = at(5, 15, 25)
    found = there[[1, 0]]
    found = Boxes(found.corners, found.classes, [0.9, 0.4])
    assert telling_slices(found, there, 40) == [15, 25]


def test_a_sure_false_alarm_is_worse_than_an_object_that_is_hardly_found():
    there = at(5, 15)
    alarm = [[80, 80, 30, 84, 84, 32]]
    found = Boxes(np.vstack([there.corners, alarm]), scores=[0.9, 0.5, 0.8])
    assert telling_slices(found, there, 40) == [5, 31]
    assert telling_slices(Boxes(found.corners, scores=[0.9, 0.1, 0.8]), there, 40) == [5, 15]


def test_without_objects_the_surest_alarm_is_shown_and_without_boxes_the_middle():
    assert telling_slices(at(5, 15, scores=[0.2, 0.6]), NONE, 40) == [15]
    assert telling_slices(Boxes(NONE.corners, scores=[]), NONE, 40) == [20]


def test_a_box_of_another_class_finds_nothing_and_one_on_what_is_ignored_is_no_alarm():
    there = at(5, 15, classes=[0, 0])
    found = Boxes(there.corners, [0, 1], [0.9, 0.7])
    assert telling_slices(found, there, 40) == [5, 15]
    ignored = Boxes(there.corners, [0, -1])
    assert telling_slices(found, ignored, 40) == [5]


def test_a_single_object_is_shown_once():
    there = at(7)
    assert telling_slices(Boxes(there.corners, scores=[0.6]), there, 40) == [7]


def red(picture: np.ndarray, label: int = 0) -> np.ndarray:
    return (picture == COLOURS[label]).all(axis=-1)


def test_on_a_slice_a_box_lies_on_the_voxels_that_it_holds():
    shape, low, high = (20, 30, 9), np.array([3, 5, 2]), np.array([9, 17, 6])
    image = np.zeros((1, *shape), np.float32)
    image[0, low[0] : high[0], low[1] : high[1], low[2] : high[2]] = 1
    box = Boxes([[*low, *high]])
    for k in range(shape[2]):
        picture = picture_of(image, box, NONE, slices=[k], size=0)
        assert picture.plain.shape == (30, 20, 3)
        bright = picture.plain[..., 0] == 255
        drawn = red(picture.drawn())
        assert drawn.any() == bright.any() == (2 <= k < 6)
        if drawn.any():
            rows, columns = np.nonzero(bright)
            edges = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
            assert picture.rectangles[0][:4] == edges
            top, left, bottom, right = edges
            border = np.zeros_like(drawn)
            border[top:bottom, left:right] = True
            border[top + 1 : bottom - 1, left + 1 : right - 1] = False
            assert (drawn == border).all()


def test_a_box_thinner_than_a_slice_is_on_the_one_that_it_lies_in():
    image = np.zeros((1, 8, 8, 5), np.float32)
    thin = Boxes([[1, 1, 2.6, 5, 5, 2.9]])
    shown = [len(picture_of(image, thin, NONE, slices=[k]).rectangles) for k in range(5)]
    assert shown == [0, 0, 1, 0, 0]


def test_in_2d_rows_and_columns_stay_and_enlarging_scales_boxes():
    image = np.zeros((2, 10, 16), np.float32)
    box = Boxes([[2, 4, 5, 9.5]], [1], [0.5])
    picture = box_overlay(image, None, box, classes=("a", "b"), size=32)
    assert picture.plain.shape == (20, 2 * 32, 3)
    assert [r[:4] for r in picture.rectangles] == [(4, 8, 10, 19), (4, 40, 10, 51)]


def test_the_reference_is_a_tint_and_what_is_ignored_grey():
    image = np.zeros((1, 20, 20), np.float32)
    there = Boxes([[2, 2, 8, 8], [10, 10, 18, 18]], [0, -1])
    drawn = picture_of(image, Boxes.none(2), there, size=20).drawn()
    assert (drawn[4, 4] == (0.3 * COLOURS[0]).round()).all()
    assert (drawn[12, 12] == round(0.3 * 128)).all()
    assert (drawn[9, 9] == 0).all()


def test_slices_stand_below_each_other_with_their_own_boxes():
    image = np.zeros((1, 40, 30, 30), np.float32)
    there = at(5, 15)
    found = Boxes(there.corners[:1], scores=[0.9])
    picture = box_overlay(image, there, found, size=40)
    assert picture.plain.shape == (60, 40, 3)
    assert [r.top // 30 for r in picture.rectangles] == [0, 0, 1]
    assert [r.reference for r in picture.rectangles] == [True, False, True]


def test_hardly_sure_boxes_are_left_out():
    found = Boxes(np.tile([1.0, 1, 5, 5], (30, 1)), scores=np.linspace(0.05, 0.95, 30))
    picture = box_overlay(np.zeros((1, 9, 9)), None, found)
    assert len(picture.rectangles) == 20
    few = box_overlay(np.zeros((1, 9, 9)), None, found[:3])
    assert [round(r.score, 2) for r in few.rectangles] == [0.11]


def test_boxes_outside_are_left_out_and_those_across_the_border_cut():
    boxes = Boxes([[-5, -5, -1, -1], [-2, 3, 4, 30], [3, 3, 3.2, 3.2]])
    found = rectangles(boxes, shape=(10, 12))
    assert [r[:4] for r in found] == [(0, 3, 4, 12), (3, 3, 4, 4)]


def test_scores_are_written_above_the_box_inside_the_picture():
    plain = np.zeros((60, 60, 3), np.uint8)
    box = Rectangle(30, 50, 50, 60, 0, score=0.87)
    without = BoxPicture(plain, (box._replace(score=None),), ("a",)).drawn()
    written = (BoxPicture(plain, (box,), ("a",)).drawn() != without).any(axis=-1)
    rows, columns = np.nonzero(written)
    assert rows.min() > 10 and rows.max() < 30
    assert columns.max() < 60 and len(rows) > 10


def test_pictures_of_a_panel_keep_their_boxes_in_place():
    small = BoxPicture(np.zeros((4, 4, 3), np.uint8), (Rectangle(1, 2, 3, 4, 0),), ())
    wide = BoxPicture(np.zeros((8, 10, 3), np.uint8), (Rectangle(0, 0, 8, 10, 0),), ())
    moved, same = of_one_size([small, wide])
    assert moved.plain.shape == same.plain.shape == (8, 10, 3)
    assert moved.rectangles[0][:4] == (3, 5, 5, 7)
    assert same.rectangles == wide.rectangles


def test_wandb_gets_corners_names_and_scores_that_it_takes():
    wandb = pytest.importorskip("wandb")
    plain = np.zeros((8, 10, 3), np.uint8)
    shown = (Rectangle(1, 2, 5, 9, 1, 0.75), Rectangle(0, 0, 4, 4, -1, reference=True))
    boxes = wandb_boxes(BoxPicture(plain, shown, ("node", "mass")))
    (one,) = boxes["predictions"]["box_data"]
    assert one["position"] == {"minX": 2, "maxX": 9, "minY": 1, "maxY": 5}
    assert (one["class_id"], one["scores"], one["box_caption"]) == (1, {"score": 0.75}, "mass 0.75")
    assert boxes["predictions"]["class_labels"] == {0: "node", 1: "mass", -1: "ignored"}
    (other,) = boxes["reference"]["box_data"]
    assert "scores" not in other and other["box_caption"] == "ignored"
    wandb.Image(plain, boxes=boxes)  # refuses what it cannot show


def test_axes_of_image_and_boxes_must_agree():
    with pytest.raises(ValueError, match="axes"):
        box_overlay(np.zeros((1, 9, 9, 9)), None, Boxes([[1, 1, 5, 5]], scores=[1.0]))
