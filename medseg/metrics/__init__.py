"""Metrics of masks and of boxes: NumPy here, tensors in `medseg.metrics.volume_dice`."""

from medseg.metrics.average_precision import (
    COCO_IOU,
    MEDICAL_IOU,
    average_precision,
    mean_average_precision,
)
from medseg.metrics.bootstrap import bootstrap_interval
from medseg.metrics.compare import compare_metrics
from medseg.metrics.compare_detections import compare_detections
from medseg.metrics.confusion import Confusion, confusion
from medseg.metrics.detection_case import DetectionCase
from medseg.metrics.detection_curves import froc_table, precision_recall
from medseg.metrics.evaluate import evaluate_pairs, fold_table, json_safe, table
from medseg.metrics.evaluate_detections import detection_table, evaluate_detections
from medseg.metrics.froc import LUNA16_FPS, Froc, froc
from medseg.metrics.hits import CentreHit, Hits, IouHit
from medseg.metrics.overlap import dice, iou
from medseg.metrics.paired import compare_paired, holm
from medseg.metrics.panoptic import Panoptic, panoptic, panoptic_by_class
from medseg.metrics.score import score_case, summarise
from medseg.metrics.size_table import size_table
from medseg.metrics.surface import hausdorff95

__all__ = [
    "COCO_IOU",
    "LUNA16_FPS",
    "MEDICAL_IOU",
    "CentreHit",
    "Confusion",
    "DetectionCase",
    "Froc",
    "Hits",
    "IouHit",
    "Panoptic",
    "average_precision",
    "bootstrap_interval",
    "compare_detections",
    "compare_metrics",
    "compare_paired",
    "confusion",
    "detection_table",
    "dice",
    "evaluate_detections",
    "evaluate_pairs",
    "fold_table",
    "froc",
    "froc_table",
    "hausdorff95",
    "holm",
    "iou",
    "json_safe",
    "mean_average_precision",
    "panoptic",
    "panoptic_by_class",
    "precision_recall",
    "score_case",
    "size_table",
    "summarise",
    "table",
]
