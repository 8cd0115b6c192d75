from __future__ import annotations

import math

import numpy as np
import pytest

from medseg.geometry.boxes import Boxes, from_centre_size
from medseg.metrics import DetectionCase, average_precision, froc, size_table
from medseg.metrics.size_table import tertiles

DIAMETERS = (4, 5, 7, 8, 12, 14)


def case(found=(0, 2, 4), alarms=((3, 0.95),), ignored=None) -> DetectionCase:
    """Spheres in a row, some of them found with falling scores; alarms ``(diameter, score)``."""
    centres = np.array([[20 + 30 * n, 20, 20] for n in range(len(DIAMETERS))], dtype=float)
    boxes = from_centre_size(centres, np.array(DIAMETERS, dtype=float)[:, None].repeat(3, 1))
    wrong = [from_centre_size(np.full((1, 3), 90), np.full((1, 3), d)) for d, _ in alarms]
    scores = [*(0.9 - 0.1 * n for n in range(len(found))), *(score for _, score in alarms)]
    return DetectionCase(
        Boxes(np.vstack([boxes[list(found)], *wrong]), scores=scores),
        Boxes(boxes),
        ignored=ignored,
    )


def test_thirds_hold_as_many_objects():
    rows = size_table([case(), case()])
    assert [row.n for row in rows] == [4, 4, 4]
    assert rows[0].smallest == 0
    assert rows[-1].below == math.inf
    assert [row.found for row in rows] == [0.5, 0.5, 0.5]


def test_the_users_edges_part_by_millimetres():
    rows = size_table([case(found=(0, 1, 2))], edges=(6, 10))
    assert [(row.smallest, row.below, row.n) for row in rows] == [
        (0, 6, 2),
        (6, 10, 2),
        (10, math.inf, 2),
    ]
    assert [row.found for row in rows] == [1, 0.5, 0]
    twice = case()
    twice = DetectionCase(twice.preds, twice.reference, spacing=(2, 2, 2))
    assert [row.n for row in size_table([twice], edges=(6, 10))] == [0, 1, 5]


def test_false_alarms_of_all_sizes_cost_every_size():
    rows = size_table([case()], edges=(6, 10))
    # The alarm has the best score: up to one a scan there is nothing.
    assert [row.froc.sensitivities[2] for row in rows] == [0, 0, 0]
    assert [row.froc.sensitivities[3] for row in rows] == [0.5, 0.5, 0.5]


def test_precision_asks_only_for_alarms_of_that_size():
    low, middle, high = (row.ap for row in size_table([case()], edges=(6, 10)))
    assert middle == high == pytest.approx(51 / 101)
    assert low == pytest.approx(51 / 101 / 2)


def test_one_range_is_the_whole(random_cases):
    cases = random_cases(2)
    (row,) = size_table(cases, edges=(), label=1)
    assert row.ap == pytest.approx(average_precision(cases, label=1))
    assert row.froc.sensitivities == froc(cases, label=1).sensitivities
    assert row.n == sum(int((case.reference.classes == 1).sum()) for case in cases)


def test_ignored_objects_are_of_no_size():
    rows = size_table([case(ignored=[True] * 4 + [False] * 2)], edges=(6, 10))
    assert [row.n for row in rows] == [0, 0, 2]


def test_without_objects_there_is_one_range_and_no_score():
    nothing = DetectionCase(Boxes(np.zeros((0, 6)), scores=[]), Boxes.none(3))
    (row,) = size_table([nothing])
    assert row.n == 0
    assert math.isnan(row.found)
    assert math.isnan(row.ap)
    assert math.isnan(row.froc.cpm)


def test_equal_sizes_are_not_parted():
    assert tertiles(np.full(9, 5.0)) == []
    assert tertiles(np.array([5.0, 5, 5, 5, 9, 9])) == [pytest.approx(5 + 4 / 3)]
    assert len(tertiles(np.arange(9.0))) == 2


@pytest.mark.parametrize("edges", [(10, 6), (0, 6), (6, 6)])
def test_edges_that_do_not_rise_are_refused(edges):
    with pytest.raises(ValueError, match="rise"):
        size_table([case()], edges=edges)
