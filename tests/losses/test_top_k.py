import numpy as np
import pytest
import torch
from torch.nn import functional

from medseg.errors import InputError
from medseg.losses import CrossEntropyLoss, DiceLoss, DiceTopKLoss, RegionLoss, TopKLoss, top_k_loss


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, 4, generator=generator)
    target = torch.randint(0, 3, (2, 1, 5, 6, 4), generator=generator)
    return logits, target


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.33, 1.0])
def test_is_the_mean_of_the_largest_entropies(case, fraction):
    logits, target = case
    each = functional.cross_entropy(logits, target[:, 0], reduction="none").numpy().ravel()
    count = max(1, int(np.ceil(fraction * len(each))))
    expected = np.sort(each)[-count:].mean()
    assert TopKLoss(fraction=fraction)(logits, target).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weights", [None, [0.2, 1.0, 3.0]])
def test_all_voxels_are_cross_entropy(case, weights):
    expected = CrossEntropyLoss(class_weights=weights)(*case)
    torch.testing.assert_close(TopKLoss(fraction=1.0, class_weights=weights)(*case), expected)


def test_all_voxels_of_regions_are_binary_cross_entropy(case):
    masks = torch.rand(case[0].shape) > 0.5
    expected = RegionLoss(dice_weight=0.0)(case[0], masks)
    torch.testing.assert_close(TopKLoss(fraction=1.0, regions=True)(case[0], masks), expected)


def test_weights_say_which_voxels_are_worst():
    entropy = torch.tensor([1.0, 2.0, 3.0, 4.0])
    weights = torch.tensor([9.0, 2.0, 1.0, 1.0])
    # Weighted 9, 4, 3, 4: one of them is the first; three leave out the third.
    assert top_k_loss(entropy, weights, fraction=0.25).item() == pytest.approx(1.0)
    assert top_k_loss(entropy, weights, fraction=0.75).item() == pytest.approx(17 / 12)


def test_the_fraction_is_of_the_voxels_that_take_part():
    logits = torch.zeros(1, 2, 10, 10)
    logits[:, 1, 0, :5] = 9.0  # five voxels for certain wrong, of ten that take part
    target = torch.zeros(1, 1, 10, 10, dtype=torch.long)
    valid = torch.zeros(1, 1, 10, 10, dtype=torch.bool)
    valid[:, :, 0] = True
    found = TopKLoss(fraction=0.5)(logits, target, valid)
    assert found.item() == pytest.approx(9.0, abs=1e-3)


def test_a_tenth_of_thirty_is_three():
    assert top_k_loss(torch.arange(30.0), fraction=0.1).item() == 28.0


def test_only_the_worst_get_a_gradient(case):
    logits = case[0].clone().requires_grad_()
    TopKLoss(fraction=0.1)(logits, case[1]).backward()
    assert logits.grad.ne(0).any(1).sum() == np.ceil(0.1 * case[1].numel())


def test_dice_top_k_is_the_sum_of_its_parts(case):
    loss = DiceTopKLoss(fraction=0.2, dice_weight=0.3, top_k_weight=2.0)
    expected = 0.3 * DiceLoss()(*case) + 2.0 * TopKLoss(fraction=0.2)(*case)
    torch.testing.assert_close(loss(*case), expected)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 10])
def test_a_fraction_that_is_none_is_refused(case, fraction):
    with pytest.raises(InputError, match="fraction"):
        TopKLoss(fraction=fraction)(*case)
