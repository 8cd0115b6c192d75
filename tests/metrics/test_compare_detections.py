from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.metrics import DetectionCase, IouHit, average_precision, evaluate_detections, froc
from medseg.metrics.bootstrap import case_weights
from medseg.metrics.compare_detections import compare_detections, detection_comparison_table

NAMES = ("nodule", "mass")


def run(cases, **options):
    named = {f"case_{number:02d}": case for number, case in enumerate(cases)}
    metrics = evaluate_detections(named, NAMES, resamples=2, **options)
    return json.loads(json.dumps(metrics))


def worse(cases):
    """The same boxes, each score drawn anew."""
    rng = np.random.default_rng(5)
    return [
        DetectionCase(
            Boxes(c.preds.corners, c.preds.classes, rng.random(len(c.preds))), c.reference
        )
        for c in cases
    ]


@pytest.fixture
def pair(random_cases):
    # Of the boxes near objects the score is raised, so that one run is the better.
    cases = random_cases(2, n_cases=24)
    good = []
    for c in cases:
        near = c.overlap.max(axis=1, initial=0) > 0.3
        scores = c.scores / 2 + near / 2
        good.append(DetectionCase(Boxes(c.preds.corners, c.preds.classes, scores), c.reference))
    return good, worse(cases)


def test_scores_are_those_of_the_runs(pair):
    good, bad = (run(cases) for cases in pair)
    for metric in ("map", "cpm"):
        found = compare_detections(good, bad, metric=metric, resamples=20)
        for name in NAMES:
            row = found["per_class"][name]
            assert row["score_a"] == pytest.approx(good["per_class"][name][metric])
            assert row["score_b"] == pytest.approx(bad["per_class"][name][metric])
            assert row["difference"] == pytest.approx(row["score_b"] - row["score_a"])
            assert row["n_references"] == good["per_class"][name]["n_references"]
        assert found["overall"]["score_b"] == pytest.approx(bad["mean"][metric])
    at = compare_detections(good, bad, metric="ap_0.5", resamples=20)
    assert at["overall"]["score_a"] == pytest.approx(good["mean"]["ap"]["0.5"])


def test_a_worse_run_is_told_from_a_better_one(pair):
    good, bad = (run(cases) for cases in pair)
    overall = compare_detections(good, bad)["overall"]
    assert overall["interval"][1] < 0 and overall["p"] < 0.01
    turned = compare_detections(bad, good)["overall"]
    assert turned["difference"] == pytest.approx(-overall["difference"])
    assert turned["p"] == overall["p"]


@pytest.mark.parametrize("metric", ["map", "cpm"])
def test_the_interval_is_that_of_cases_drawn_one_by_one(pair, metric):
    found = compare_detections(*map(run, pair), metric=metric, resamples=60, seed=4)
    differences = []
    for weights in case_weights(len(pair[0]), resamples=60, seed=4):
        drawn = [
            [case for case, n in zip(cases, weights, strict=True) for _ in range(n)]
            for cases in pair
        ]
        a, b = (
            froc(cases, label=1).cpm
            if metric == "cpm"
            else np.mean(
                [average_precision(cases, iou=t, label=1) for t in (0.1, 0.2, 0.3, 0.4, 0.5)]
            )
            for cases in drawn
        )
        differences.append(b - a)
    expected = np.nanquantile(differences, (0.025, 0.975))
    assert found["per_class"]["mass"]["interval"] == pytest.approx(expected, abs=1e-3)


def test_a_run_does_not_differ_from_itself(pair):
    mine = run(pair[0])
    found = compare_detections(mine, mine, resamples=50)
    assert found["overall"] | {"score_a": 0, "score_b": 0} == {
        "score_a": 0,
        "score_b": 0,
        "difference": 0,
        "interval": [0, 0],
        "p": 1,
        "n_references": found["overall"]["n_references"],
    }


def test_only_common_cases_count_and_the_others_are_named(pair):
    good, bad = run(pair[0]), run(pair[1][:-2])
    found = compare_detections(good, bad, resamples=10)
    assert found["n_common"] == 22 and found["only_a"]["cases"] == ["case_22", "case_23"]
    half = run(pair[0][:-2])
    assert found["overall"]["score_a"] == pytest.approx(half["mean"]["map"])


def test_a_class_without_objects_has_no_score(pair):
    bare = [
        DetectionCase(c.preds, c.reference[c.reference.classes == 0], spacing=c.spacing)
        for c in pair[0]
    ]
    found = compare_detections(run(bare), run(bare), resamples=10)
    assert found["per_class"]["mass"]["score_a"] is None and found["per_class"]["mass"]["p"] is None
    assert found["overall"]["score_a"] == pytest.approx(found["per_class"]["nodule"]["score_a"])
    rows = detection_comparison_table(found)
    assert len(rows) == 4 and all(len(row) == len(rows[0]) for row in rows)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def other_references(metrics):
    metrics["cases"]["case_00"]["nodule"]["references"] += 1


def other_boxes(metrics):
    del metrics["boxes"]["case_03"]


def broken_boxes(metrics):
    metrics["boxes"]["case_01"]["mass"]["scores"] = "1 2 3 4 5 6 7 8 9 10 11 12 13 14"


def other_cases(metrics):
    metrics["cases"] = {f"other_{case}": row for case, row in metrics["cases"].items()}


def other_classes(metrics):
    metrics["classes"] = ["cell"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_references, "different references"),
        (other_boxes, "what became of each box"),
        (broken_boxes, "what became of each box"),
        (other_cases, "no cases in common"),
        (other_classes, "no classes in common"),
    ],
)
def test_what_cannot_be_compared_is_refused(pair, spoil, message):
    mine = run(pair[0])
    other = copy.deepcopy(mine)
    spoil(other)
    with pytest.raises(InputError, match=message):
        compare_detections(mine, other)


def test_other_rules_of_a_hit_are_refused_where_they_count(pair):
    mine, other = run(pair[0]), run(pair[0], hit=IouHit(0.1))
    compare_detections(mine, other, metric="map", resamples=5)
    with pytest.raises(InputError, match="another hit"):
        compare_detections(mine, other, metric="cpm")
    narrow = run(pair[0], iou=(0.5,))
    compare_detections(mine, narrow, metric="ap_0.5", resamples=5)
    with pytest.raises(InputError, match="another IoU"):
        compare_detections(mine, narrow)


@pytest.mark.parametrize("metric", ["dice", "ap_0.75", "ap_x", ""])
def test_a_metric_that_there_is_not_is_refused(pair, metric):
    mine = run(pair[0])
    with pytest.raises(InputError, match="no such metric"):
        compare_detections(mine, mine, metric=metric)
