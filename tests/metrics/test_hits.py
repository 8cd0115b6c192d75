from __future__ import annotations

import numpy as np
import pytest

from medseg.geometry.boxes import Boxes, from_centre_size
from medseg.metrics import CentreHit, DetectionCase, IouHit
from medseg.metrics.hits import MISSED, NEITHER, match_by_centre, match_by_iou

F, T = False, True


def test_the_best_score_chooses_first():
    overlap = np.array([[0.6], [0.9]])
    found = match_by_iou(overlap, np.array([0.8, 0.7]), threshold=0.5)
    assert found.matched.tolist() == [0, MISSED]
    assert found.found_by.tolist() == [0]


def test_each_takes_the_largest_overlap_that_is_free():
    overlap = np.array([[0.6, 0.7], [0.6, 0.8]])
    found = match_by_iou(overlap, np.array([0.9, 0.5]), threshold=0.5)
    assert found.matched.tolist() == [1, 0]
    assert found.found_by.tolist() == [1, 0]


def test_the_first_of_equal_scores_chooses_first():
    found = match_by_iou(np.array([[0.5], [0.9]]), np.array([0.5, 0.5]), threshold=0.5)
    assert found.matched.tolist() == [0, MISSED]


def test_the_threshold_itself_is_a_hit():
    overlap = np.array([[0.5]])
    assert match_by_iou(overlap, np.ones(1), threshold=0.5).found_by.tolist() == [0]
    assert match_by_iou(overlap, np.ones(1), threshold=0.51).found_by.tolist() == [MISSED]


def test_an_ignored_object_is_taken_last_and_once():
    overlap = np.array([[0.6, 0.9], [0.6, 0.9], [0.6, 0.9]])
    found = match_by_iou(
        overlap, np.array([0.9, 0.8, 0.7]), threshold=0.5, ignored=np.array([F, T])
    )
    assert found.matched.tolist() == [0, NEITHER, MISSED]
    assert found.found_by.tolist() == [0, NEITHER]


def test_a_crowd_excuses_any_number():
    found = match_by_iou(np.full((3, 1), 0.9), np.ones(3), threshold=0.5, crowd=np.array([T]))
    assert found.matched.tolist() == [NEITHER] * 3


@pytest.mark.parametrize("preds", [0, 2])
@pytest.mark.parametrize("objects", [0, 3])
def test_nothing_finds_nothing(preds, objects):
    apart = np.zeros((preds, objects))
    for found in (
        match_by_iou(apart, np.ones(preds), threshold=0.1),
        match_by_centre(apart > 0, np.ones(preds)),
    ):
        assert found.matched.tolist() == [MISSED] * preds
        assert found.found_by.tolist() == [MISSED] * objects


def nodules(*spheres, spacing=(1.0, 1.0, 1.0)) -> np.ndarray:
    given = np.array(spheres, dtype=float).reshape(-1, 4)
    return from_centre_size(given[:, :3], given[:, 3:] / np.asarray(spacing))


def luna_case(candidates, spheres, *, excluded=(), spacing=(1.0, 1.0, 1.0)) -> DetectionCase:
    """Candidates ``(i, j, k, score)``; spheres ``(i, j, k, diameter in mm)``."""
    marks = np.array(candidates, dtype=float).reshape(-1, 4)
    boxes = from_centre_size(marks[:, :3], np.full((len(marks), 3), 2.0))
    return DetectionCase(
        Boxes(boxes, scores=marks[:, 3]),
        Boxes(nodules(*spheres, *excluded, spacing=spacing)),
        ignored=[F] * len(spheres) + [T] * len(excluded),
        spacing=spacing,
    )


def test_a_centre_within_the_radius_is_a_hit_and_on_it_is_none():
    case = luna_case([(14.99, 10, 10, 0.9), (10, 15, 10, 0.8)], [(10, 10, 10, 10)])
    assert CentreHit()(case).matched.tolist() == [0, MISSED]


def test_the_radius_is_in_millimetres():
    # 5 mm are 10 voxels along i and 2 along k.
    spheres, spacing = [(20, 20, 20, 10)], (0.5, 0.5, 2.5)
    case = luna_case([(29, 20, 20, 0.9), (20, 20, 22.1, 0.8)], spheres, spacing=spacing)
    assert CentreHit()(case).matched.tolist() == [0, MISSED]


def test_several_candidates_on_a_nodule_count_once_and_with_the_best_score():
    case = luna_case([(10, 10, 10, 0.4), (11, 10, 10, 0.9), (9, 10, 10, 0.6)], [(10, 10, 10, 8)])
    found = CentreHit()(case)
    assert found.found_by.tolist() == [1]
    assert found.matched.tolist() == [NEITHER, 0, NEITHER]


def test_candidates_on_excluded_findings_count_neither_way():
    case = luna_case(
        [(40, 40, 40, 0.9), (41, 40, 40, 0.8), (70, 70, 70, 0.7)],
        [(10, 10, 10, 8)],
        excluded=[(40, 40, 40, 10)],
    )
    found = CentreHit()(case)
    assert found.matched.tolist() == [NEITHER, NEITHER, MISSED]
    assert found.found_by.tolist() == [MISSED, NEITHER]


def test_a_candidate_on_a_nodule_and_an_excluded_finding_has_found_the_nodule():
    case = luna_case([(10, 10, 10, 0.9)], [(11, 10, 10, 8)], excluded=[(10, 10, 10, 10)])
    assert CentreHit()(case).found_by.tolist() == [0, NEITHER]


def test_a_candidate_on_two_nodules_has_found_both():
    case = luna_case([(12, 10, 10, 0.9)], [(10, 10, 10, 8), (14, 10, 10, 8)])
    found = CentreHit()(case)
    assert found.found_by.tolist() == [0, 0]
    assert found.matched.tolist() == [0]


def test_a_box_without_size_is_found_by_nobody():
    case = luna_case([(10, 10, 10, 0.9)], [(10, 10, 10, 0)])
    assert CentreHit()(case).found_by.tolist() == [MISSED]
    assert IouHit(0.1)(case).found_by.tolist() == [MISSED]
