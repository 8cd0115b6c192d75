from __future__ import annotations

import numpy as np
import pytest

from medseg.geometry.boxes import Boxes
from medseg.metrics import CentreHit, DetectionCase
from medseg.metrics.case_rows import case_rows, working_points
from medseg.metrics.tally import tally

OBJECTS = Boxes([[0, 0, 10, 10], [20, 20, 30, 30]])


def rows_at(*least):
    found = Boxes([[0, 0, 10, 10], [50, 50, 60, 60], [20, 20, 30, 30]], scores=[0.9, 0.6, 0.3])
    cases = [DetectionCase(found, OBJECTS), DetectionCase(found, OBJECTS)]
    counted = [tally(cases, CentreHit())]
    return case_rows(["a", "b"], ["cell"], counted, np.array(least)[:, None])


def test_each_case_counts_from_its_own_score():
    rows = rows_at(0.5, 0.95)
    assert rows["a"]["cell"] == {"references": 2, "found": 1, "missed": 1, "false": 1}
    assert rows["b"]["cell"] == {"references": 2, "found": 0, "missed": 2, "false": 0}


def test_working_points_are_of_all_cases_together():
    point = working_points(rows_at(0.5, 0.2), ["cell"])["cell"]
    # Found 1 and 2 of 2 each, a false alarm in each.
    assert point["sensitivity"] == 3 / 4 and point["precision"] == 3 / 5 and point["fps"] == 1
    assert point["f1"] == pytest.approx(2 * 3 / (4 + 3 + 2))


def test_what_is_undefined_is_none():
    none = Boxes(np.zeros((0, 4)), scores=[])
    counted = [tally([DetectionCase(none, Boxes.none(2))], CentreHit())]
    rows = case_rows(["a"], ["cell"], counted, np.zeros((1, 1)))
    point = working_points(rows, ["cell"])["cell"]
    assert point == {"sensitivity": None, "precision": None, "f1": None, "fps": 0}
    assert working_points({}, ["cell"])["cell"]["fps"] is None
