from __future__ import annotations

import math

import numpy as np
import pytest

from medseg.geometry.boxes import Boxes, from_centre_size
from medseg.metrics import LUNA16_FPS, CentreHit, DetectionCase, IouHit, froc
from medseg.metrics.bootstrap import case_weights
from medseg.metrics.froc import weighted_sensitivities
from medseg.metrics.tally import tally


def scan(candidates=(), spheres=(), excluded=(), spacing=(1.0, 1.0, 1.0)):
    """Candidates ``(i, j, k, score)``, spheres ``(i, j, k, diameter in mm)``."""
    marks = np.array(candidates, dtype=float).reshape(-1, 4)
    found = np.array([*spheres, *excluded], dtype=float).reshape(-1, 4)
    return DetectionCase(
        Boxes(from_centre_size(marks[:, :3], np.full((len(marks), 3), 3)), scores=marks[:, 3]),
        Boxes(from_centre_size(found[:, :3], found[:, 3:] / np.asarray(spacing))),
        ignored=[False] * len(spheres) + [True] * len(excluded),
        spacing=spacing,
    )


HERE, THERE = (10, 10, 10, 8), (40, 40, 40, 8)


def test_the_curve_of_four_scans_worked_by_hand():
    scans = [
        scan([(10, 10, 10, 0.9), (11, 10, 10, 0.3), (70, 70, 70, 0.8)], [HERE]),
        scan([(40, 40, 40, 0.6)], [HERE, THERE]),
        scan([(50, 50, 50, 0.7), (20, 20, 20, 0.4)], excluded=[(20, 20, 20, 9)]),
        scan(),
    ]
    # In order: .9 nodule, .8 false, .7 false, .6 nodule; .4 excluded, .3 double. 3 nodules.
    found = froc(scans)
    assert found.curve_fps.tolist() == [0, 0, 0.5, 0.5]
    assert found.curve_sensitivities == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3])
    assert found.curve_scores.tolist() == [np.inf, 0.9, 0.7, 0.6]
    assert found.sensitivities == pytest.approx((1 / 3, 1 / 3, *[2 / 3] * 5))
    assert found.cpm == pytest.approx((2 / 3 + 10 / 3) / 7)


def test_the_curve_comes_straight_from_the_origin():
    # The first threshold has both at once: 1 false positive per scan, all found.
    found = froc([scan([(10, 10, 10, 0.9), (70, 70, 70, 0.9)], [HERE])])
    assert found.sensitivities == pytest.approx((0.125, 0.25, 0.5, 1, 1, 1, 1))


def test_ties_are_one_threshold_in_any_order():
    marks = [(10, 10, 10, 0.5), (70, 70, 70, 0.5), (40, 40, 40, 0.5), (60, 10, 10, 0.4)]
    scans = [scan(marks, [HERE, THERE]), scan([(5, 5, 5, 0.5)])]
    other = [scan(marks[::-1], [HERE, THERE]), scan([(5, 5, 5, 0.5)])][::-1]
    assert froc(scans).sensitivities == froc(other).sensitivities
    assert froc(scans).sensitivities[:4] == pytest.approx((0.125, 0.25, 0.5, 1))


def test_scans_without_lesions_are_scans():
    marked = scan([(10, 10, 10, 0.5), (70, 70, 70, 0.9)], [HERE])
    assert froc([marked]).sensitivities[:3] == (0, 0, 0)
    assert froc([marked, *[scan()] * 7]).sensitivities[0] == 1


def test_nothing_found_is_zero_and_nothing_there_nan():
    assert froc([scan(spheres=[HERE])]).sensitivities == (0,) * 7
    assert froc([scan([(70, 70, 70, 0.5)], [HERE])]).cpm == 0
    for empty in ([scan([(10, 10, 10, 0.5)])], [scan()], [], [scan(excluded=[HERE])]):
        found = froc(empty)
        assert all(math.isnan(value) for value in found.sensitivities)
        assert math.isnan(found.cpm)


def test_without_false_positives_the_curve_is_flat():
    found = froc([scan([(10, 10, 10, 0.5)], [HERE, THERE])])
    assert found.sensitivities == (0.5,) * 7


def test_by_overlap_a_second_box_is_a_false_positive():
    boxes = Boxes([[0, 0, 4, 4], [0, 0, 4, 4]], scores=[0.9, 0.8])
    case = DetectionCase(boxes, Boxes([[0, 0, 4, 4]]))
    assert froc([case], hit=IouHit(0.5)).curve_fps[-1] == 1
    assert froc([case]).curve_fps[-1] == 0


def luna16(scans, fps):
    """Follow the rules in millimetres, one threshold after the other."""
    per_scan, total = [], 0
    for scan in scans:
        step = np.asarray(scan.spacing)
        marks = [tuple(mark) for mark in scan.preds.centres * step]
        finds, excused = [], set()
        for sphere, size, out in zip(
            scan.reference.centres * step, scan.reference.sizes * step, scan.ignored, strict=True
        ):
            near = {n for n, mark in enumerate(marks) if math.dist(mark, sphere) < size[0] / 2}
            excused |= near
            if not out:
                finds.append(max((scan.preds.scores[n] for n in near), default=-math.inf))
        total += len(finds)
        wrong = [s for n, s in enumerate(scan.preds.scores) if n not in excused]
        per_scan.append((finds, wrong))
    x, y = [0.0], [0.0]
    finds = [score for found, _ in per_scan for score in found]
    wrongs = [score for _, wrong in per_scan for score in wrong]
    for threshold in sorted({*finds, *wrongs} - {-math.inf}, reverse=True):
        x.append(sum(score >= threshold for score in wrongs) / len(scans))
        y.append(sum(score >= threshold for score in finds) / total)
    values = []
    for at in fps:
        left = max(n for n, value in enumerate(x) if value <= at)
        if left + 1 == len(x):
            values.append(y[left])
        else:
            slope = (y[left + 1] - y[left]) / (x[left + 1] - x[left])
            values.append(y[left] + slope * (at - x[left]))
    return values


@pytest.mark.parametrize("steps", [10_000, 8], ids=["few ties", "many ties"])
def test_the_curve_is_that_of_the_rules(steps):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        scans = []
        for number in range(12):
            spacing = tuple(rng.uniform(0.5, 2, 3))
            spheres = np.hstack([rng.uniform(0, 40, (5, 3)), rng.uniform(3, 30, (5, 1))])
            spheres = spheres[: 0 if number % 3 == 2 else rng.integers(1, 6)]
            excluded = np.hstack([rng.uniform(0, 40, (2, 3)), rng.uniform(3, 15, (2, 1))])
            marks = np.hstack([rng.uniform(0, 40, (20, 3)), rng.random((20, 1))])
            marks[:, 3] = np.round(marks[:, 3] * steps) / steps
            scans.append(scan(marks[: rng.integers(0, 21)], spheres, excluded, spacing))
        fps = (*LUNA16_FPS, 0.3, 0.7, 3.3)
        assert froc(scans, fps=fps).sensitivities == pytest.approx(luna16(scans, fps), abs=1e-12)


def test_a_scan_of_weight_two_is_that_scan_twice(random_cases):
    cases = random_cases(5, ndim=3, n_cases=10, classes=1, steps=12)
    counted = tally(cases, CentreHit())
    weights = case_weights(10, resamples=20)
    for row, mine in zip(weights, weighted_sensitivities(counted, weights), strict=True):
        drawn = [case for case, times in zip(cases, row, strict=True) for _ in range(times)]
        assert mine == pytest.approx(froc(drawn).sensitivities, abs=1e-12)
