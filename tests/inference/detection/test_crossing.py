from __future__ import annotations

import numpy as np
import pytest

from medseg.geometry.boxes import Boxes
from medseg.inference.detection.choosing import choose
from medseg.inference.detection.crossing import crossed_rules, parts_of
from medseg.inference.detection.kept_scores import kept_table, score_kept
from medseg.metrics import CentreHit, DetectionCase, evaluate_detections

CLASSES = ("nodule",)
OBJECT = [[10, 10, 10, 20, 20, 20]]


def case(scores, *, alarm=True, objects=OBJECT):
    boxes = [*OBJECT, [40, 40, 40, 50, 50, 50]] if alarm else OBJECT
    preds = Boxes(boxes, scores=scores) if scores else Boxes(np.zeros((0, 6)), scores=[])
    return DetectionCase(preds, Boxes(np.array(objects, dtype=float).reshape(-1, 6)))


def test_folds_are_the_parts():
    cases = {name: case([0.9, 0.1]) for name in "abcd"}
    folds = {"fold_0": ["a", "c", "x"], "fold_1": ["b"], "fold_2": []}
    assert parts_of(cases, folds) == [["a", "c"], ["b"], ["d"]]


def test_cases_of_one_fold_are_dealt_with_their_patients_together():
    cases = {f"{k:02d}": case([0.9, 0.1], objects=OBJECT if k % 3 else []) for k in range(12)}
    groups = {"00": "p", "01": "p", "02": "p"}
    parts = parts_of(cases, {"fold_0": list(cases)}, groups=groups)
    assert len(parts) == 5 and sorted(name for part in parts for name in part) == sorted(cases)
    assert sum({"00", "01", "02"} <= set(part) for part in parts) == 1
    assert all(any(len(cases[name].reference) for name in part) for part in parts)
    assert parts_of({"a": cases["01"]}, {"fold_0": ["a"]}) == [["a"]]


def test_a_case_has_no_part_in_choosing_for_itself():
    # In the first fold objects have 0.9 and alarms 0.5, in the second 0.5 and 0.2.
    cases = {name: case([0.9, 0.5]) for name in "ab"} | {n: case([0.5, 0.2]) for n in "cd"}
    parts = parts_of(cases, {"fold_0": ["a", "b"], "fold_1": ["c", "d"]})
    rules = crossed_rules(cases, CLASSES, parts)
    for names, others in (("ab", "cd"), ("cd", "ab")):
        expected = choose([cases[name] for name in others], CLASSES).rule
        assert all(rules[name] == expected for name in names)
    told = score_kept(cases, CLASSES, rules, hit=CentreHit())
    # By the others' scores the first fold keeps its alarms, and the second finds nothing: chosen
    # by all cases for themselves it would look better.
    assert told["cases"]["a"]["nodule"] == {"references": 1, "found": 1, "missed": 0, "false": 1}
    assert told["cases"]["c"]["nodule"] == {"references": 1, "found": 0, "missed": 1, "false": 0}
    assert told["working"]["nodule"]["f1"] == pytest.approx(2 * 2 / (4 + 2 + 2))
    themselves = choose(list(cases.values()), CLASSES)
    assert themselves.operating["nodule"].f1 > told["working"]["nodule"]["f1"]


def test_too_few_cases_are_not_judged():
    cases = {"a": case([0.9, 0.1]), "b": case([0.9, 0.1], objects=[])}
    assert crossed_rules(cases, CLASSES, [["a", "b"]]) is None
    assert crossed_rules(cases, CLASSES, [["a"], ["b"]]) is None


def test_the_table_has_the_scores_with_and_without():
    cases = {name: case([0.5, 0.6]) for name in "abcd"}
    metrics = evaluate_detections(cases, CLASSES, resamples=2)
    rules = crossed_rules(cases, CLASSES, parts_of(cases, {"fold_0": "abcd"}))
    metrics["kept"] = score_kept(cases, CLASSES, rules, hit=CentreHit())
    head, row, mean = kept_table(metrics)
    assert len(head) == len(row) == len(mean) and row[0] == "nodule" and mean[0] == "mean"
    assert row[1] == f"{metrics['mean']['map']:.4f}"


def test_scores_of_all_boxes_are_those_without_a_rule():
    from medseg.inference.detection.keeping import KeepRule

    cases = {"a": case([0.9, 0.1]), "b": case([], objects=[]), "c": case([0.3, 0.8])}
    told = score_kept(cases, CLASSES, dict.fromkeys(cases, KeepRule()), hit=CentreHit())
    whole = evaluate_detections(cases, CLASSES)
    assert told["mean"] == whole["mean"] and told["cases"] == whole["cases"]
    assert told["working"] == told["working_before"]
