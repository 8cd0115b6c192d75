from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medseg.labels import IGNORED
from medseg.tracking.overlays import COLOURS, best_slice, contour, overlay, same_size


def case(shape=(6, 8, 5), channels=1):
    image = np.random.default_rng(0).normal(size=(channels, *shape)).astype(np.float32)
    return image, np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)


def test_slice_shows_most_of_the_reference_whatever_was_predicted():
    _, target, preds = case()
    target[1:3, 1:3, 3] = 1
    preds[:, :, 0] = 1
    assert best_slice(target, preds) == 3
    assert best_slice(np.zeros_like(target), preds) == 0
    assert best_slice(np.zeros_like(target), np.zeros_like(preds)) == 2


def test_contour_is_the_mask_without_its_erosion():
    mask = np.random.default_rng(1).random((20, 17)) > 0.4
    cross = ndimage.generate_binary_structure(2, 1)
    expected = mask & ~ndimage.binary_erosion(mask, cross, border_value=0)
    assert (contour(mask) == expected).all()


def test_axial_slice_has_anterior_up_and_the_patients_right_at_the_left():
    image, target, preds = case()
    preds[5, 7, 2] = 1  # rightmost, most anterior voxel in RAS
    picture = overlay(image, target, preds, size=8)
    assert picture.shape == (8, 6, 3)
    assert (picture[0, 0] == COLOURS[0]).all()


def test_picture_in_2d_lies_as_it_is():
    image, target, preds = case(shape=(4, 9))
    preds[0, 8] = 2
    picture = overlay(image, target, preds, size=9)
    assert picture.shape == (4, 9, 3)
    assert (picture[0, 8] == COLOURS[1]).all()


def test_channels_stand_side_by_side_up_to_the_limit():
    image, target, preds = case(channels=5)
    assert overlay(image, target, preds, size=16).shape == (16, 4 * 12, 3)
    assert overlay(image, target, preds, channels=2, size=8).shape == (8, 2 * 6, 3)


def test_without_labels_the_picture_is_grey():
    image, _, preds = case()
    picture = overlay(image, None, preds)
    assert picture.dtype == np.uint8
    assert (picture == picture[..., :1]).all()


def test_reference_tints_and_prediction_outlines():
    image = np.zeros((1, 20, 20), np.float32)
    target, preds = np.zeros((2, 20, 20), np.uint8)
    target[2:8, 2:8] = 1
    preds[10:18, 10:18] = 1
    picture = overlay(image, target, preds, size=20)
    assert (picture[4, 4] == (0.35 * COLOURS[0]).round()).all()
    assert (picture[10, 10] == COLOURS[0]).all()
    assert (picture[14, 14] == 0).all()


def test_constant_image_does_not_divide_by_zero():
    _, target, preds = case()
    with np.errstate(all="raise"):
        assert overlay(np.full((1, 6, 8, 5), 7.0), target, preds).max() == 0


def test_shapes_must_agree():
    image, target, preds = case()
    with pytest.raises(ValueError, match="shapes differ"):
        overlay(image, target[:-1], preds)


def test_pictures_of_a_panel_get_one_size_and_stay_centred():
    small, wide = np.ones((2, 2, 3), np.uint8), np.ones((4, 6, 3), np.uint8)
    out = same_size([small, wide])
    assert {picture.shape for picture in out} == {(4, 6, 3)}
    assert (out[0][1:3, 2:4] == 1).all()
    assert out[0].sum() == small.sum()


def test_voxels_to_ignore_stay_grey():
    image, target, preds = case()
    plain = overlay(image, target, preds)
    target[:, :, 1] = IGNORED
    assert (overlay(image, target, preds) == plain).all()
