"""From cached cases to batches on the training device: sampling, augmentation, data module.

The names below are imported on first use, so that reading one of them does not load Lightning.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medseg.data.feed.batch import Batch, Sample, Wide, collate
    from medseg.data.feed.calibration import FeedPlan
    from medseg.data.feed.cases import FeedCase, MemoryCase
    from medseg.data.feed.datamodule import SegmentationDataModule
    from medseg.data.feed.dataset import PatchDataset, VolumeDataset
    from medseg.data.feed.sampler import StepSampler
    from medseg.data.feed.tensor_case import TensorCase

_HOMES = {
    "Batch": "batch",
    "FeedCase": "cases",
    "FeedPlan": "calibration",
    "MemoryCase": "cases",
    "PatchDataset": "dataset",
    "Sample": "batch",
    "SegmentationDataModule": "datamodule",
    "StepSampler": "sampler",
    "TensorCase": "tensor_case",
    "VolumeDataset": "dataset",
    "Wide": "batch",
    "collate": "batch",
}

__all__ = [
    "Batch",
    "FeedCase",
    "FeedPlan",
    "MemoryCase",
    "PatchDataset",
    "Sample",
    "SegmentationDataModule",
    "StepSampler",
    "TensorCase",
    "VolumeDataset",
    "Wide",
    "collate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
