import pytest
import torch
from torch.nn import functional

from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.losses import RegionLoss, binary_cross_entropy, region_masks

BRATS = LabelScheme(
    {"background": 0, "NCR": 1, "ED": 2, "ET": 4},
    {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)},
)


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, 4, generator=generator)
    index = torch.randint(0, 4, (2, 1, 5, 6, 4), generator=generator)
    return logits, region_masks(index, BRATS.region_indices())


def test_region_masks_unite_their_members():
    index = torch.tensor([0, 1, 2, 3]).view(1, 1, 2, 2)
    masks = region_masks(index, BRATS.region_indices())
    assert masks.shape == (1, 3, 2, 2)
    assert masks[0].flatten(1).int().tolist() == [[0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 1]]


@pytest.mark.parametrize("batch", [False, True])
def test_equals_monai_dice_plus_torch_bce(case, batch):
    from monai.losses import DiceLoss

    logits, masks = case
    expected = 0.5 * DiceLoss(sigmoid=True, batch=batch)(
        logits, masks.float()
    ) + 2.0 * functional.binary_cross_entropy_with_logits(logits, masks.float())
    loss = RegionLoss(batch=batch, dice_weight=0.5, ce_weight=2.0)(logits, masks)
    torch.testing.assert_close(loss, expected)


def test_bool_and_float_masks_agree(case):
    logits, masks = case
    torch.testing.assert_close(RegionLoss()(logits, masks), RegionLoss()(logits, masks.float()))


def test_weights_turn_the_mean_over_regions_into_a_weighted_one(case):
    logits, masks = case
    each = [
        functional.binary_cross_entropy_with_logits(logits[:, i], masks[:, i].float())
        for i in range(3)
    ]
    weights = torch.tensor([1.0, 0.0, 3.0])
    expected = (each[0] + 3 * each[2]) / 4
    loss = binary_cross_entropy(logits, masks, class_weights=weights)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("value", [-1e4, 0.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_absent_regions_give_finite_value_and_gradient(value, dtype):
    logits = torch.full((1, 3, 4, 4, 4), value, dtype=dtype, requires_grad=True)
    loss = RegionLoss()(logits, torch.zeros(1, 3, 4, 4, 4))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_one_region_works():
    masks = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    assert RegionLoss()(torch.full((1, 1, 4, 4), 20.0), masks).item() < 1e-4


def test_indices_instead_of_masks_are_refused(case):
    with pytest.raises(InputError, match="regions"):
        RegionLoss()(case[0], torch.zeros(2, 1, 5, 6, 4, dtype=torch.long))
