from __future__ import annotations

import numpy as np
import pytest
import torch

from medseg.data.feed.sampling import (
    copy_patch,
    forced_foreground,
    foreground_voxel,
    patch_start,
    sampled_object,
    start_around,
    view_patch,
)
from medseg.geometry.boxes import Boxes


@pytest.mark.parametrize("batch", [2, 3, 4, 7, 9, 12])
def test_the_forced_part_of_a_batch_is_that_of_nnunet(batch):
    forced = [forced_foreground(k, batch, 0.33) for k in range(2 * batch)]
    expected = [i >= round(batch * 0.67) for i in range(batch)]
    assert forced == expected * 2


def test_one_batch_of_one_in_three_is_forced():
    assert sum(forced_foreground(k, 1, 1 / 3) for k in range(30)) == 10


def test_no_fraction_forces_nothing_and_a_whole_one_everything():
    assert not any(forced_foreground(k, 4, 0.0) for k in range(8))
    assert all(forced_foreground(k, 4, 1.0) for k in range(8))


def test_classes_are_chosen_evenly_however_rare():
    locations = {
        0: np.zeros((9, 3)),
        1: np.full((1000, 3), 1),
        2: np.full((1, 3), 2),
        3: np.empty((0, 3)),
    }
    rng = np.random.default_rng(0)
    drawn = [int(foreground_voxel(locations, rng)[0]) for _ in range(400)]
    assert set(drawn) == {1, 2}
    assert 150 < drawn.count(2) < 250


def test_a_case_without_foreground_has_no_voxel():
    assert foreground_voxel({0: np.zeros((4, 3))}, np.random.default_rng(0)) is None


def test_patches_reach_every_corner_and_stay_inside():
    rng = np.random.default_rng(0)
    starts = np.array([patch_start((9, 6), (4, 6), rng) for _ in range(200)])
    assert set(starts[:, 0]) == set(range(6))
    assert set(starts[:, 1]) == {0}


def test_the_patch_holds_the_voxel_it_was_cut_around():
    rng = np.random.default_rng(0)
    for centre in np.ndindex(10, 7, 3):
        start = np.array(patch_start((10, 7, 3), (4, 3, 5), rng, centre=np.array(centre)))
        assert np.all(start <= centre)
        assert np.all(centre < start + np.array([4, 3, 5]))


def test_a_small_image_is_centred_in_zeros():
    array = np.ones((2, 3, 8), dtype=np.float32)
    start = patch_start((3, 8), (6, 4), np.random.default_rng(0))
    patch = torch.full((2, 6, 4), 7.0)
    copy_patch(array, start, patch)
    expected = np.pad(np.ones((2, 3, 4)), [(0, 0), (1, 2), (0, 0)])
    np.testing.assert_array_equal(patch.numpy(), expected)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_a_patch_anywhere_is_that_of_a_padded_image(kind):
    array = np.random.default_rng(0).normal(size=(2, 5, 6, 7)).astype(np.float32)
    padded = np.pad(array, [(0, 0), (9, 9), (9, 9), (9, 9)])
    for start in [(0, 0, 0), (-3, 2, 4), (4, -1, -9), (-9, 6, 3), (5, 5, 6), (-2, -2, -2)]:
        out = torch.full((2, 9, 4, 3), 7.0)
        copy_patch(kind(array), start, out)
        at = tuple(slice(a + 9, a + 9 + p) for a, p in zip(start, (9, 4, 3), strict=True))
        np.testing.assert_array_equal(out.numpy(), padded[(slice(None), *at)])


def test_a_view_shares_memory_where_it_can():
    array = np.arange(60, dtype=np.float32).reshape(1, 3, 4, 5)
    view = view_patch(array, (1, 0, 2), (2, 3, 3))
    np.testing.assert_array_equal(view.numpy(), array[:, 1:3, 0:3, 2:5])
    assert np.shares_memory(view.numpy(), array)
    assert view_patch(array, (-1, 0, 0), (2, 2, 2)) is None
    assert view_patch(array, (2, 0, 0), (2, 2, 2)) is None
    assert view_patch(array.astype(np.int16), (0, 0, 0), (2, 2, 2)) is None
    array.flags.writeable = False
    assert view_patch(array, (0, 0, 0), (2, 2, 2)) is None


def test_only_the_patch_is_read():
    class Watched(np.ndarray):
        def __getitem__(self, key):
            out = super().__getitem__(key)
            assert out.size <= 8
            return out

    array = np.arange(1000, dtype=np.float32).reshape(10, 10, 10).view(Watched)
    patch = torch.empty((2, 2, 2))
    copy_patch(array, (3, 4, 5), patch)
    np.testing.assert_array_equal(patch.numpy(), np.asarray(array)[3:5, 4:6, 5:7])


BOXES = Boxes(
    np.array(
        [
            [0, 0, 0, 2, 2, 2],
            [10, 10, 10, 30, 30, 30],
            [5, 5, 5, 6, 6, 6.0],
            [1, 1, 1, 9, 9, 9],
        ]
    ),
    np.array([0, 0, 1, -1]),
)


def test_objects_are_chosen_evenly_by_class_whatever_their_size():
    rng = np.random.default_rng(0)
    drawn = [tuple(sampled_object(BOXES, rng)[:1]) for _ in range(600)]
    assert 240 < drawn.count((5.0,)) < 360
    assert 100 < drawn.count((0.0,)) < 200 and 100 < drawn.count((10.0,)) < 200
    assert (1.0,) not in drawn  # ignored


def test_without_objects_there_is_none_to_cut_around():
    rng = np.random.default_rng(0)
    assert sampled_object(Boxes.none(3), rng) is None
    assert sampled_object(BOXES[3:], rng) is None


def test_a_patch_holds_the_object_and_lies_everywhere_around_it():
    rng = np.random.default_rng(0)
    corners = np.array([7.4, 0, 2, 10.6, 3, 9])
    starts = np.array([start_around((20, 12, 5), (8, 6, 8), corners, rng) for _ in range(300)])
    assert set(starts[:, 0]) == {3, 4, 5, 6, 7}  # voxels 7 to 10 within 8
    assert set(starts[:, 1]) == {0}
    assert set(starts[:, 2]) == {-1}  # the image is the smaller


def test_an_object_larger_than_the_patch_is_cut_around_its_middle():
    rng = np.random.default_rng(0)
    corners = np.array([4.0, 4, 24, 24])
    assert start_around((30, 30), (8, 8), corners, rng) == (10, 10)
