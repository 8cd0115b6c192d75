"""The content of a detection run's metrics.json, from predicted and reference boxes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medseg.errors import InputError
from medseg.metrics.average_precision import COCO_IOU, MEDICAL_IOU, weighted_precision
from medseg.metrics.bootstrap import bootstrap_interval
from medseg.metrics.case_rows import case_rows
from medseg.metrics.cells import cell
from medseg.metrics.detection_case import DetectionCase
from medseg.metrics.evaluate import json_safe
from medseg.metrics.froc import LUNA16_FPS, froc_of, weighted_sensitivities
from medseg.metrics.hits import CentreHit, HitRule, IouHit
from medseg.metrics.known_mean import known_mean
from medseg.metrics.outcomes import outcomes
from medseg.metrics.size_table import SizeRow, size_table
from medseg.metrics.tally import LIMIT, Tally, tallies

SCHEMA = 1
# Average precision by size is at the IoU that most tables give.
SIZE_IOU = 0.5


def evaluate_detections(
    cases: Mapping[str, DetectionCase],
    classes: Sequence[str],
    *,
    hit: HitRule | None = None,
    iou: Sequence[float] = MEDICAL_IOU,
    fps: Sequence[float] = LUNA16_FPS,
    sizes: Sequence[float] | None = None,
    score: float = 0.0,
    limit: int | None = LIMIT,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    folds: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Any]:
    """Score the boxes of many cases and return what metrics.json holds: plain JSON.

    Args:
        cases: case id -> its boxes; none predicted, none there, or neither, are ordinary cases.
        classes: names in the order of the boxes' classes. One without objects has ``None`` for its
            scores and is in no mean.
        hit: rule of the free-response curve and of the rows of cases; default `CentreHit`.
        iou: thresholds of average precision whose mean is ``map``.
        fps: false positives per case at which the free-response curve is read.
        sizes: diameters in mm that part the table by size; ``None``: tertiles of each class.
        score: predictions from this score on are in the rows of cases. The curves need all.
        limit: predictions of a case and class that are looked at.
        confidence: of the intervals, in (0, 1).
        resamples: of the bootstrap over cases, see `bootstrap_interval`.
        seed: of the bootstrap.
        folds: fold -> ids of the cases that it held out; their scores are given beside.

    Raises:
        InputError: a box has a class beyond ``classes``.
    """
    _check_classes(cases, classes)
    boxes, hit = list(cases.values()), hit or CentreHit()
    counted = _counted(boxes, len(classes), hit, iou=tuple(iou), fps=tuple(fps), limit=limit)
    scores = counted.scores(np.ones((1, len(boxes))))[0]
    interval = bootstrap_interval(
        lambda weights: known_mean(counted.scores(weights), axis=1),
        len(boxes),
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    per_class = {
        name: {
            **counted.named(scores[label]),
            "n_references": int(counted.by_hit[label].references.sum()),
            "froc": _curve(counted.by_hit[label], fps),
            "sizes": _size_rows(
                size_table(
                    boxes, edges=sizes, hit=hit, iou=SIZE_IOU, label=label, fps=fps, limit=limit
                )
            ),
        }
        for label, name in enumerate(classes)
    }
    return json_safe(
        {
            "schema": SCHEMA,
            "task": "detection",
            "classes": list(classes),
            "hit": hit.name,
            "iou": list(iou),
            "fps": list(fps),
            "limit": limit,
            "score": score,
            "n_cases": len(cases),
            "cases": case_rows(
                list(cases),
                classes,
                counted.by_hit,
                np.full((len(boxes), len(classes)), float(score)),
            ),
            "per_class": per_class,
            "mean": counted.named(known_mean(scores, axis=0)),
            "intervals": {
                "confidence": confidence,
                "resamples": resamples,
                "seed": seed,
                "low": counted.named(interval.low),
                "high": counted.named(interval.high),
            },
            **({} if folds is None else {"folds": _by_fold(counted, list(cases), classes, folds)}),
            "boxes": _outcomes(cases, classes, hit, iou=iou, limit=limit),
        }
    )


def detection_table(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of a table to print: a header, one row per class, the mean.

    Args:
        metrics: what `evaluate_detections` returned, or metrics.json.
    """
    strictest = f"{max(metrics['iou']):g}"
    rows = [["class", "mAP", f"AP {strictest}", "mAP COCO", "CPM", "objects"]]
    for name, scores in [*metrics["per_class"].items(), ("mean", metrics["mean"])]:
        values = [scores["map"], scores["ap"][strictest], scores["map_coco"], scores["cpm"]]
        cells = [*map(cell, values)]
        rows.append([name, *cells, str(scores.get("n_references", ""))])
    return rows


