import pytest
import torch

from medseg.losses import Comparison, DiceHausdorffLoss, DiceLoss, hausdorff_loss


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 3, 5, 6, 4, generator=generator)
    target = torch.randint(0, 3, (2, 1, 5, 6, 4), generator=generator)
    return logits, target


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_equals_monai(case, background, alpha):
    from monai.losses import HausdorffDTLoss as Oracle

    oracle = Oracle(alpha=alpha, include_background=background, softmax=True, to_onehot_y=True)
    seen = Comparison(*case)
    found = hausdorff_loss(
        seen.probabilities, seen.masks, alpha=alpha, include_background=background
    )
    torch.testing.assert_close(found, oracle(*case))


def test_gradient_equals_monai(case):
    from monai.losses import HausdorffDTLoss as Oracle

    logits, target = case
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    seen = Comparison(ours, target)
    hausdorff_loss(seen.probabilities, seen.masks).backward()
    Oracle(softmax=True, to_onehot_y=True)(theirs, target).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_an_error_far_away_costs_by_the_square_of_its_distance():
    mask = torch.zeros(1, 1, 1, 12)
    mask[..., 0] = 1

    def cost(at):
        pred = mask.clone()
        pred[..., at] = 0.4  # below one half: the predicted boundary stays
        return hausdorff_loss(pred, mask).item()

    assert cost(4) == pytest.approx(0.4**2 * 2 * 4**2 / 12)
    assert cost(8) == pytest.approx(4 * cost(4))


def test_spacing_stretches_the_distances():
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 0, 0] = 1
    pred = mask.clone()
    pred[..., 3, 0] = 0.4
    finer = hausdorff_loss(pred, mask, spacing=(1, 2))
    torch.testing.assert_close(hausdorff_loss(pred, mask, spacing=(2, 1)), 4 * finer)


def test_neither_with_a_boundary_costs_nothing():
    pred = torch.full((1, 1, 4, 4), 0.3)
    assert hausdorff_loss(pred, torch.zeros(1, 1, 4, 4)).item() == 0.0
    assert hausdorff_loss(pred + 0.5, torch.ones(1, 1, 4, 4)).item() == 0.0


def test_both_parts_of_dice_hausdorff_are_equally_large(case):
    dice = DiceLoss()(*case)
    torch.testing.assert_close(DiceHausdorffLoss()(*case), 2 * dice)
    torch.testing.assert_close(DiceHausdorffLoss(hausdorff_weight=0.5)(*case), 1.5 * dice)


def test_the_factor_between_them_is_no_part_of_the_gradient(case):
    logits, target = case
    total, parts = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    DiceHausdorffLoss()(total, target).backward()
    seen = Comparison(parts, target)
    dice, far = DiceLoss()(parts, target), hausdorff_loss(seen.probabilities, seen.masks)
    (dice + far * (dice / far).item()).backward()
    torch.testing.assert_close(total.grad, parts.grad)


def test_a_settled_boundary_is_not_enlarged():
    target = torch.zeros(1, 1, 8, 8, dtype=torch.long)
    target[..., 2:6, 2:6] = 1
    logits = torch.zeros(1, 2, 8, 8)
    logits[:, 1] = 8.0 * target[:, 0] - 4.0
    seen = Comparison(logits, target)
    far, dice = hausdorff_loss(seen.probabilities, seen.masks), DiceLoss()(logits, target)
    assert far < 0.01
    torch.testing.assert_close(DiceHausdorffLoss()(logits, target), dice + far * dice / 0.01)
