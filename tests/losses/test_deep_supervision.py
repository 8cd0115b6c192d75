import pytest
import torch

from medseg.errors import InputError
from medseg.losses import DeepSupervisionLoss, DiceCELoss, RegionLoss
from medseg.losses.deep_supervision import deep_supervision_weights, downsample_nearest


@pytest.fixture
def target():
    return torch.randint(0, 3, (2, 1, 8, 8, 8), generator=torch.Generator().manual_seed(0))


def heads(*sizes, outputs=3):
    return [torch.randn(2, outputs, n, n, n) for n in sizes]


def falling(loss):
    return DeepSupervisionLoss(loss, weights=deep_supervision_weights(3))


def test_weights_halve_and_leave_out_the_coarsest():
    assert deep_supervision_weights(1) == (1.0,)
    assert deep_supervision_weights(4) == pytest.approx((4 / 7, 2 / 7, 1 / 7, 0.0))


def test_plain_tensor_passes_through(target):
    logits = heads(8)[0]
    expected = DiceCELoss()(logits, target)
    assert DeepSupervisionLoss(DiceCELoss())(logits, target) == expected
    assert DeepSupervisionLoss(DiceCELoss())([logits], target) == expected
    assert DeepSupervisionLoss(DiceCELoss())(logits, target.squeeze(1)) == expected


def test_list_is_the_weighted_sum(target):
    logits = heads(8, 4, 2)
    expected = (
        2 * DiceCELoss()(logits[0], target)
        + 1 * DiceCELoss()(logits[1], target[..., 1::2, 1::2, 1::2])
    ) / 3
    torch.testing.assert_close(DeepSupervisionLoss(DiceCELoss())(logits, target), expected)


def test_heads_of_one_resolution_weigh_the_same(target):
    logits = heads(8, 8, 8)
    expected = sum(DiceCELoss()(head, target) for head in logits) / 3
    torch.testing.assert_close(DeepSupervisionLoss(DiceCELoss())(logits, target), expected)


def test_given_weights_are_normalised(target):
    logits = heads(8, 4)
    loss = DeepSupervisionLoss(DiceCELoss(), weights=[3.0, 1.0])(logits, target)
    coarse = downsample_nearest(target, (4, 4, 4))
    expected = 0.75 * DiceCELoss()(logits[0], target) + 0.25 * DiceCELoss()(logits[1], coarse)
    torch.testing.assert_close(loss, expected)


def test_stacked_heads_of_dynunet_equal_a_list(target):
    logits = heads(8, 8, 8)
    stacked = torch.stack(logits, dim=1)
    loss = DeepSupervisionLoss(DiceCELoss())
    torch.testing.assert_close(loss(stacked, target), falling(DiceCELoss())(logits, target))


@pytest.mark.parametrize("regions", [1, 3])
def test_stacked_heads_of_regions_equal_a_list(regions):
    logits = [torch.randn(2, regions, 8, 8) for _ in range(3)]
    masks = torch.rand(2, regions, 8, 8) > 0.5
    found = DeepSupervisionLoss(RegionLoss())(torch.stack(logits, 1), masks)
    torch.testing.assert_close(found, falling(RegionLoss())(logits, masks))


def test_stacked_heads_in_two_dimensions_are_not_taken_for_a_volume():
    logits = [torch.randn(2, 3, 8, 8) for _ in range(3)]
    target = torch.randint(0, 3, (2, 1, 8, 8))
    found = DeepSupervisionLoss(DiceCELoss())(torch.stack(logits, 1), target)
    torch.testing.assert_close(found, falling(DiceCELoss())(logits, target))


def test_real_dynunet_output_is_accepted(target):
    from monai.networks.nets import DynUNet

    network = DynUNet(
        3, 1, 3, [3] * 4, [1, 2, 2, 2], [2, 2, 2], filters=[4] * 4,
        deep_supervision=True, deep_supr_num=2,
    )  # fmt: skip
    loss = DeepSupervisionLoss(DiceCELoss())(network(torch.randn(2, 1, 16, 16, 16)),
                                             torch.zeros(2, 1, 16, 16, 16).long())  # fmt: skip
    assert torch.isfinite(loss)


@pytest.mark.parametrize(("fine", "coarse"), [((8, 8), (4, 4)), ((7, 9), (4, 5)), ((6, 4), (6, 2))])
def test_downsampling_equals_nearest_exact(fine, coarse):
    image = torch.arange(fine[0] * fine[1]).view(1, 1, *fine)
    expected = torch.nn.functional.interpolate(image.float(), coarse, mode="nearest-exact")
    torch.testing.assert_close(downsample_nearest(image, coarse).float(), expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.float32])
def test_downsampling_keeps_the_type_and_invents_no_label(dtype):
    target = torch.tensor([0, 2, 0, 2]).repeat(4).view(1, 1, 4, 4).to(dtype)
    coarse = downsample_nearest(target, (2, 2))
    assert coarse.dtype == dtype
    assert set(coarse.unique().tolist()) <= set(target.unique().tolist())


def test_head_of_weight_zero_gets_no_gradient(target):
    logits = [head.requires_grad_() for head in heads(8, 4)]
    DeepSupervisionLoss(DiceCELoss())(logits, target).backward()
    assert logits[0].grad is not None
    assert logits[1].grad is None


def test_wrong_number_of_weights_is_refused(target):
    with pytest.raises(InputError, match="one weight per head"):
        DeepSupervisionLoss(DiceCELoss(), weights=[1.0])(heads(8, 4), target)


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -0.5]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(InputError):
        DeepSupervisionLoss(DiceCELoss(), weights=weights)
