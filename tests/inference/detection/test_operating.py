from __future__ import annotations

import numpy as np
import pytest

from medseg.geometry.boxes import Boxes
from medseg.inference.detection.operating import operating_points
from medseg.metrics import DetectionCase, IouHit
from medseg.metrics.hits import MISSED
from medseg.metrics.tally import Tally, tally


def counted(scores, hits, *, there: int, cases: int = 2) -> Tally:
    count = len(scores)
    references = np.zeros(cases, dtype=np.int64)
    references[0] = there
    return Tally(
        np.array(scores, dtype=float),
        np.array(hits, dtype=bool),
        np.zeros(count, dtype=np.int64),
        np.full(count, np.nan),
        references,
    )


# Found, found, wrong, found, wrong, wrong: F1 of the first k is 2 tp / (4 + k).
LIST = counted([0.9, 0.8, 0.7, 0.6, 0.3, 0.1], [1, 1, 0, 1, 0, 0], there=4)


def test_the_best_f1_is_found_and_the_score_lies_between_the_boxes():
    at, without = operating_points(LIST)
    assert 0.3 < at.score <= 0.6
    assert at[1:] == pytest.approx((3 / 4, 1 / 2, 6 / 8))
    assert without.score is None and without[1:] == pytest.approx((3 / 4, 3 / 2, 6 / 10))


@pytest.mark.parametrize(
    ("fps", "sensitivity", "reached"),
    [(0, 0.5, 0.0), (0.5, 0.75, 0.5), (0.99, 0.75, 0.5), (1, 0.75, 1.0)],
)
def test_as_much_is_found_as_with_so_many_false_positives(fps, sensitivity, reached):
    at, _ = operating_points(LIST, fps)
    assert (at.sensitivity, at.fps) == (sensitivity, reached)
    kept = LIST.scores >= at.score
    assert (~LIST.hits[kept]).sum() / 2 == reached


def test_all_boxes_count_where_that_is_best_or_allowed():
    assert operating_points(LIST, 2)[0].score is None
    assert operating_points(counted([0.9, 0.2], [1, 1], there=2))[0].score is None
    assert operating_points(counted([], [], there=2))[0] == (None, 0, 0, 0)


def test_equal_scores_are_not_parted():
    at, _ = operating_points(counted([0.9, 0.5, 0.5, 0.5, 0.5], [1, 1, 0, 0, 0], there=2))
    assert at.sensitivity == 1 / 2 and 0.5 < at.score <= 0.9
    # Without a false positive nothing can be kept of these.
    at, _ = operating_points(counted([0.5, 0.5], [0, 1], there=1), 0)
    assert at.sensitivity == 0 and at.score > 0.5
    at, _ = operating_points(counted([1.0, 1.0], [0, 1], there=1), 0)
    assert at.score > 1


def test_of_equally_good_points_the_one_that_finds_more_is_taken():
    # 2·1 / (2 + 1) = 2·2 / (2 + 4).
    at, _ = operating_points(counted([0.9, 0.8, 0.7, 0.6, 0.1], [1, 0, 0, 1, 0], there=2))
    assert at.sensitivity == 1


@pytest.mark.parametrize("seed", range(4))
def test_the_best_f1_is_that_of_trying_every_score(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for _ in range(6):
        lower = rng.uniform(0, 60, (rng.integers(0, 5), 2))
        true = np.hstack([lower, lower + 10])
        mine = np.vstack([true + rng.uniform(-3, 3, true.shape), rng.uniform(0, 40, (4, 4))])
        mine[:, 2:] = np.maximum(mine[:, 2:], mine[:, :2] + 1)
        scores = np.round(rng.uniform(0, 1, len(mine)), 1)
        cases.append(DetectionCase(Boxes(mine, scores=scores), Boxes(true)))
    rule = IouHit(0.3)
    best = 0.0
    for score in np.linspace(0, 1, 11) - 0.05:
        tp = fp = there = 0
        for case in cases:
            shown = case.preds[case.scores >= score]
            matched = rule(DetectionCase(shown, case.reference)).matched
            tp, fp = tp + (matched >= 0).sum(), fp + (matched == MISSED).sum()
            there += len(case.reference)
        best = max(best, 2 * tp / (there + tp + fp))
    assert operating_points(tally(cases, rule))[0].f1 == pytest.approx(best)


def test_the_score_is_a_short_number_near_the_middle():
    for above, below in (
        (0.6, 0.5),
        (0.91, 0.12),
        (0.5004, 0.5003),
        (1e-5, 2e-6),
        (0.3, 0.3 - 1e-16),
    ):
        at, _ = operating_points(counted([above, below], [1, 0], there=1))
        assert below < at.score <= above
    assert operating_points(counted([0.6, 0.5], [1, 0], there=1))[0].score == 0.55
    assert operating_points(counted([0.91, 0.12], [1, 0], there=1))[0].score == 0.5
