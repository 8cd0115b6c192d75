import numpy as np
import pytest
import torch

from medseg.losses import GeneralisedDiceLoss, generalised_dice_loss


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, 4, generator=generator)
    target = torch.randint(0, 9, (2, 1, 5, 6, 4), generator=generator).clamp_max(2)
    return logits, target


def test_follows_the_paper_in_numpy(case):
    logits, target = case
    p = torch.softmax(logits, 1).double().numpy()
    t = np.eye(3)[target[:, 0].numpy()].transpose(0, 4, 1, 2, 3)
    space = (2, 3, 4)
    w = 1 / t.sum(space) ** 2
    ratio = (w * (p * t).sum(space)).sum(1) / (w * (p + t).sum(space)).sum(1)
    expected = (1 - 2 * ratio).mean()
    found = GeneralisedDiceLoss(smooth=1e-12)(logits, target).item()
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("absent", [None, 1, 2])
def test_equals_monai(case, background, batch, absent):
    from monai.losses import GeneralizedDiceLoss as Oracle

    logits, target = case
    target = torch.where(target == absent, 0, target) if absent else target
    ours = GeneralisedDiceLoss(include_background=background, batch=batch, smooth=1e-12)
    oracle = Oracle(
        include_background=background,
        batch=batch,
        softmax=True,
        to_onehot_y=True,
        smooth_nr=0.0,
        smooth_dr=0.0,
    )
    torch.testing.assert_close(ours(logits, target), oracle(logits, target))


def test_a_class_of_one_voxel_counts_as_much_as_one_of_many():
    index = torch.zeros(1, 1, 8, 8, dtype=torch.long)
    index[..., 4:, :] = 1
    index[..., 0, 0] = 2
    masks = torch.cat([index == i for i in range(3)], 1).float()
    without_small, without_large = masks.clone(), masks.clone()
    without_small[:, 2] = 0
    without_large[:, 1] = 0
    small = generalised_dice_loss(without_small, masks, include_background=False)
    large = generalised_dice_loss(without_large, masks, include_background=False)
    # Of w·(Σp + Σt): the voxel alone weighs 1 · 2, the 32 voxels 1/32² · 64.
    assert small.item() == pytest.approx(1 - 2 * (1 / 32) / (1 + 2 / 32), rel=1e-4)
    assert large.item() == pytest.approx(1 - 2 / (2 + 1 / 32), rel=1e-4)


def test_class_weights_are_factors_beside_the_volumes(case):
    p, t = torch.softmax(case[0], 1), case[1]
    # A weight of 0 is as good as a class that is not there.
    found = generalised_dice_loss(p, t, class_weights=torch.tensor([1.0, 1.0, 0.0]))
    masks = torch.cat([t == i for i in range(2)], 1)
    torch.testing.assert_close(found, generalised_dice_loss(p[:, :2], masks))


def test_a_patch_without_any_class_costs_its_false_positives():
    p = torch.full((1, 2, 4, 4), 0.5)
    loss = generalised_dice_loss(p, torch.zeros(1, 2, 4, 4), smooth=1.0)
    assert loss.item() == pytest.approx(1 - 1 / (16 + 1))
