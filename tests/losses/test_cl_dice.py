import numpy as np
import pytest
import torch

from medseg.errors import InputError
from medseg.losses import Comparison, DiceCLDiceLoss, DiceLoss, cl_dice_loss, soft_skeleton


@pytest.mark.parametrize("shape", [(2, 3, 9, 8), (2, 2, 6, 7, 8)])
@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_skeleton_equals_monai(shape, iterations):
    from monai.losses.cldice import soft_skel

    masks = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(soft_skeleton(masks, iterations), soft_skel(masks, iterations))


@pytest.mark.parametrize("shape", [(1, 1, 9, 8), (1, 1, 6, 7, 8)])
def test_equals_monai(shape):
    from monai.losses import SoftclDiceLoss as Oracle

    generator = torch.Generator().manual_seed(0)
    p = torch.rand(shape, generator=generator)
    masks = (torch.rand(shape, generator=generator) > 0.6).float()
    expected = Oracle(smooth=1e-12)(p, masks)
    torch.testing.assert_close(cl_dice_loss(p, masks), expected)


def thinned(mask, valid, iterations):
    """Thin one mask voxel by voxel, as if those that take no part were not there."""
    voxels = [tuple(v) for v in np.argwhere(valid)]

    def over(values, extreme, near):
        out = np.zeros_like(values)
        for v in voxels:
            out[v] = extreme(values[u] for u in voxels if near(np.abs(np.subtract(u, v))))
        return out

    def eroded(values):
        return over(values, min, lambda away: away.sum() <= 1)

    def dilated(values):
        return over(values, max, lambda away: away.max() <= 1)

    skeleton = np.maximum(mask - dilated(eroded(mask)), 0) * valid
    for _ in range(iterations):
        mask = eroded(mask)
        rest = np.maximum(mask - dilated(eroded(mask)), 0) * valid
        skeleton = skeleton + np.maximum(rest - skeleton * rest, 0)
    return skeleton


@pytest.mark.parametrize("shape", [(7, 6), (4, 4, 5)])
def test_voxels_that_take_no_part_are_passed_by(shape):
    rng = np.random.default_rng(0)
    mask, valid = rng.random(shape), rng.random(shape) > 0.25
    masks, take = torch.from_numpy(mask * valid)[None, None], torch.from_numpy(valid)[None, None]
    found = soft_skeleton(masks, 2, valid=take)[0, 0].numpy()
    np.testing.assert_allclose(found, thinned(mask * valid, valid, 2), atol=1e-12)
    assert (found[~valid] == 0).all()


def vessel(dims, size=15, radius=2):
    """Make a straight vessel along the first axis; in the middle of the others."""
    place = np.indices((size,) * dims)[1:] - size // 2
    return torch.from_numpy((np.abs(place).max(0) <= radius).astype(np.float32))[None, None]


@pytest.mark.parametrize("dims", [2, 3])
def test_the_skeleton_of_a_vessel_is_its_centre_line(dims):
    skeleton = soft_skeleton(vessel(dims), 5)
    torch.testing.assert_close(skeleton, vessel(dims, radius=0))


@pytest.mark.parametrize("dims", [2, 3])
def test_a_thinner_vessel_is_perfect_and_a_broken_one_is_not(dims):
    true = vessel(dims)
    thinner, broken = vessel(dims, radius=1), true.clone()
    broken[:, :, 5:10] = 0
    assert cl_dice_loss(thinner, true, smooth=1e-5).item() == pytest.approx(0.0, abs=1e-5)
    # The broken vessel's line lies inside the true one; it covers 10 of its 15 voxels.
    found = cl_dice_loss(broken, true, smooth=1e-5).item()
    assert found == pytest.approx(1 - 2 * (10 / 15) / (1 + 10 / 15), abs=0.02)


def test_a_class_that_is_not_there_costs_what_is_predicted_of_it():
    nothing = torch.zeros(1, 1, 15, 15)
    assert cl_dice_loss(nothing, nothing).item() == 0.0
    # Σ skeleton = 15: precision 1 / 16, recall 1.
    found = cl_dice_loss(vessel(2), nothing).item()
    assert found == pytest.approx(1 - 2 * (1 / 16) / (1 + 1 / 16))


def test_dice_cl_dice_is_the_sum_of_its_parts():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 9, 8, generator=generator)
    target = torch.randint(0, 3, (2, 1, 9, 8), generator=generator)
    seen = Comparison(logits, target)
    lines = cl_dice_loss(seen.probabilities, seen.masks, iterations=2)
    loss = DiceCLDiceLoss(iterations=2, dice_weight=0.3, cl_dice_weight=2.0)(logits, target)
    torch.testing.assert_close(loss, 0.3 * DiceLoss()(logits, target) + 2.0 * lines)


def test_negative_iterations_are_refused():
    with pytest.raises(InputError, match="iterations"):
        soft_skeleton(torch.zeros(1, 1, 4, 4), -1)
