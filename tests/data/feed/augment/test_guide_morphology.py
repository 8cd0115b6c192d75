from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from scipy import ndimage

from medseg.data.feed.augment.guide_morphology import Change, RandomMorphology
from medseg.data.feed.augment.morphology import ball
from medseg.data.feed.batch import Batch
from medseg.errors import InputError

SHAPE = (3, 24, 20, 16)


def masks():
    """Three classes side by side, as one-hot masks."""
    index = np.zeros(SHAPE[1:], np.uint8)
    index[2:10, 4:14, 3:12], index[10:14, 4:14, 3:12], index[16:20, 6:10, 5:9] = 1, 2, 3
    return torch.stack([torch.from_numpy(index == k) for k in (1, 2, 3)]).float()


def test_what_a_class_gains_the_others_lose():
    image = masks()
    before = image.clone()
    RandomMorphology().change(image, [Change(0, "dilation", 2)])
    grown = ndimage.binary_dilation(before[0].numpy() > 0, ball(2, 3).numpy())
    assert np.array_equal(image[0].numpy() > 0, grown)
    assert np.array_equal(image[1].numpy() > 0, (before[1].numpy() > 0) & ~grown)
    assert (image.sum(0) <= 1).all() and set(image.unique().tolist()) == {0.0, 1.0}


def test_what_a_class_loses_nobody_gains():
    image = masks()
    before = image.clone()
    RandomMorphology().change(image, [Change(1, "erosion", 1)])
    assert image[1].sum() < before[1].sum()
    assert torch.equal(image[0], before[0]) and torch.equal(image[2], before[2])


def test_draws_are_nnunets():
    transform = RandomMorphology()
    drawn = [transform.draw(np.random.default_rng(seed), SHAPE) for seed in range(4000)]
    # Of the 40 % of samples that are meant, an eighth has no class drawn.
    assert sum(d is not None for d in drawn) / 4000 == pytest.approx(0.4 * (1 - 0.5**3), abs=0.03)
    changes = [change for d in drawn if d for change in d]
    assert len(changes) / 4000 == pytest.approx(0.4 * 3 * 0.5, abs=0.04)
    assert set(Counter(c.radius for c in changes)) == set(range(1, 9))
    for operator, count in Counter(c.operator for c in changes).items():
        assert count / len(changes) == pytest.approx(0.25, abs=0.04), operator
    orders = {tuple(c.channel for c in d) for d in drawn if d and len(d) == 3}
    assert len(orders) == 6


def test_a_sample_does_not_depend_on_its_batch():
    transform = RandomMorphology(p=1, p_class=1)
    image = torch.stack([masks(), masks().flip(1)])
    seeds = torch.tensor([5, 9])
    both = transform(Batch(image, None, seeds, ["a", "b"])).image
    alone = transform(Batch(image[1:], None, seeds[1:], ["b"])).image
    assert torch.equal(both[1:], alone)
    assert torch.equal(image[0], masks())


@pytest.mark.parametrize("radius", [(0, 3), (4, 2), (1,)])
def test_a_radius_that_is_no_range_is_refused(radius):
    with pytest.raises(InputError, match="radius must be a range"):
        RandomMorphology(radius=radius)
