from __future__ import annotations

import json

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes
from medseg.geometry.objects_in_masks import of_instances
from medseg.inference.detection.found_file import read_boxes
from medseg.inference.detection.label_map import label_map
from medseg.inference.detection.result import Detections
from medseg.inference.detection.slicer import markups, save_markups

NAMES = ("nodule", "mass")


def oblique(*, mirrored: bool = False) -> Grid:
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation)) * (-1 if mirrored else 1)
    affine = np.eye(4)
    affine[:3, :3] = rotation * [0.7, 0.9, 2.5]
    affine[:3, 3] = (12, -40, 230)
    return Grid((40, 50, 20), affine)


def found(grid: Grid | None = None) -> Detections:
    boxes = Boxes([[3, 4, 5, 9, 10.5, 8], [20, 30, 2, 26.25, 33, 6]], [1, 0], [0.9, 0.25])
    return Detections(boxes, grid or oblique(), NAMES)


def test_a_file_gives_back_what_was_written(tmp_path):
    found().save(tmp_path / "one.json")
    back = read_boxes(tmp_path / "one.json")
    assert np.array_equal(back.boxes.corners, found().boxes.corners)
    assert back.names == ["mass", "nodule"] and back.scores.tolist() == [0.9, 0.25]
    assert back.grid == found().grid and list(back.classes) == list(NAMES)


def test_the_file_says_each_object_in_voxels_and_in_mm():
    state = found().to_dict()
    first = state["objects"][0]
    assert first["class"] == "mass" and first["voxels"]["upper"] == [9, 10.5, 8]
    middle = oblique().affine @ [*(np.array([6, 7.25, 6.5]) - 0.5), 1]
    assert np.allclose(first["world"]["centre"], middle[:3])
    assert np.allclose(first["world"]["size"], np.array([6, 6.5, 3]) * [0.7, 0.9, 2.5])
    json.dumps(state)


def test_a_higher_threshold_keeps_the_surer():
    assert found().at_least(0.5).names == ["mass"]


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_markup_of_slicer_has_the_corners_of_the_box(mirrored):
    grid = oblique(mirrored=mirrored)
    for roi, lower, upper in zip(
        markups(found(grid))["markups"],
        found().boxes.lower,
        found().boxes.upper,
        strict=True,
    ):
        axes = np.array(roi["orientation"]).reshape(3, 3)
        assert np.linalg.det(axes) == pytest.approx(1)
        signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1)
        lps = np.array(roi["center"])[:, None] + axes @ (signs * np.array(roi["size"])[:, None] / 2)
        edges = np.array(np.meshgrid(*np.stack([lower, upper], axis=1))).reshape(3, -1)
        ras = grid.affine[:3, :3] @ (edges - 0.5) + grid.affine[:3, 3:]
        expected = ras * [[-1], [-1], [1]]
        distance = np.linalg.norm(lps[:, :, None] - expected[:, None], axis=0)
        assert distance.min(axis=0).max() < 1e-9


def test_markups_are_written_for_volumes_only(tmp_path):
    save_markups(found(), tmp_path / "one.mrk.json")
    state = json.loads((tmp_path / "one.mrk.json").read_text())
    assert [roi["type"] for roi in state["markups"]] == ["ROI", "ROI"]
    picture = Detections(Boxes([[0, 0, 4, 4]]), Grid.from_spacing((8, 8)), NAMES)
    with pytest.raises(InputError, match="volumes"):
        save_markups(picture, tmp_path / "two.mrk.json")


def test_a_label_map_has_the_boxes_again():
    boxes = Boxes([[3, 4, 9, 10], [20, 11, 26, 14]], [0, 1], [0.9, 0.5])
    picture = Detections(boxes, Grid.from_spacing((30, 20)), NAMES)
    back = of_instances(label_map(picture))
    assert back.corners.tolist() == boxes.corners.tolist() and back.values.tolist() == [1, 2]


def test_where_boxes_overlap_the_surer_is_seen():
    boxes = Boxes([[0, 0, 4, 4], [2, 2, 8, 8]], [0, 0], [0.9, 0.5])
    painted = label_map(Detections(boxes, Grid.from_spacing((9, 9)), NAMES))
    assert painted[3, 3] == 1 and painted[5, 5] == 2 and painted[8, 8] == 0


def test_a_box_smaller_than_a_voxel_is_still_one():
    boxes = Boxes([[3.6, 3.1, 3.9, 3.2], [-3, -3, -1, -1]], [0, 0], [0.9, 0.5])
    painted = label_map(Detections(boxes, Grid.from_spacing((6, 6)), NAMES))
    assert np.argwhere(painted).tolist() == [[3, 3]]


@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 8)])
def test_nothing_found_is_a_result_too(tmp_path, shape):
    nothing = Detections(Boxes.none(len(shape)), Grid.from_spacing(shape), NAMES)
    nothing.save(tmp_path / "none.json")
    assert len(read_boxes(tmp_path / "none.json")) == 0
    assert not label_map(nothing).any() and label_map(nothing).shape == shape
