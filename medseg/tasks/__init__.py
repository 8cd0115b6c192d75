"""LightningModules: a network with its loss, optimiser, inferer and metrics."""

from medseg.tasks.detection import DetectionTask
from medseg.tasks.segmentation import SegmentationTask

__all__ = ["DetectionTask", "SegmentationTask"]
