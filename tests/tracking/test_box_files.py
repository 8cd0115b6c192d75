from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from medseg.data import formats
from medseg.data.case import Volume
from medseg.data.prepare.reading import read_image
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes
from medseg.tracking import draw_boxes
from medseg.tracking.overlays import COLOURS


def read(path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


def drawn(picture: np.ndarray, label: int = 0) -> tuple[int, int, int, int]:
    """Rows and columns that the pixels of a class's colour span."""
    rows, columns = np.nonzero((picture == COLOURS[label]).all(axis=-1))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def test_a_picture_in_2d_is_drawn_as_it_lies(tmp_path):
    draw_boxes(np.zeros((20, 30)), Boxes([[3, 5, 9, 17]]), tmp_path / "a.png", size=60)
    picture = read(tmp_path / "a.png")
    assert picture.shape == (40, 60, 3)
    assert drawn(picture) == (6, 18, 10, 34)


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1), (1, -1, -1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_however_a_volume_is_stored_its_picture_is_the_same(tmp_path, flips, order):
    """A bright block beside the middle, stored along permuted and flipped axes."""
    data = np.zeros((18, 22, 14), np.float32)
    data[3:8, 12:18, 4:9] = 1
    affine = np.diag([1.0, 1, 1, 1])
    corners = np.array([[3.0, 12, 4], [8, 18, 9]])
    stored, moved = data.transpose(order), corners[:, order]
    affine = affine[:, [*order, 3]]
    for axis, sign in enumerate(flips):
        if sign < 0:
            length = stored.shape[axis]
            stored = np.flip(stored, axis)
            moved[:, axis] = length - moved[::-1, axis]
            affine[:3, 3] += affine[:3, axis] * (length - 1)
            affine[:3, axis] *= -1
    volume = Volume(stored[None].copy(), Grid(stored.shape, affine))
    box = Boxes(moved.reshape(1, 6))
    draw_boxes(volume, box, tmp_path / "a.png", size=0)
    picture = read(tmp_path / "a.png")
    # Anterior is up and the patient's right at the left: rows 22 - j, columns 18 - i.
    assert picture.shape == (22, 18, 3)
    assert drawn(picture) == (22 - 18, 22 - 12, 18 - 8, 18 - 3)
    inside = picture[5:9, 11:14]
    assert (inside == 255).all()
    draw_boxes(volume.data, box, tmp_path / "b.png", grid=volume.grid, size=0)
    assert np.array_equal(picture, read(tmp_path / "b.png"))


def test_each_box_has_its_slice_and_no_slice_comes_twice(tmp_path):
    boxes = Boxes([[1, 1, 2, 4, 4, 5], [6, 6, 2, 9, 9, 5], [1, 1, 7, 4, 4, 9]], [0, 1, 0])
    draw_boxes(np.zeros((10, 10, 12)), boxes, tmp_path / "a.png", size=10)
    assert read(tmp_path / "a.png").shape == (20, 10, 3)
    draw_boxes(np.zeros((10, 10, 12)), boxes, tmp_path / "a.png", size=10, at_most=1)
    assert read(tmp_path / "a.png").shape == (10, 10, 3)
    other = Boxes([[1, 1, 0, 4, 4, 1]])
    draw_boxes(np.zeros((10, 10, 12)), boxes, tmp_path / "a.png", reference=other, size=10)
    assert read(tmp_path / "a.png").shape == (30, 10, 3)


def test_a_box_outside_of_a_partial_stack_has_no_slice(tmp_path):
    boxes = Boxes([[1, 1, 2, 4, 4, 5], [1, 1, 12, 4, 4, 17], [6, 6, -9, 9, 9, 1]])
    draw_boxes(np.zeros((10, 10, 12)), boxes, tmp_path / "a.png", size=10)
    picture = read(tmp_path / "a.png")
    assert picture.shape == (20, 10, 3)
    assert drawn(picture[:10]) == (6, 9, 6, 9) and drawn(picture[10:]) == (1, 4, 1, 4)


def test_without_boxes_the_middle_slice_is_shown(tmp_path):
    volume = np.zeros((6, 8, 5), np.float32)
    volume[2, 3, 2] = 1
    draw_boxes(volume, Boxes.none(3), tmp_path / "a.png", size=8, window=(0, 1))
    picture = read(tmp_path / "a.png")
    assert picture.shape == (8, 6, 3)
    assert picture[7 - 3, 5 - 2].tolist() == [255] * 3 and picture.sum() == 3 * 255


@pytest.mark.parametrize(
    ("patient", "voxel"), [("LIDC-IDRI-0001", (316, 367, 7)), ("LIDC-IDRI-0003", (367, 350, 5))]
)
def test_the_known_nodules_are_drawn_where_they_are(real_data, tmp_path, patient, voxel):
    found = formats.read(real_data("detection/lidc_stacks"))
    (case,) = (c for c in found.cases if c.id == patient)
    volume = read_image(case.images[0])
    boxes = case.annotation.boxes(volume.grid)
    there = (boxes.lower <= voxel).all(axis=1) & (boxes.upper > voxel).all(axis=1)
    box = boxes[there]
    assert len(box) == 1
    path = tmp_path / "nodule.png"
    draw_boxes(volume, box, path, window=(-1350, 150), classes=("nodule",))
    picture = read(path)
    # The files are axial and supine: the picture is the slice as DICOM stores it, rows down.
    assert picture.shape == (512, 512, 3)
    middle = int(box.centres[0, 2])
    stored = volume.data[0, :, :, middle].T
    expected = np.clip((stored + 1350) / 1500 * 255, 0, 255).round()
    top, bottom, left, right = drawn(picture)
    i0, j0, _, i1, j1, _ = box.corners[0]
    assert (left, right, top, bottom) == (i0, i1, j0, j1)
    assert left <= voxel[0] < right and top <= voxel[1] < bottom
    inside = (slice(top + 1, bottom - 1), slice(left + 1, right - 1))
    assert np.abs(picture[inside][..., 0] - expected[inside]).max() <= 1
    # A nodule is brighter than the air around it.
    core = stored[voxel[1] - 3 : voxel[1] + 4, voxel[0] - 3 : voxel[0] + 4].mean()
    assert core > -300 and np.median(stored[top - 8 : bottom + 8, left - 8 : right + 8]) < core
