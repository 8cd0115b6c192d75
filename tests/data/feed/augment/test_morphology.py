"""Held against SciPy's binary morphology, which asks every voxel of the ball."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medseg.data.feed.augment.morphology import OPERATORS, ball, closing, dilate, erode, opening


def blobs(shape, seed=0):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    return noise > np.quantile(noise, 0.7)


@pytest.mark.parametrize("radius", [1, 2, 5, 8])
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_ball_is_what_lies_within_its_radius(radius, ndim):
    places = np.indices((2 * radius + 1,) * ndim) - radius
    assert np.array_equal(ball(radius, ndim).numpy(), (places**2).sum(0) <= radius**2)


@pytest.mark.parametrize("shape", [(33, 20), (17, 22, 13)])
@pytest.mark.parametrize("radius", [1, 3, 8])
def test_operators_are_scipys(shape, radius):
    mask = blobs(shape)
    structure = ball(radius, len(shape)).numpy()

    def grown(array):
        return ndimage.binary_dilation(array, structure)

    def shrunk(array):  # what lies beyond the border counts as part of the mask
        return ndimage.binary_erosion(array, structure, border_value=1)

    expected = {
        "dilation": grown(mask),
        "erosion": shrunk(mask),
        "opening": grown(shrunk(mask)),
        "closing": shrunk(grown(mask)),
    }
    assert expected.keys() == OPERATORS.keys()
    for name, operator in OPERATORS.items():
        found = operator(torch.from_numpy(mask), radius)
        assert found.dtype == torch.bool
        assert np.array_equal(found.numpy(), expected[name]), name


def test_nothing_and_everything_stay_what_they_are():
    nothing = torch.zeros(9, 8, 7, dtype=torch.bool)
    for operator in (dilate, erode, opening, closing):
        assert not operator(nothing, 4).any()
        assert operator(~nothing, 4).all()


def test_a_ball_larger_than_the_image_is_fine():
    one = torch.zeros(3, 4, 5, dtype=torch.bool)
    one[1, 1, 1] = True
    assert dilate(one, 8).all()
    assert not erode(one, 8).any()
