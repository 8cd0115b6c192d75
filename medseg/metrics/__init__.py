"""Metrics of segmentation: NumPy functions here, tensors in `medseg.metrics.volume_dice`."""

from medseg.metrics.confusion import Confusion, confusion
from medseg.metrics.evaluate import evaluate_pairs, json_safe, table
from medseg.metrics.overlap import dice, iou
from medseg.metrics.score import score_case, summarise
from medseg.metrics.surface import hausdorff95

__all__ = [
    "Confusion",
    "confusion",
    "dice",
    "evaluate_pairs",
    "hausdorff95",
    "iou",
    "json_safe",
    "score_case",
    "summarise",
    "table",
]
