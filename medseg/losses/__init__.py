"""Losses of segmentation: pure functions, and thin modules over them."""

from medseg.losses.cross_entropy import CrossEntropyLoss, cross_entropy
from medseg.losses.deep_supervision import DeepSupervisionLoss
from medseg.losses.dice import DiceLoss, dice_loss, soft_dice
from medseg.losses.dice_ce import DiceCELoss
from medseg.losses.region import RegionLoss, binary_cross_entropy
from medseg.losses.targets import region_masks

__all__ = [
    "CrossEntropyLoss",
    "DeepSupervisionLoss",
    "DiceCELoss",
    "DiceLoss",
    "RegionLoss",
    "binary_cross_entropy",
    "cross_entropy",
    "dice_loss",
    "region_masks",
    "soft_dice",
]
