import subprocess
import sys

import pytest
import torch
from torch import nn

from medseg.errors import InputError
from medseg.losses import DiceCELoss, RegionLoss, registry
from medseg.losses.from_monai import segmentation_losses

SPECIAL = {
    "GeneralizedWassersteinDiceLoss": {"dist_matrix": [[0.0, 1.0], [1.0, 0.0]]},
    "DiceCELoss": {"weight": [1.0, 2.0]},
}


class Mine(nn.Module):
    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def forward(self, logits, target):
        return self.factor * logits.mean()


@pytest.mark.parametrize("name", sorted(registry.EXCLUSIVE))
def test_ours_are_created_with_arguments(name):
    loss = registry.create(name, {"class_weights": [1.0, 2.0]}, regions=False)
    assert torch.isfinite(loss(torch.randn(1, 2, 4, 4), torch.ones(1, 1, 4, 4).long()))


def test_defaults_fit_the_labels():
    assert isinstance(registry.create(registry.default(regions=False), regions=False), DiceCELoss)
    assert isinstance(registry.create(registry.default(regions=True), regions=True), RegionLoss)


def test_loss_of_the_other_kind_of_labels_is_refused():
    with pytest.raises(InputError, match="dice_bce"):
        registry.create("dice_ce", regions=True)
    with pytest.raises(InputError, match="dice_ce"):
        registry.create("dice_bce", regions=False)


def test_monai_dice_is_wired_like_ours():
    logits, target = torch.randn(2, 3, 4, 4, 4), torch.randint(0, 3, (2, 1, 4, 4, 4))
    theirs = registry.create("monai.DiceLoss", {"include_background": False}, regions=False)
    ours = registry.create("dice", regions=False)
    torch.testing.assert_close(theirs(logits, target), ours(logits, target))


def test_monai_dice_with_regions_is_wired_with_sigmoid():
    logits, masks = torch.randn(2, 3, 4, 4, 4), torch.rand(2, 3, 4, 4, 4) > 0.5
    theirs = registry.create("monai.DiceLoss", regions=True)
    ours = registry.create("dice_bce", {"ce_weight": 0.0}, regions=True)
    torch.testing.assert_close(theirs(logits, masks), ours(logits, masks))


def test_monai_activation_of_the_user_is_kept():
    logits, target = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 1, 4, 4))
    loss = registry.create("monai.DiceLoss", {"sigmoid": True}, regions=False)
    assert loss.loss.sigmoid
    assert not loss.loss.softmax
    assert torch.isfinite(loss(logits, target))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", segmentation_losses())
def test_every_monai_segmentation_loss_learns_exclusive_classes(name, dims):
    target = torch.zeros(2, 1, *[8] * dims, dtype=torch.uint8)
    target[(..., *[slice(2, 6)] * dims)] = 1
    torch.manual_seed(0)
    logits = torch.randn(2, 2, *[8] * dims, requires_grad=True)
    loss = registry.create(
        f"monai.{name}", SPECIAL.get(name), regions=False, num_classes=2, spatial_dims=dims
    )
    value = loss(logits, target)
    value.mean().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


def test_the_monai_losses_of_segmentations_are_found():
    assert {"DiceLoss", "TverskyLoss", "FocalLoss", "NACLLoss"} <= set(segmentation_losses())


@pytest.mark.parametrize("name", ["DiceFocalLoss", "TverskyLoss", "FocalLoss", "HausdorffDTLoss"])
@pytest.mark.parametrize("dims", [2, 3])
def test_monai_losses_take_region_masks(name, dims):
    loss = registry.create(f"monai.{name}", regions=True)
    masks = torch.zeros(1, 3, *[8] * dims, dtype=torch.bool)
    masks[(..., *[slice(2, 6)] * dims)] = True
    assert torch.isfinite(loss(torch.randn(1, 3, *[8] * dims), masks))


def test_monai_loss_whose_cross_entropy_is_exclusive_is_refused_for_regions():
    with pytest.raises(InputError, match="overlapping"):
        registry.create("monai.DiceCELoss", regions=True)


def test_monai_loss_that_is_not_of_segmentations_is_refused():
    with pytest.raises(InputError, match="does not compare a segmentation"):
        registry.create("monai.SSIMLoss", {"spatial_dims": 3}, regions=False)


def test_wrong_arguments_are_named():
    with pytest.raises(InputError, match="smoothing"):
        registry.create("dice_ce", {"smoothing": 1}, regions=False)
    with pytest.raises(InputError, match="squared"):
        registry.create("monai.DiceLoss", {"squared": True}, regions=False)


def test_unknown_names_are_refused_with_a_suggestion():
    with pytest.raises(InputError, match="did you mean 'dice_ce'"):
        registry.resolve("dice_cee")
    with pytest.raises(InputError, match=r"did you mean 'monai\.TverskyLoss'"):
        registry.resolve("monai.TverskiLoss")


def test_code_of_others_needs_trust(monkeypatch):
    module = type(sys)("their_package")
    module.Mine, module.number = Mine, 3
    monkeypatch.setitem(sys.modules, "their_package", module)
    with pytest.raises(InputError, match="not trusted") as caught:
        registry.resolve("their_package:Mine")
    assert "--trust their_package" in str(caught.value)
    trust = ("their_package",)
    loss = registry.create("their_package:Mine", {"factor": 2.0}, regions=False, trust=trust)
    assert loss.factor == 2.0
    with pytest.raises(InputError, match="not a loss"):
        registry.resolve("their_package:number", trust=trust)
    with pytest.raises(InputError, match="not a loss"):
        registry.resolve("their_package:Absent", trust=trust)


def test_importing_losses_does_not_import_monai():
    code = "import sys, medseg.losses.registry; sys.exit('monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
