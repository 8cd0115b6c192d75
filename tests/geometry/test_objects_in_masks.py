from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medseg.geometry.objects_in_masks import of_components, of_instances


def brute(mask: np.ndarray) -> list[int]:
    places = np.argwhere(mask)
    return [*places.min(axis=0), *(places.max(axis=0) + 1)]


def random_labels(shape, *, seed=0) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    return np.digitize(noise, [0.12, 0.2]).astype(np.uint8)


@pytest.mark.parametrize("shape", [(40, 50), (24, 20, 28)])
@pytest.mark.parametrize("connectivity", [1, 2])
def test_components_are_those_of_scipy_label_by_label(shape, connectivity):
    labels = random_labels(shape)
    found = of_components(labels, (1, 2), connectivity=connectivity)
    structure = ndimage.generate_binary_structure(len(shape), connectivity)
    count = 0
    for value in (1, 2):
        parts, number = ndimage.label(labels == value, structure)
        for part in range(1, number + 1):
            mine = found.map[parts == part]
            assert (mine == mine[0]).all()
            at = mine[0] - 1
            assert found.corners[at].tolist() == brute(parts == part)
            assert found.values[at] == value and found.sizes[at] == (parts == part).sum()
        count += number
    assert len(found.corners) == count == found.map.max() > 4


def test_pieces_that_touch_at_a_corner_are_one_object_unless_faces_are_asked_for():
    labels = np.eye(3, dtype=np.uint8)
    assert len(of_components(labels, (1,)).values) == 1
    assert len(of_components(labels, (1,), connectivity=1).values) == 3


def test_small_components_become_background():
    labels = np.zeros((10, 10), dtype=np.uint8)
    labels[1:4, 1:4], labels[7, 7] = 1, 1
    found = of_components(labels, (1,), smallest=2)
    assert found.corners.tolist() == [[1, 1, 4, 4]] and found.map[7, 7] == 0
    assert found.sizes.tolist() == [9]


def test_labels_that_have_no_objects_are_background():
    labels = random_labels((20, 20))
    assert (of_components(labels, (2,)).map[labels == 1] == 0).all()


def test_an_instance_map_may_have_gaps_and_objects_in_pieces():
    labels = np.zeros((12, 12), dtype=np.uint16)
    labels[0:2, 0:3], labels[5:7, 5:7], labels[10, 11] = 7, 60_000, 7
    found = of_instances(labels)
    assert found.values.tolist() == [7, 60_000] and found.sizes.tolist() == [7, 4]
    assert found.corners.tolist() == [[0, 0, 11, 12], [5, 5, 7, 7]]
    assert sorted(np.unique(found.map)) == [0, 1, 2] and (found.map[5:7, 5:7] == 2).all()


@pytest.mark.parametrize(("ndim", "cells"), [(2, (100, 100)), (3, (20, 25, 20))])
def test_ten_thousand_painted_boxes_come_back_from_a_mask_and_from_a_map(ndim, cells):
    """Each in a cell of its own of 6 voxels, one of which stays free."""
    rng = np.random.default_rng(0)
    corner = 6 * np.stack(np.unravel_index(np.arange(10_000), cells), axis=1)
    lower = corner + rng.integers(0, 3, (10_000, ndim))
    drawn = np.hstack([lower, lower + rng.integers(1, 4, (10_000, ndim))])
    numbers = rng.permutation(20_000)[:10_000] + 1  # with gaps
    mask = np.zeros([6 * n for n in cells], dtype=np.uint8)
    instances = np.zeros(mask.shape, dtype=np.uint16)
    for number, box in zip(numbers, drawn, strict=True):
        place = tuple(slice(a, b) for a, b in zip(box[:ndim], box[ndim:], strict=True))
        mask[place], instances[place] = 1 + number % 2, number
    listed = of_instances(instances)
    assert np.array_equal(listed.values, np.sort(numbers))
    assert np.array_equal(listed.corners, drawn[np.argsort(numbers)])
    parts = of_components(mask, (1, 2))
    assert {(v, *box) for v, box in zip(parts.values, map(tuple, parts.corners), strict=True)} == {
        (1 + n % 2, *box) for n, box in zip(numbers, map(tuple, drawn), strict=True)
    }


@pytest.mark.parametrize("shape", [(8, 9), (5, 6, 7)])
def test_an_empty_mask_has_no_objects(shape):
    empty = np.zeros(shape, dtype=np.uint8)
    for found in (of_instances(empty), of_components(empty, (1, 2))):
        assert found.corners.shape == (0, 2 * len(shape))
        assert len(found.values) == len(found.sizes) == found.map.max() == 0


def test_a_map_without_background_is_all_objects():
    found = of_instances(np.full((3, 4), 5))
    assert found.corners.tolist() == [[0, 0, 3, 4]] and found.values.tolist() == [5]
