import numpy as np
import pytest
import torch

from medseg.errors import InputError
from medseg.losses import DiceLoss, FocalTverskyLoss, TverskyLoss, tversky_loss


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, 4, generator=generator)
    target = torch.randint(0, 3, (2, 1, 5, 6, 4), generator=generator)
    return logits, target


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("batch", [False, True])
def test_equals_monai(case, background, batch):
    from monai.losses import TverskyLoss as Oracle

    ours = TverskyLoss(alpha=0.2, beta=0.9, include_background=background, batch=batch)
    oracle = Oracle(
        include_background=background,
        batch=batch,
        softmax=True,
        to_onehot_y=True,
        alpha=0.2,
        beta=0.9,
    )
    torch.testing.assert_close(ours(*case), oracle(*case))


def test_half_and_half_is_dice(case):
    ours = TverskyLoss(alpha=0.5, beta=0.5, smooth=1e-9)
    torch.testing.assert_close(ours(*case), DiceLoss(smooth=1e-9)(*case))


def test_focal_tversky_is_the_mean_of_a_power(case):
    logits, target = case
    p = torch.softmax(logits, 1).double().numpy()
    t = np.eye(3)[target[:, 0].numpy()].transpose(0, 4, 1, 2, 3)
    tp, fp, fn = (x.sum((2, 3, 4)) for x in (p * t, p * (1 - t), (1 - p) * t))
    index = tp / (tp + 0.3 * fp + 0.7 * fn)
    expected = ((1 - index[:, 1:]) ** 0.75).mean()
    assert FocalTverskyLoss()(logits, target).item() == pytest.approx(expected, rel=1e-5)


def test_a_missed_voxel_costs_more_than_a_false_one():
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2, :] = 1
    more, fewer = mask.clone(), mask.clone()
    more[..., 2, 0] = 1
    fewer[..., 1, 0] = 0
    assert tversky_loss(more, mask).item() == pytest.approx(1 - 8 / 8.3, rel=1e-4)
    assert tversky_loss(fewer, mask).item() == pytest.approx(1 - 7 / 7.7, rel=1e-4)


def test_a_class_that_is_not_there_costs_its_false_positives():
    p = torch.full((1, 1, 4, 4), 0.5)
    loss = tversky_loss(p, torch.zeros(1, 1, 4, 4), smooth=1.0)
    assert loss.item() == pytest.approx(1 - 1 / (0.3 * 8 + 1))


@pytest.mark.parametrize("exponent", [0.25, 0.75, 1.0])
def test_a_perfect_class_has_a_finite_gradient_under_a_root(exponent):
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2, :] = 1
    p = mask.clone().requires_grad_()
    loss = tversky_loss(p, mask, exponent=exponent)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-7)
    assert torch.isfinite(p.grad).all()


@pytest.mark.parametrize(
    "wrong", [{"alpha": -1}, {"beta": -0.1}, {"exponent": 0}, {"alpha": 0, "beta": 0}]
)
def test_impossible_numbers_are_refused(case, wrong):
    with pytest.raises(InputError, match="alpha and beta"):
        TverskyLoss(**wrong)(*case)
