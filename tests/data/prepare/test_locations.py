from __future__ import annotations

import numpy as np
import pytest

from medseg.data.prepare.locations import count_voxels, pack, sample_locations, unpack
from medseg.labels import IGNORED


def test_few_locations_are_all_kept_and_many_are_sampled_evenly():
    label = np.zeros((60, 60, 60), np.uint8)
    label[:, :30] = 1
    label[5, 40, 5:8] = 2
    found = sample_locations(label)
    assert sorted(found) == [1, 2]
    assert found[2].tolist() == [[5, 40, 5], [5, 40, 6], [5, 40, 7]]
    assert len(found[1]) == 10_000
    assert len(np.unique(found[1], axis=0)) == 10_000
    assert (label[tuple(found[1].T)] == 1).all()
    assert found[1].mean(axis=0) == pytest.approx([29.5, 14.5, 29.5], abs=0.6)
    assert np.array_equal(found[1], sample_locations(label)[1])


def test_of_a_huge_class_one_percent_is_kept():
    assert len(sample_locations(np.ones((50, 50, 50), np.uint8), most=100)[1]) == 1250


def test_an_empty_label_has_no_locations():
    assert sample_locations(np.zeros((4, 5), np.uint8)) == {}


def test_packed_locations_come_back_as_they_were():
    label = np.random.default_rng(0).integers(0, 5, (7, 8, 9)).astype(np.uint8)
    label[label == 2] = 0
    found = sample_locations(label)
    packed = pack(found, label.shape)
    assert packed.dtype == np.uint16
    again = unpack(packed, {k: len(v) for k, v in found.items()})
    assert again.keys() == found.keys() == {1, 3, 4}
    assert all(np.array_equal(again[k], found[k]) for k in found)


def test_of_nothing_nothing_is_packed():
    assert pack({}, (4, 5)).shape == (0, 2)
    assert unpack(np.zeros((0, 2)), {}) == {}


def test_long_axes_take_wider_numbers():
    assert pack({1: np.array([[70_000, 1]])}, (80_000, 2)).tolist() == [[70_000, 1]]


def test_voxels_are_counted_as_by_hand():
    label = np.random.default_rng(0).integers(0, 3, (130, 90, 100)).astype(np.uint8)
    assert count_voxels(label, 4) == tuple(int((label == i).sum()) for i in range(4))


def test_ignored_voxels_are_no_foreground_and_of_no_class():
    label = np.zeros((4, 5), np.uint8)
    label[0], label[1] = 1, IGNORED
    assert sorted(sample_locations(label)) == [1]
    assert count_voxels(label, 3) == (10, 5, 0)
