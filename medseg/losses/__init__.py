"""Losses of segmentation and detection: pure functions, and thin modules over them."""

from medseg.losses.boundary import BoundaryLoss, DiceBoundaryLoss, boundary_loss
from medseg.losses.centre_point_loss import CentrePointLoss
from medseg.losses.cl_dice import CLDiceLoss, DiceCLDiceLoss, cl_dice_loss, soft_skeleton
from medseg.losses.comparison import Comparison
from medseg.losses.cross_entropy import (
    BinaryCrossEntropyLoss,
    CrossEntropyLoss,
    binary_cross_entropy,
    cross_entropy,
)
from medseg.losses.deep_supervision import DeepSupervisionLoss
from medseg.losses.detection_loss import DetectionLoss
from medseg.losses.dice import DiceLoss, dice_loss, soft_dice
from medseg.losses.dice_ce import DiceCELoss
from medseg.losses.distance import signed_distance
from medseg.losses.focal import DiceFocalLoss, FocalLoss, focal_loss
from medseg.losses.generalised_dice import GeneralisedDiceLoss, generalised_dice_loss
from medseg.losses.hausdorff import DiceHausdorffLoss, HausdorffLoss, hausdorff_loss
from medseg.losses.region import RegionLoss
from medseg.losses.targets import region_masks
from medseg.losses.top_k import DiceTopKLoss, TopKLoss, top_k_loss
from medseg.losses.tversky import FocalTverskyLoss, TverskyLoss, tversky_loss
from medseg.losses.weighted_sum import WeightedSum

__all__ = [
    "BinaryCrossEntropyLoss",
    "BoundaryLoss",
    "CLDiceLoss",
    "CentrePointLoss",
    "Comparison",
    "CrossEntropyLoss",
    "DeepSupervisionLoss",
    "DetectionLoss",
    "DiceBoundaryLoss",
    "DiceCELoss",
    "DiceCLDiceLoss",
    "DiceFocalLoss",
    "DiceHausdorffLoss",
    "DiceLoss",
    "DiceTopKLoss",
    "FocalLoss",
    "FocalTverskyLoss",
    "GeneralisedDiceLoss",
    "HausdorffLoss",
    "RegionLoss",
    "TopKLoss",
    "TverskyLoss",
    "WeightedSum",
    "binary_cross_entropy",
    "boundary_loss",
    "cl_dice_loss",
    "cross_entropy",
    "dice_loss",
    "focal_loss",
    "generalised_dice_loss",
    "hausdorff_loss",
    "region_masks",
    "signed_distance",
    "soft_dice",
    "soft_skeleton",
    "top_k_loss",
    "tversky_loss",
]
