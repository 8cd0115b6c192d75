from __future__ import annotations

import numpy as np
import pytest

from medseg.planning.detection_spacing import coarser_spacing


def sizes(*extents: tuple[float, ...], each: int = 10) -> np.ndarray:
    return np.repeat(np.array(extents, dtype=float), each, axis=0)


def test_large_objects_are_looked_for_at_a_spacing_where_small_ones_have_16_voxels():
    found = coarser_spacing(sizes((32, 40)), np.zeros(10, int), spacing=(1, 1))
    assert found is not None and found[0] == (2.0, 2.0)
    assert "32 across" in found[1]


def test_a_rare_small_class_decides():
    boxes = np.concatenate([sizes((100, 100), each=1000), sizes((24, 24), each=3)])
    classes = np.repeat([0, 1], [1000, 3])
    found = coarser_spacing(boxes, classes, spacing=(1, 1))
    assert found is not None and found[0] == (1.5, 1.5)


def test_thick_slices_stay():
    found = coarser_spacing(sizes((48, 48, 40)), np.zeros(10, int), spacing=(0.5, 0.5, 5))
    assert found is not None and found[0] == (2.5, 2.5, 5.0)


@pytest.mark.parametrize("extent", [5, 16, 23])
def test_small_objects_keep_the_spacing_of_the_data(extent):
    assert coarser_spacing(sizes((extent,) * 3), np.zeros(10, int), spacing=(1, 1, 1)) is None


def test_without_objects_nothing_is_coarser():
    assert coarser_spacing(np.zeros((0, 2)), np.zeros(0, int), spacing=(1, 1)) is None
