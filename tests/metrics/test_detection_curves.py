from __future__ import annotations

import json

import numpy as np
import pytest

from medseg.geometry.boxes import Boxes
from medseg.metrics import (
    CentreHit,
    DetectionCase,
    evaluate_detections,
    froc_table,
    precision_recall,
)


def random_metrics(seed: int = 0, cases: int = 6) -> tuple[dict, list[DetectionCase]]:
    """Cases whose boxes lie on objects, or beside all of them."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(cases):
        low = 20.0 * np.arange(rng.integers(0, 5))[:, None] * np.ones(2)
        there = Boxes(np.hstack([low, low + 6]))
        hit = rng.random(len(there)) < 0.7
        wrong = 500 + 20.0 * np.arange(rng.integers(0, 4))[:, None] * np.ones(2)
        corners = np.vstack([there.corners[hit], np.hstack([wrong, wrong + 6])])
        found = Boxes(corners, scores=rng.choice(np.arange(1, 100), len(corners)) / 100)
        made.append(DetectionCase(found, there))
    named = {f"case {number}": case for number, case in enumerate(made)}
    return evaluate_detections(named, classes=["a"], hit=CentreHit(), resamples=10), made


@pytest.mark.parametrize("seed", range(5))
def test_each_threshold_of_the_curve_has_its_recall_and_precision(seed):
    metrics, cases = random_metrics(seed)
    points = np.stack(precision_recall(json.loads(json.dumps(metrics)), "a"), axis=1)
    objects = sum(len(case.reference) for case in cases)
    thresholds = [s for s in metrics["per_class"]["a"]["froc"]["score"] if s is not None]
    assert len(thresholds) > 3
    for score in thresholds:
        shown = [case.preds.corners[case.scores >= score, 0] for case in cases]
        hits = sum((low < 400).sum() for low in shown)
        expected = np.array([hits / objects, hits / sum(map(len, shown))])
        assert np.abs(points - expected).max(axis=1).min() < 1e-9


def test_between_two_thresholds_hits_and_false_positives_grow_in_proportion():
    curve = {"sensitivity": [0, 0.5, 1], "fps": [0, 0, 2], "score": [None, 0.9, 0.1]}
    metrics = {"n_cases": 2, "per_class": {"a": {"n_references": 4, "froc": curve}}}
    recall, precision = precision_recall(metrics, "a")
    assert precision[recall <= 0.5].tolist() == [1] * (recall <= 0.5).sum()
    beyond = recall > 0.5
    assert np.allclose(
        precision[beyond], recall[beyond] / (recall[beyond] + 2 * recall[beyond] - 1)
    )
    assert (recall[-1], precision[-1]) == (1, 0.5)


def test_without_objects_or_predictions_there_is_no_curve():
    none = Boxes(np.zeros((0, 4)), scores=[])
    there = Boxes([[0, 0, 4, 4]])
    for case in (DetectionCase(none, there), DetectionCase(none, Boxes.none(2))):
        recall, precision = precision_recall(evaluate_detections({"a": case}, classes=["x"]), "x")
        assert len(recall) == len(precision) == 0


def test_the_table_reads_the_curve_at_its_points():
    metrics, _ = random_metrics()
    head, one, mean, low, high = froc_table(metrics)
    assert head == ["class", "1/8", "1/4", "1/2", "1", "2", "4", "8", "CPM"]
    assert one == ["a", *(f"{v:.4f}" for v in metrics["per_class"]["a"]["sensitivity"]), one[-1]]
    assert one[-1] == f"{metrics['per_class']['a']['cpm']:.4f}" and mean[1:] == one[1:]
    assert (low[0], high[0]) == ("95% from", "95% to")
    assert float(low[-1]) <= float(mean[-1]) <= float(high[-1])


def test_what_has_no_score_is_a_dash():
    none = DetectionCase(Boxes([[0, 0, 4, 4]], scores=[0.5]), Boxes.none(2))
    rows = froc_table(json.loads(json.dumps(evaluate_detections({"a": none}, classes=["x"]))))
    assert all(cell == "–" for row in rows[1:] for cell in row[1:])
