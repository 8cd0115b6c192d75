from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medseg.data.feed.augment.guide_components import Drop, DropComponent, component

SHAPE = (20, 20, 20)


def islands():
    """One component of 1,600 voxels (a fifth of the patch) and two of 8 and 27."""
    mask = np.zeros(SHAPE, bool)
    mask[:4, :, :] = True
    mask[6:8, 2:4, 2:4] = True
    mask[12:15, 12:15, 12:15] = True
    return mask


@pytest.mark.parametrize(("place", "size"), [(0.0, 8), (0.49, 8), (0.5, 27), (0.999, 27)])
def test_each_small_component_has_its_turn(place, size):
    gone = component(islands(), place, largest=0.15)
    assert gone.sum() == size
    labelled, _ = ndimage.label(islands())
    assert len(np.unique(labelled[gone])) == 1


def test_a_component_as_large_as_the_limit_stays():
    mask = islands()
    mask[5:] = False
    assert component(mask, 0.5, largest=0.2) is None
    assert component(mask, 0.5, largest=0.2001).sum() == 1600
    assert component(np.zeros(SHAPE, bool), 0.5, largest=0.15) is None


def test_voxels_that_touch_by_a_corner_are_one_component():
    mask = np.zeros(SHAPE, bool)
    mask[1, 1, 1] = mask[2, 2, 2] = True
    assert component(mask, 0.0, largest=0.15).sum() == 2


def test_one_component_of_the_chosen_class_goes():
    image = torch.from_numpy(np.stack([islands(), islands()])).float()
    DropComponent().change(image, [Drop(1, 0.9)])
    assert torch.equal(image[0] > 0, torch.from_numpy(islands()))
    assert image[1].sum() == islands().sum() - 27
    assert not image[1, 12:15, 12:15, 12:15].any()


def test_draws_are_nnunets():
    transform = DropComponent()
    drawn = [transform.draw(np.random.default_rng(seed), (2, *SHAPE)) for seed in range(4000)]
    assert sum(d is not None for d in drawn) / 4000 == pytest.approx(0.2 * 0.75, abs=0.02)
    assert sum(len(d) for d in drawn if d) / 4000 == pytest.approx(0.2 * 2 * 0.5, abs=0.02)
