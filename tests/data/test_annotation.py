from __future__ import annotations

import numpy as np
import pytest

from medseg.data.annotation import Annotation
from medseg.errors import InputError
from medseg.geometry import Grid


def grid() -> Grid:
    return Grid((10, 12, 8), np.array([[-2.0, 0, 0, 9], [0, 1, 0, -5], [0, 0, 4, 0], [0, 0, 0, 1]]))


def test_boxes_in_voxels_are_taken_as_they_are():
    found = Annotation("voxels", ((1, 2, 3, 4, 5, 6),), (1,)).boxes(grid())
    assert found.corners.tolist() == [[1, 2, 3, 4, 5, 6]] and found.classes.tolist() == [1]


def test_a_sphere_is_as_wide_as_its_diameter_along_every_axis():
    # Voxel (2, 4, 1) is centred at (5, -1, 4) mm.
    found = Annotation("spheres", ((5, -1, 4, 8),), (0,)).boxes(grid())
    assert np.allclose(found.sizes, [[4, 8, 2]]) and np.allclose(found.centres, [[2.5, 4.5, 1.5]])


@pytest.mark.parametrize("frame", ["voxels", "spheres", "slices"])
def test_an_image_without_objects_has_no_boxes(frame):
    assert Annotation(frame).boxes(grid()).corners.shape == (0, 6)


def test_a_box_of_a_picture_is_refused_in_a_volume():
    with pytest.raises(InputError, match="another number of axes") as error:
        Annotation("voxels", ((0, 0, 4, 4),), (0,)).boxes(grid())
    assert error.value.expected == "6 numbers (voxels) for an image of 3 axes"


def test_slices_are_numbered_by_where_they_lie():
    # Slices 4 mm apart: k = 2, 3 and 4 are centred at 8, 12 and 16 mm.
    found = Annotation("slices", ((1, 2, 8.0, 5, 6, 16.0),), (0,)).boxes(grid())
    assert found.corners.tolist() == [[1, 2, 2, 5, 6, 5]]


def test_slices_run_either_way():
    flipped = np.diag([1.0, 1.0, -4.0, 1.0])
    flipped[2, 3] = 28
    found = Annotation("slices", ((1, 2, 8.0, 5, 6, 16.0),), (0,)).boxes(Grid((9, 9, 8), flipped))
    assert found.corners.tolist() == [[1, 2, 3, 5, 6, 6]]


def test_slices_of_an_image_that_is_not_axial_are_refused():
    turned = np.eye(4)[[0, 2, 1, 3]]
    with pytest.raises(InputError, match="axial"):
        Annotation("slices", ((1, 2, 8.0, 5, 6, 16.0),), (0,)).boxes(Grid((9, 9, 8), turned))


def test_what_is_ignored_is_no_object_but_has_boxes():
    one = Annotation("voxels", ((1, 2, 3, 4, 5, 6),), (1,), ignored=((0, 0, 0, 1, 1, 1),))
    assert len(one.boxes(grid())) == 1
    assert one.ignored_boxes(grid()).corners.tolist() == [[0, 0, 0, 1, 1, 1]]


def test_what_was_drawn_in_an_image_of_another_size_is_refused():
    picture = Grid.from_spacing((12, 20), (1.0, 1.0))
    box = ((1, 2, 3, 4),)
    assert len(Annotation("voxels", box, (0,), shape=(12, 20)).boxes(picture)) == 1
    for shape, words in (((20, 12), "EXIF"), ((24, 40), "draw in the image as it is")):
        with pytest.raises(InputError, match="drawn in an image of another size") as error:
            Annotation("voxels", box, (0,), shape=shape).boxes(picture)
        assert error.value.expected.startswith("12 x 20 pixels")
        assert words in error.value.remedy
