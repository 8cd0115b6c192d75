from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from medseg.geometry.box_iou import box_iou
from medseg.geometry.boxes import Boxes, to_coco
from medseg.metrics import (
    COCO_IOU,
    MEDICAL_IOU,
    DetectionCase,
    IouHit,
    average_precision,
    mean_average_precision,
)
from medseg.metrics.average_precision import weighted_precision
from medseg.metrics.bootstrap import case_weights
from medseg.metrics.tally import tally


def by_hand(cases, iou, label, points):
    """Count by plain loops: one list, one threshold of the list after the other."""
    events, total = [], 0
    for case in cases:
        there = [b for b, k in zip(case.reference.corners, case.reference.classes, strict=True)
                 if k == label]  # fmt: skip
        total += len(there)
        mine = [
            (-score, number)
            for number, (k, score) in enumerate(
                zip(case.preds.classes, case.preds.scores, strict=True)
            )
            if k == label
        ]
        taken = set()
        for score, number in sorted(mine):
            best, at = iou, None
            for other, box in enumerate(there):
                overlap = box_iou(case.preds.corners[[number]], box[None])[0, 0]
                if other not in taken and overlap >= best:
                    best, at = overlap, other
            taken.add(at)
            events.append((score, at is not None))
    events.sort(key=lambda event: event[0])
    steps, found = [], 0
    for number, (_, hit) in enumerate(events, 1):
        found += hit
        steps.append((found / total, found / number))

    def at(recall):
        return max((p for r, p in steps if r >= recall), default=0.0)

    if points is not None:
        return sum(at(level) for level in np.linspace(0, 1, points)) / points
    heights = [at((k + 1) / total) for k in range(total)]
    return sum(heights) / total


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("points", [101, 11, None])
def test_precision_is_that_of_plain_loops(random_cases, ndim, points):
    for seed in range(4):
        cases = random_cases(seed, ndim=ndim)
        for iou in (0.1, 0.3, 0.5, 0.75):
            for label in (0, 1):
                found = average_precision(cases, iou=iou, label=label, points=points)
                assert found == pytest.approx(by_hand(cases, iou, label, points), abs=1e-12)


def pycocotools_scores(cases, *, classes, areas=((0, 1e10),)):
    """Return average precision ``(T, classes, areas)`` at COCO's thresholds."""
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    there, found = [], []
    for number, case in enumerate(cases):
        for boxes, crowd, out in (
            (case.reference, case.crowd, there),
            (case.preds, np.zeros(len(case.preds)), found),
        ):
            for row, box in enumerate(to_coco(boxes.corners).tolist()):
                out.append(
                    {
                        "id": len(out) + 1,
                        "image_id": number,
                        "category_id": int(boxes.classes[row]),
                        "bbox": box,
                        "area": box[2] * box[3],
                        "iscrowd": int(crowd[row]),
                    }
                )
                if boxes.scores is not None:
                    out[-1]["score"] = float(boxes.scores[row])
    truth = COCO()
    truth.dataset = {
        "images": [{"id": number} for number in range(len(cases))],
        "categories": [{"id": label, "name": str(label)} for label in range(classes)],
        "annotations": there,
        "info": {},
    }
    truth.createIndex()
    scoring = COCOeval(truth, truth.loadRes(found), "bbox")
    scoring.params.areaRng = [list(area) for area in areas]
    scoring.params.areaRngLbl = [str(area) for area in areas]
    scoring.evaluate()
    scoring.accumulate()
    return scoring.eval["precision"][..., -1].mean(axis=1)


@pytest.mark.parametrize("crowd", [0.0, 0.3])
@pytest.mark.parametrize("steps", [1000, 3], ids=["few ties", "many ties"])
def test_precision_is_that_of_pycocotools(random_cases, crowd, steps, capsys):
    for seed in range(5):
        cases = random_cases(seed, n_cases=20, classes=3, steps=steps, crowd=crowd)
        theirs = pycocotools_scores(cases, classes=3)[..., 0]
        for label in range(3):
            mine = [average_precision(cases, iou=iou, label=label) for iou in COCO_IOU]
            assert mine == pytest.approx(theirs[:, label].tolist(), abs=1e-12)
        whole = mean_average_precision(cases, classes=3, iou=COCO_IOU)
        assert whole == pytest.approx(theirs.mean(), abs=1e-12)
    capsys.readouterr()


@pytest.mark.parametrize("alarms", [99, 100])
def test_the_hundred_best_of_an_image_are_those_of_pycocotools(alarms, capsys):
    wrong = [[i, 40, i + 1, 41] for i in range(alarms)]
    there = case([*[0.9] * alarms, 0.1], [*wrong, BOX], [BOX])
    theirs = pycocotools_scores([there], classes=1)[0, 0, 0]
    assert average_precision([there]) == pytest.approx(theirs, abs=1e-12)
    assert (theirs > 0) == (alarms < 100)
    assert average_precision([there], limit=None) > 0
    capsys.readouterr()


