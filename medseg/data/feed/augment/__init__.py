"""Augmentation: our batched transforms, and adapters for those of MONAI and TorchIO."""

from __future__ import annotations

from medseg.data.feed.augment.affine import Affine
from medseg.data.feed.augment.blur import GaussianBlur
from medseg.data.feed.augment.defaults import default
from medseg.data.feed.augment.intensity import Brightness, Contrast, Gamma, GaussianNoise
from medseg.data.feed.augment.low_resolution import LowResolution
from medseg.data.feed.augment.mirror import Mirror
from medseg.data.feed.augment.transform import BatchTransform, Compose, LoaderTransform, split

__all__ = [
    "Affine",
    "BatchTransform",
    "Brightness",
    "Compose",
    "Contrast",
    "Gamma",
    "GaussianBlur",
    "GaussianNoise",
    "LoaderTransform",
    "LowResolution",
    "Mirror",
    "default",
    "split",
]
