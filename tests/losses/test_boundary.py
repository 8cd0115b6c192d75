import pytest
import torch

from medseg.losses import Comparison, DiceBoundaryLoss, DiceLoss, boundary_loss


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, 4, generator=generator)
    target = torch.randint(0, 3, (2, 1, 5, 6, 4), generator=generator)
    return logits, target


@pytest.mark.parametrize("background", [False, True])
def test_equals_monai(case, background):
    oracle = pytest.importorskip("monai.losses").BoundaryLoss
    logits, target = case
    expected = oracle(include_background=background, softmax=True, to_onehot_y=True)(logits, target)
    seen = Comparison(logits, target)
    found = boundary_loss(seen.probabilities, seen.masks, include_background=background)
    torch.testing.assert_close(found, expected)


def test_by_hand():
    mask = torch.tensor([0.0, 0, 1, 1, 1, 0]).view(1, 1, 1, 6)
    p = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).view(1, 1, 1, 6)
    # φ = 2 1 0 -1 0 1
    expected = (0.1 * 2 + 0.2 * 1 - 0.4 * 1 + 0.6 * 1) / 6
    assert boundary_loss(p, mask).item() == pytest.approx(expected)


def test_the_truth_costs_least():
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:6, 2:6] = 1
    best = boundary_loss(mask, mask)
    for _ in range(20):
        assert (
            boundary_loss((torch.rand(mask.shape, generator=generator) > 0.5).float(), mask) > best
        )


def test_spacing_stretches_the_distances():
    mask = torch.zeros(1, 1, 5, 5)
    mask[..., 2, 2] = 1
    p = torch.zeros(1, 1, 5, 5)
    p[..., 0, 2] = 1
    assert boundary_loss(p, mask, spacing=(3, 1)).item() == pytest.approx(6 / 25)
    assert boundary_loss(p, mask, spacing=(1, 3)).item() == pytest.approx(2 / 25)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_class_without_boundary_costs_nothing(value):
    assert boundary_loss(torch.rand(1, 1, 4, 4), torch.full((1, 1, 4, 4), value)).item() == 0.0


def test_dice_boundary_is_the_sum_of_its_parts(case):
    seen = Comparison(*case)
    loss = DiceBoundaryLoss(dice_weight=0.3, boundary_weight=2.0, spacing=(1, 2, 3))
    boundary = boundary_loss(seen.probabilities, seen.masks, spacing=(1, 2, 3))
    torch.testing.assert_close(loss(*case), 0.3 * DiceLoss()(*case) + 2.0 * boundary)
