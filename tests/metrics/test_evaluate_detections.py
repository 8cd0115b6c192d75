from __future__ import annotations

import json

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.metrics import (
    COCO_IOU,
    CentreHit,
    DetectionCase,
    IouHit,
    average_precision,
    detection_table,
    evaluate_detections,
    froc,
    mean_average_precision,
)

NAMES = ("nodule", "mass")


def named(cases):
    return {f"case_{number:02d}": case for number, case in enumerate(cases)}


@pytest.fixture(scope="module")
def quick():
    return {"resamples": 50}


def test_scores_are_those_of_the_single_functions(random_cases, quick):
    cases = random_cases(0, ndim=3)
    metrics = evaluate_detections(named(cases), NAMES, **quick)
    for label, name in enumerate(NAMES):
        found = metrics["per_class"][name]
        for iou in (0.1, 0.5):
            mine = average_precision(cases, iou=iou, label=label)
            assert found["ap"][f"{iou:g}"] == pytest.approx(mine)
        curve = froc(cases, label=label)
        assert found["sensitivity"] == pytest.approx(list(curve.sensitivities))
        assert found["cpm"] == pytest.approx(curve.cpm)
        assert found["froc"]["fps"] == curve.curve_fps.tolist()
        assert found["froc"]["score"][0] is None
        assert sum(row["n_references"] for row in found["sizes"]) == found["n_references"]
    mean = metrics["mean"]
    assert mean["map"] == pytest.approx(mean_average_precision(cases, classes=2))
    coco = mean_average_precision(cases, classes=2, iou=COCO_IOU)
    assert mean["map_coco"] == pytest.approx(coco)


def test_it_is_plain_json(random_cases, quick):
    metrics = evaluate_detections(named(random_cases(0)), NAMES, **quick)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_intervals_hold_the_means(random_cases, quick):
    metrics = evaluate_detections(named(random_cases(0, n_cases=40)), NAMES, **quick)
    low, high = metrics["intervals"]["low"], metrics["intervals"]["high"]
    for key in ("map", "map_coco", "cpm"):
        assert low[key] < metrics["mean"][key] < high[key]
    assert low["ap"].keys() == metrics["mean"]["ap"].keys()
    again = evaluate_detections(named(random_cases(0, n_cases=40)), NAMES, **quick)
    assert again == metrics


def test_rows_of_cases_add_up(random_cases, quick):
    cases = random_cases(1)
    metrics = evaluate_detections(named(cases), NAMES, hit=IouHit(0.3), **quick)
    assert metrics["hit"] == "IoU >= 0.3"
    rows = [row[name] for row in metrics["cases"].values() for name in NAMES]
    assert sum(row["references"] for row in rows) == sum(len(case.reference) for case in cases)
    assert all(row["found"] + row["missed"] == row["references"] for row in rows)
    found, wrong = (sum(row[key] for row in rows) for key in ("found", "false"))
    assert found + wrong == sum(len(case.preds) for case in cases)


def test_rows_of_cases_begin_at_the_score(random_cases, quick):
    cases = random_cases(1)
    rows = evaluate_detections(named(cases), NAMES, score=0.6, **quick)["cases"]
    part = [DetectionCase(case.preds[case.preds.scores >= 0.6], case.reference) for case in cases]
    assert rows == evaluate_detections(named(part), NAMES, **quick)["cases"]


def test_a_fold_is_scored_as_if_alone(random_cases, quick):
    cases = named(random_cases(2))
    held = {"fold_0": list(cases)[:5], "fold_1": list(cases)[5:], "fold_2": []}
    metrics = evaluate_detections(cases, NAMES, folds=held, **quick)
    assert list(metrics["folds"]) == ["fold_0", "fold_1"]
    for name, fold in metrics["folds"].items():
        alone = evaluate_detections({case: cases[case] for case in held[name]}, NAMES, **quick)
        assert fold["cases"] == held[name]
        assert fold["mean"]["ap"] == pytest.approx(alone["mean"]["ap"])
        for key in ("map", "map_coco", "cpm", "sensitivity"):
            assert fold["mean"][key] == pytest.approx(alone["mean"][key])
            for label in NAMES:
                mine, theirs = fold["per_class"][label], alone["per_class"][label]
                assert mine[key] == pytest.approx(theirs[key], nan_ok=True)


def none(count: int = 0):
    return Boxes(np.tile([0.0, 0, 4, 4], (count, 1)), scores=np.full(count, 0.5))


def test_a_class_without_objects_is_in_no_mean(quick):
    case = DetectionCase(none(1), Boxes([[0, 0, 4, 4]]))
    metrics = evaluate_detections({"a": case, "b": case}, NAMES, **quick)
    assert metrics["per_class"]["mass"]["map"] is None
    assert metrics["per_class"]["mass"]["cpm"] is None
    assert metrics["per_class"]["mass"]["sensitivity"] == [None] * 7
    assert metrics["mean"]["map"] == metrics["mean"]["cpm"] == 1


def test_nothing_predicted_nothing_there_and_neither(quick):
    there = Boxes([[0, 0, 4, 4]])
    missed = evaluate_detections({"a": DetectionCase(none(), there)}, NAMES[:1], **quick)
    assert (missed["mean"]["map"], missed["mean"]["cpm"]) == (0, 0)
    for case in (DetectionCase(none(1), Boxes.none(2)), DetectionCase(none(), Boxes.none(2))):
        found = evaluate_detections({"a": case}, NAMES[:1], **quick)
        assert found["mean"]["map"] is None
        assert found["mean"]["cpm"] is None
    rows = evaluate_detections({}, NAMES, **quick)
    assert rows["cases"] == {}
    assert rows["mean"]["map"] is None


def test_one_case_has_scores_but_no_interval(quick):
    case = DetectionCase(none(1), Boxes([[0, 0, 4, 4]]))
    metrics = evaluate_detections({"a": case}, NAMES[:1], **quick)
    assert metrics["mean"]["map"] == 1
    assert metrics["intervals"]["low"]["map"] is None


def test_the_table_has_a_row_per_class(random_cases, quick):
    rows = detection_table(evaluate_detections(named(random_cases(0)), NAMES, **quick))
    assert [row[0] for row in rows] == ["class", "nodule", "mass", "mean"]
    assert rows[0] == ["class", "mAP", "AP 0.5", "mAP COCO", "CPM", "objects"]
    assert {len(row) for row in rows} == {6}


def test_classes_that_there_are_not_are_refused(random_cases, quick):
    with pytest.raises(InputError, match="case_00"):
        evaluate_detections(named(random_cases(0)), NAMES[:1], **quick)


def test_the_rule_of_the_curve_is_luna16s_unless_said(random_cases, quick):
    assert evaluate_detections(named(random_cases(0)), NAMES, **quick)["hit"] == CentreHit().name