@dataclass(frozen=True, eq=False)
class _Counted:
    """What counts, by class and rule."""

    by_iou: list[dict[float, Tally]]
    by_hit: list[Tally]
    iou: tuple[float, ...]
    fps: tuple[float, ...]

    def scores(self, weights: np.ndarray) -> np.ndarray:
        """Return ``(B, classes, S)``: AP per IoU, their mean, COCO's, sensitivities, CPM."""
        found = np.zeros((len(weights), len(self.by_hit), len(self.iou) + len(self.fps) + 3))
        for label, (by_iou, by_hit) in enumerate(zip(self.by_iou, self.by_hit, strict=True)):
            ap = {t: weighted_precision(counted, weights) for t, counted in by_iou.items()}
            mine = np.stack([ap[t] for t in self.iou], axis=1)
            coco = np.stack([ap[t] for t in COCO_IOU], axis=1).mean(axis=1)
            sensitivity = weighted_sensitivities(by_hit, weights, fps=self.fps)
            found[:, label] = np.column_stack(
                [mine, mine.mean(axis=1), coco, sensitivity, sensitivity.mean(axis=1)]
            )
        return found

    def named(self, scores: np.ndarray) -> dict[str, Any]:
        """Name the last axis of `scores`."""
        n = len(self.iou)
        return {
            "ap": {f"{t:g}": scores[i] for i, t in enumerate(self.iou)},
            "map": scores[n],
            "map_coco": scores[n + 1],
            "sensitivity": scores[n + 2 : -1].tolist(),
            "cpm": scores[-1],
        }


def _counted(
    cases: Sequence[DetectionCase],
    classes: int,
    hit: HitRule,
    *,
    iou: tuple[float, ...],
    fps: tuple[float, ...],
    limit: int | None,
) -> _Counted:
    thresholds = sorted({*iou, *COCO_IOU})
    rules = [hit, *(IouHit(threshold) for threshold in thresholds)]
    found = [tallies(cases, rules, label=label, limit=limit) for label in range(classes)]
    return _Counted(
        by_iou=[dict(zip(thresholds, of[1:], strict=True)) for of in found],
        by_hit=[of[0] for of in found],
        iou=iou,
        fps=fps,
    )


def _curve(counted: Tally, fps: Sequence[float]) -> dict[str, list[float]]:
    curve = froc_of(counted, fps=fps)
    return {
        "fps": curve.curve_fps.tolist(),
        "sensitivity": curve.curve_sensitivities.tolist(),
        "score": curve.curve_scores.tolist(),
    }


def _size_rows(table: Sequence[SizeRow]) -> list[dict[str, Any]]:
    return [
        {
            "from_mm": row.smallest,
            "to_mm": row.below,
            "n_references": row.n,
            "found": row.found,
            "sensitivity": row.froc.sensitivities,
            "cpm": row.froc.cpm,
            f"ap_{SIZE_IOU:g}": row.ap,
        }
        for row in table
    ]


def _outcomes(
    cases: Mapping[str, DetectionCase],
    classes: Sequence[str],
    hit: HitRule,
    *,
    iou: Sequence[float],
    limit: int | None,
) -> dict[str, dict[str, Any]]:
    """Say what each box came to, so that runs can be compared by resampling cases."""
    rules = {"hit": hit, **{f"{threshold:g}": IouHit(threshold) for threshold in iou}}
    return {
        name: {
            label: outcomes(case, rules, label=number, limit=limit)
            for number, label in enumerate(classes)
        }
        for name, case in cases.items()
    }


def _by_fold(
    counted: _Counted,
    ids: Sequence[str],
    classes: Sequence[str],
    folds: Mapping[str, Collection[str]],
) -> dict[str, Any]:
    parts = {}
    for name, held in folds.items():
        weights = np.array([[float(case in held) for case in ids]])
        if weights.any():
            scores = counted.scores(weights)[0]
            parts[name] = {
                "n_cases": int(weights.sum()),
                "cases": [case for case in ids if case in held],
                "per_class": {label: counted.named(scores[k]) for k, label in enumerate(classes)},
                "mean": counted.named(known_mean(scores, axis=0)),
            }
    return parts


def _check_classes(cases: Mapping[str, DetectionCase], classes: Sequence[str]) -> None:
    for name, case in cases.items():
        for what, boxes in (("predicted", case.preds), ("reference", case.reference)):
            wrong = boxes.classes[(boxes.classes < 0) | (boxes.classes >= len(classes))]
            if len(wrong):
                raise InputError(
                    f"case {name!r}: {what} boxes of a class that there is not",
                    expected=f"0 to {len(classes) - 1} ({', '.join(classes)})",
                    found=", ".join(map(str, np.unique(wrong).tolist())),
                    remedy="predictions and references must name the classes in the same order",
                )
