"""Objects held against their images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medseg.data.annotation import Annotation
from medseg.data.case import Case, Dataset
from medseg.data.prepare.object_checks import check_boxes, check_frames, check_instances
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes
from medseg.labels import LabelScheme
from medseg.objects import ObjectRule

GRID = Grid.from_spacing((10, 20))
FILE = Path("a.xml")


def check(*corners, classes=None):
    boxes = Boxes(np.array(corners, dtype=float), classes)
    return check_boxes(boxes, GRID, FILE, classes=("cell", "nodule"))


def test_sound_boxes_come_back_as_they_are():
    found = check((0, 0, 10, 20), (1, 2, 3, 4), classes=[0, 1])
    assert found.boxes.corners.tolist() == [[0, 0, 10, 20], [1, 2, 3, 4]]
    assert found.notes == ()


def test_no_box_is_a_sound_answer():
    assert len(check_boxes(Boxes.none(2), GRID, FILE, classes=("cell",)).boxes) == 0


def test_what_reaches_over_the_edge_is_cut_off_and_noted_beyond_a_voxel():
    found = check((-1, 0, 5, 5), (5, 5, 13, 9))
    assert found.boxes.corners.tolist() == [[0, 0, 5, 5], [5, 5, 10, 9]]
    assert found.notes[0].startswith("1 of 2 boxes reach over the edge of the image, up to 3")


@pytest.mark.parametrize(
    ("corners", "words"),
    [
        ((20, 0, 30, 5), "outside of the image"),
        ((-9, 0, 5, 5), "outside of the image"),
        ((3, 3, 3, 5), "no size"),
        ((5, 3, 2, 6), "corners swapped"),
        ((0, 0, np.nan, 5), "no finite number"),
    ],
)
def test_what_is_no_box_of_this_image_is_refused(corners, words):
    with pytest.raises(InputError, match=words) as error:
        check((1, 1, 2, 2), corners)
    assert error.value.file == FILE and "object 2, cell" in error.value.found
    assert error.value.expected and error.value.remedy


@pytest.mark.parametrize("number", [-1, 2])
def test_a_class_that_is_not_there_is_refused(number):
    with pytest.raises(InputError, match="unknown class"):
        check((1, 1, 2, 2), classes=[number])


def test_the_same_box_twice_is_refused_but_not_of_two_classes():
    check((1, 1, 2, 2), (1, 1, 2, 2), classes=[0, 1])
    with pytest.raises(InputError, match="occurs twice"):
        check((1, 1, 2, 2), (3, 3, 5, 5), (1, 1, 2, 2))


def test_boxes_of_a_volume_are_refused_in_a_picture():
    with pytest.raises(InputError, match="another number of axes"):
        check_boxes(Boxes.none(3), GRID, FILE, classes=("cell",))


CASE = Case("a", (Path("a.nii.gz"),), Path("a_map.nii.gz"), instances=((1, 0), (3, 1)))


def test_gaps_in_an_instance_map_are_allowed_and_noted():
    (note,) = check_instances(np.array([0, 1, 3, 3]), CASE)
    assert "2 values up to 3" in note
    plain = Case("a", (Path("a.nii.gz"),), Path("m.nii.gz"))
    assert check_instances(np.array([0, 1, 2]), plain) == ()
    assert check_instances(np.array([0, 0]), plain) == ()


def test_a_value_of_the_table_that_the_map_lacks_is_refused():
    with pytest.raises(InputError, match="the map lacks") as error:
        check_instances(np.array([0, 1]), CASE)
    assert error.value.file == CASE.label and "remove 3 from the table" in error.value.remedy


def test_a_value_of_the_map_that_the_table_lacks_is_refused():
    with pytest.raises(InputError, match="the table lacks") as error:
        check_instances(np.array([0, 1, 2, 3]), CASE)
    assert error.value.found == "1, 2, 3"


def test_an_empty_table_says_that_the_map_is_empty():
    empty = replace(CASE, instances=())
    assert check_instances(np.array([0, 0]), empty) == ()
    with pytest.raises(InputError, match="the table lacks") as error:
        check_instances(np.array([0, 1]), empty)
    assert error.value.expected == "the values none, as a_map.json says"


def test_a_negative_value_is_no_instance():
    with pytest.raises(InputError, match="negative"):
        check_instances(np.array([0, -1]), CASE)


def spheres(points, lps_given_as_ras=False):
    """A volume that lies to the right of the scanner's middle: x and y from 0 to 50 mm, RAS."""
    sign = -1 if lps_given_as_ras else 1
    objects = tuple((sign * x, sign * y, z, 4.0) for x, y, z in points)
    annotation = Annotation("spheres", objects, (0,) * len(objects), Path("n.csv"))
    case = Case("a", (Path("a.mhd"),), annotation=annotation)
    return Dataset(
        "luna16", Path(), (case,), ("CT",), LabelScheme({"n": 1}), objects=ObjectRule("boxes")
    )


def volume(path):
    return Grid.from_spacing((50, 50, 30), 1.0)


POINTS = [(10, 20, 5), (40, 5, 20), (25, 25, 10)]


def test_points_that_lie_in_their_images_pass():
    check_frames(spheres(POINTS), grid=volume)


def test_lps_given_as_ras_is_told_by_where_the_objects_would_lie():
    with pytest.raises(InputError, match="other direction") as error:
        check_frames(spheres(POINTS, lps_given_as_ras=True), grid=volume)
    assert error.value.found == "0 of 3 within; 3 with x and y negated"
    assert error.value.file == Path("n.csv") and "negate" in error.value.remedy


def test_an_image_that_is_cut_short_is_not_taken_for_turned():
    check_frames(spheres([(10, 20, z) for z in (100, 200, 5)]), grid=volume)


def test_headers_are_read_for_millimetres_only(monkeypatch):
    def fail(path):
        raise AssertionError

    boxes = Annotation("voxels", ((0, 0, 0, 1, 1, 1),), (0,))
    case = Case("a", (Path("a.nii"),), annotation=boxes)
    check_frames(Dataset("voc", Path(), (case,), ("CT",), LabelScheme({"n": 1})), grid=fail)
