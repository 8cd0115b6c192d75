import pytest
import torch

from medseg.errors import InputError
from medseg.losses import (
    CrossEntropyLoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    RegionLoss,
    focal_loss,
)


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, 4, generator=generator)
    target = torch.randint(0, 3, (2, 1, 5, 6, 4), generator=generator)
    return logits, target


@pytest.fixture
def regions(case):
    return case[0], torch.rand(2, 3, 5, 6, 4, generator=torch.Generator().manual_seed(1)) > 0.5


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_follows_the_paper(p, gamma):
    entropy = -torch.tensor([p], dtype=torch.float64).log()
    expected = (1 - p) ** gamma * entropy.item()
    assert focal_loss(entropy, gamma=gamma).item() == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_equals_monai_for_regions(regions, gamma):
    from monai.losses import FocalLoss as Oracle

    logits, masks = regions
    expected = Oracle(gamma=gamma)(logits, masks.float())
    torch.testing.assert_close(FocalLoss(gamma=gamma, regions=True)(logits, masks), expected)


def test_equals_monai_for_classes(case):
    from monai.losses import FocalLoss as Oracle

    # MONAI averages over the classes too, of which all but the true one are 0.
    expected = 3 * Oracle(gamma=2.0, use_softmax=True, to_onehot_y=True)(*case)
    torch.testing.assert_close(FocalLoss()(*case), expected)


@pytest.mark.parametrize("weights", [None, [0.2, 1.0, 3.0]])
def test_gamma_of_zero_is_cross_entropy(case, regions, weights):
    of_classes = FocalLoss(gamma=0.0, class_weights=weights)
    expected = CrossEntropyLoss(class_weights=weights)(*case)
    torch.testing.assert_close(of_classes(*case), expected)
    of_regions = FocalLoss(gamma=0.0, class_weights=weights, regions=True)
    expected = RegionLoss(dice_weight=0.0, class_weights=weights)(*regions)
    torch.testing.assert_close(of_regions(*regions), expected)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_certain_voxels_have_a_finite_gradient(gamma):
    logits = torch.tensor([[1e4, -1e4]]).view(1, 2, 1, 1).requires_grad_()
    FocalLoss(gamma=gamma)(logits, torch.zeros(1, 1, 1, 1).long()).backward()
    assert torch.isfinite(logits.grad).all()


def test_gradient_is_right():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 3, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    target = torch.randint(0, 3, (2, 3, 2), generator=generator)
    assert torch.autograd.gradcheck(lambda x: FocalLoss()(x, target), logits)


def test_dice_focal_is_the_sum_of_its_parts(case):
    weights = [0.5, 1.0, 2.0]
    loss = DiceFocalLoss(gamma=3.0, dice_weight=0.3, focal_weight=2.0, class_weights=weights)
    dice, focal = DiceLoss(class_weights=weights), FocalLoss(gamma=3.0, class_weights=weights)
    torch.testing.assert_close(loss(*case), 0.3 * dice(*case) + 2.0 * focal(*case))


def test_negative_gamma_is_refused(case):
    with pytest.raises(InputError, match="gamma"):
        FocalLoss(gamma=-1.0)(*case)
