from __future__ import annotations

import numpy as np
import pytest

from medseg.data.feed.sampling import forced_foreground, foreground_voxel, patch_start, read_patch


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
    patch = read_patch(array, start, (6, 4))
    expected = np.pad(np.ones((2, 3, 4)), [(0, 0), (1, 2), (0, 0)])
    np.testing.assert_array_equal(patch, expected)


def test_only_the_patch_is_read():
    class Watched(np.ndarray):
        def __getitem__(self, key):
            out = super().__getitem__(key)
            assert out.size <= 8
            return out

    array = np.arange(1000).reshape(10, 10, 10).view(Watched)
    patch = read_patch(array, (3, 4, 5), (2, 2, 2))
    np.testing.assert_array_equal(patch, np.asarray(array)[3:5, 4:6, 5:7])
