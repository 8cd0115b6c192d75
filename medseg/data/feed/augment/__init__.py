"""Augmentation: our batched transforms, and adapters for those of MONAI and TorchIO."""

from __future__ import annotations

from medseg.data.feed.augment.affine import Affine
from medseg.data.feed.augment.blur import GaussianBlur
from medseg.data.feed.augment.compose import Compose
from medseg.data.feed.augment.defaults import default
from medseg.data.feed.augment.elastic import Elastic
from medseg.data.feed.augment.intensity import Brightness, Contrast, Gamma, GaussianNoise
from medseg.data.feed.augment.low_resolution import LowResolution
from medseg.data.feed.augment.mirror import Mirror, QuarterTurn
from medseg.data.feed.augment.transform import BatchTransform, LoaderTransform, split

__all__ = [
    "Affine",
    "BatchTransform",
    "Brightness",
    "Compose",
    "Contrast",
    "Elastic",
    "Gamma",
    "GaussianBlur",
    "GaussianNoise",
    "LoaderTransform",
    "LowResolution",
    "Mirror",
    "QuarterTurn",
    "default",
    "split",
]
