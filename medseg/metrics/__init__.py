"""Metrics of segmentation: NumPy functions here, tensors in `medseg.metrics.volume_dice`."""

from medseg.metrics.compare import compare_metrics
from medseg.metrics.confusion import Confusion, confusion
from medseg.metrics.evaluate import evaluate_pairs, fold_table, json_safe, table
from medseg.metrics.overlap import dice, iou
from medseg.metrics.paired import compare_paired, holm
from medseg.metrics.score import score_case, summarise
from medseg.metrics.surface import hausdorff95

__all__ = [
    "Confusion",
    "compare_metrics",
    "compare_paired",
    "confusion",
    "dice",
    "evaluate_pairs",
    "fold_table",
    "hausdorff95",
    "holm",
    "iou",
    "json_safe",
    "score_case",
    "summarise",
    "table",
]
