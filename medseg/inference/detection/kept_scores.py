"""The scores of what is kept, as metrics.json holds them beside those of all boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from medseg.inference.detection.keeping import KeepRule
from medseg.metrics.case_rows import case_rows, working_points
from medseg.metrics.cells import cell
from medseg.metrics.detection_case import DetectionCase
from medseg.metrics.evaluate import json_safe
from medseg.metrics.evaluate_detections import evaluate_detections
from medseg.metrics.hits import HitRule
from medseg.metrics.tally import tally

_TOLD = ("ap", "map", "map_coco", "sensitivity", "cpm", "n_references")


def score_kept(
    cases: Mapping[str, DetectionCase],
    classes: Sequence[str],
    rules: Mapping[str, KeepRule],
    *,
    hit: HitRule,
) -> dict[str, Any]:
    """Score the boxes that rules keep, and count those that are sure enough.

    Average precision and the free-response curve are of the boxes that `KeepRule.clean` leaves, at
    all scores; the rows of cases and ``working`` are of those from the chosen score on.

    Args:
        cases: case id -> its boxes, as they were found.
        classes: names.
        rules: case id -> what is kept there.
        hit: when an object counts as found.

    Returns:
        Plain containers: ``mean``, ``per_class`` and ``intervals`` as of `evaluate_detections`,
        ``cases``; ``working``, what the sure boxes of each class are worth (see
        `medseg.metrics.case_rows.working_points`), and ``working_before``: all boxes.
    """
    cleaned = {
        name: replace(case, preds=rules[name].clean(case.preds, classes, case.spacing))
        for name, case in cases.items()
    }
    scores = evaluate_detections(cleaned, classes, hit=hit)
    least = np.array(
        [[rules[name].score.get(label, -np.inf) for label in classes] for name in cases]
    ).reshape(len(cases), len(classes))
    rows = _rows(cleaned, classes, hit, least)
    every = _rows(cases, classes, hit, np.full_like(least, -np.inf))
    return json_safe(
        {
            "n_cases": len(cases),
            "cases": rows,
            "per_class": {
                name: {key: of[key] for key in _TOLD} for name, of in scores["per_class"].items()
            },
            "mean": scores["mean"],
            "intervals": scores["intervals"],
            "working": working_points(rows, classes),
            "working_before": working_points(every, classes),
        }
    )


def kept_table(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of a table to print: a header, one row per class, the mean.

    Args:
        metrics: metrics.json, with ``kept``.
    """
    kept = metrics["kept"]
    head = ["class", "mAP", "kept", "CPM", "kept", "F1", "kept", "found", "precision", "false/case"]
    rows = [head]
    for name, before in [*metrics["per_class"].items(), ("mean", metrics["mean"])]:
        after = kept["per_class"].get(name, kept["mean"]) if name != "mean" else kept["mean"]
        at, every = kept["working"].get(name, {}), kept["working_before"].get(name, {})
        values = [before["map"], after["map"], before["cpm"], after["cpm"]]
        values += [every.get("f1"), at.get("f1"), at.get("sensitivity"), at.get("precision")]
        cells = [*map(cell, values)]
        fps = at.get("fps")
        rows.append([name, *cells, cell(fps, ".3g")])
    return rows


def _rows(
    cases: Mapping[str, DetectionCase], classes: Sequence[str], hit: HitRule, least: np.ndarray
) -> dict[str, dict[str, dict[str, int]]]:
    counted = [tally(list(cases.values()), hit, label=label) for label in range(len(classes))]
    return case_rows(list(cases), classes, counted, least)
