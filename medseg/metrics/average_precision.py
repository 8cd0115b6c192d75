"""Average precision: how pure a detector's list stays as it finds more of the objects."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from medseg.metrics.detection_case import DetectionCase
from medseg.metrics.hits import IouHit
from medseg.metrics.known_mean import known_mean
from medseg.metrics.tally import LIMIT, Tally, tallies, tally

# Boxes around small objects in 3D overlap little; nnDetection scores them so.
MEDICAL_IOU = (0.1, 0.2, 0.3, 0.4, 0.5)
# 0.5 to 0.95, as pycocotools rounds them.
COCO_IOU = tuple(np.linspace(0.5, 0.95, 10).tolist())
COCO_POINTS = 101


def average_precision(
    cases: Sequence[DetectionCase],
    *,
    iou: float = 0.5,
    label: int = 0,
    points: int | None = COCO_POINTS,
    limit: int | None = LIMIT,
) -> float:
    """Return the average precision of one class at one IoU, in ``[0, 1]``.

    Precision at a recall is the best that is had at that recall or a higher one.

    Args:
        cases: those without objects count by their false positives.
        iou: smallest IoU of a hit, see `medseg.metrics.hits.match_by_iou`.
        label: index of the class.
        points: mean over so many evenly spread recalls from 0 to 1: 101 as COCO, 11 as Pascal VOC
            2007. ``None``: the area under the curve, as Pascal VOC 2010.
        limit: predictions of a case that are looked at.

    Without objects it is NaN, whatever was predicted; with objects and no predictions 0. Equal
    scores count in the order of the cases and of the predictions in them, as in pycocotools.
    """
    return average_precision_of(tally(cases, IouHit(iou), label=label, limit=limit), points=points)


def average_precision_of(counted: Tally, *, points: int | None = COCO_POINTS) -> float:
    """Return the average precision of a tally; see `average_precision`."""
    return float(weighted_precision(counted, counted.once(), points=points)[0])


def weighted_precision(
    counted: Tally, weights: np.ndarray, *, points: int | None = COCO_POINTS
) -> np.ndarray:
    """Return the average precision ``(B,)`` when cases count ``weights`` ``(B, C)`` times.

    See `average_precision`; the precision is highest at hits, so only they are looked at.
    """
    found, wrong = counted.cumulative(np.flatnonzero(counted.hits) + 1, weights)
    total = np.asarray(weights, dtype=np.float64) @ counted.references
    recall = found / np.maximum(total, 1)[:, None]
    precision = found / np.maximum(found + wrong, 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    if points is None:
        score = (np.diff(recall, prepend=0.0, axis=1) * best).sum(axis=1)
    else:
        levels = np.linspace(0, 1, points)
        beyond = np.zeros((len(best), 1))
        places = np.array([np.searchsorted(row, levels) for row in recall], dtype=np.int64)
        places = places.reshape(len(best), points)
        score = np.take_along_axis(np.hstack([best, beyond]), places, axis=1).mean(axis=1)
    return np.where(total > 0, score, np.nan)


def precision_over_iou(
    cases: Sequence[DetectionCase],
    *,
    label: int = 0,
    iou: Sequence[float] = MEDICAL_IOU,
    points: int | None = COCO_POINTS,
    limit: int | None = LIMIT,
) -> float:
    """Return the mean over IoU thresholds of one class; see `average_precision`."""
    counted = tallies(cases, [IouHit(threshold) for threshold in iou], label=label, limit=limit)
    return math.fsum(average_precision_of(one, points=points) for one in counted) / len(counted)


def mean_average_precision(
    cases: Sequence[DetectionCase],
    *,
    classes: int,
    iou: Sequence[float] = MEDICAL_IOU,
    points: int | None = COCO_POINTS,
    limit: int | None = LIMIT,
) -> float:
    """Return the mean over the classes and IoU thresholds; see `average_precision`.

    Args:
        cases: with or without objects.
        classes: how many there are. Those without objects are left out; NaN if none has any.
        iou: thresholds: `MEDICAL_IOU`, `COCO_IOU`, or one.
        points: see `average_precision`.
        limit: predictions of a case and class that are looked at.
    """
    scores = [
        precision_over_iou(cases, label=label, iou=iou, points=points, limit=limit)
        for label in range(classes)
    ]
    return float(known_mean(scores))