def test_precision_by_size_is_that_of_pycocotools(random_cases, capsys):
    # No area of a box on whole quarters is one of these.
    edges = [0.0, 60.03, 150.03, 1e10]
    areas = list(pairwise(edges))
    for seed in range(5):
        cases = random_cases(seed, n_cases=24, classes=1, preds=20, crowd=0.1)
        theirs = pycocotools_scores(cases, classes=1, areas=areas)[:, 0]
        for column, (low, high) in enumerate(areas):
            sizes = (math.sqrt(low), math.sqrt(high))
            counted = [tally(cases, IouHit(iou), sizes=sizes) for iou in COCO_IOU]
            mine = [float(weighted_precision(of, of.once())[0]) for of in counted]
            assert mine == pytest.approx(theirs[:, column].tolist(), abs=1e-12)
    capsys.readouterr()


def test_precision_in_3d_is_that_of_monai(random_cases):
    from monai.apps.detection.metrics.coco import COCOMetric
    from monai.apps.detection.metrics.matching import matching_batch

    metric = COCOMetric(["a", "b"], iou_list=[0.1, 0.3, 0.5], max_detection=[100], verbose=False)
    for seed in range(5):
        # An image without boxes of a class makes theirs fail.
        cases = [
            case
            for case in random_cases(seed, ndim=3, n_cases=20)
            if len(case.preds) and len(case.reference)
        ]
        results = matching_batch(
            iou_fn=box_iou,
            iou_thresholds=metric.iou_thresholds,
            pred_boxes=[case.preds.corners for case in cases],
            pred_classes=[case.preds.classes for case in cases],
            pred_scores=[case.preds.scores for case in cases],
            gt_boxes=[case.reference.corners for case in cases],
            gt_classes=[case.reference.classes for case in cases],
        )
        theirs = metric(results)[0]
        for iou in (0.1, 0.3, 0.5):
            for label, name in enumerate("ab"):
                mine = average_precision(cases, iou=iou, label=label)
                key = f"{name}_AP_IoU_{iou:.2f}_MaxDet_100"
                assert mine == pytest.approx(theirs[key], abs=1e-6)


def case(scores, corners, reference):
    return DetectionCase(
        Boxes(np.reshape(corners, (-1, 4)), scores=scores), Boxes(np.reshape(reference, (-1, 4)))
    )


BOX, AWAY = [0, 0, 4, 4], [20, 20, 24, 24]


def test_three_boxes_worked_by_hand():
    # In order: hit, false, hit; of two objects. Precision 1 up to recall 1/2, then 2/3.
    cases = [case([0.9, 0.8, 0.7], [BOX, AWAY, [50, 50, 54, 54]], [BOX, [50, 50, 54, 54]])]
    assert average_precision(cases, points=None) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert average_precision(cases) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_no_references_give_nan_and_no_predictions_zero():
    assert math.isnan(average_precision([case([0.9], [BOX], [])]))
    assert math.isnan(average_precision([case([], [], [])]))
    assert math.isnan(average_precision([]))
    assert average_precision([case([], [], [BOX])]) == 0
    assert average_precision([case([0.5], [AWAY], [BOX])]) == 0
    assert average_precision([case([0.5], [BOX], [BOX])]) == 1


def test_classes_without_references_are_in_no_mean():
    there = DetectionCase(Boxes([BOX, BOX], [0, 1], [0.9, 0.8]), Boxes([BOX], [0]))
    assert mean_average_precision([there], classes=3) == 1
    assert math.isnan(mean_average_precision([there], classes=0))


def test_false_positives_in_images_without_objects_cost():
    there = case([0.5], [BOX], [BOX])
    assert average_precision([there, case([0.9], [AWAY], [])]) == pytest.approx(0.5)
    assert average_precision([there, case([], [], [])]) == 1


def test_ties_count_in_the_order_of_the_cases():
    hit, wrong = case([0.5], [BOX], [BOX]), case([0.5], [AWAY], [])
    assert average_precision([hit, wrong]) == 1
    assert average_precision([wrong, hit]) == pytest.approx(0.5)


def test_a_case_of_weight_two_is_that_case_twice(random_cases):
    cases = random_cases(3, n_cases=10)
    counted = tally(cases, IouHit(0.3))
    weights = case_weights(10, resamples=20)
    found = weighted_precision(counted, weights)
    for row, mine in zip(weights, found, strict=True):
        drawn = [case for case, times in zip(cases, row, strict=True) for _ in range(times)]
        assert mine == pytest.approx(average_precision(drawn, iou=0.3), abs=1e-12)


def test_the_thresholds_are_those_of_the_papers():
    assert MEDICAL_IOU == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert np.allclose(COCO_IOU, np.arange(50, 100, 5) / 100)
