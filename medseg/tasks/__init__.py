"""LightningModules: a network with its loss, optimiser, inferer and metrics."""

from medseg.tasks.segmentation import SegmentationTask

__all__ = ["SegmentationTask"]
