from __future__ import annotations

import numpy as np
import pytest

from medseg.planning.detection_overlap import plan_overlap


def test_objects_that_lie_apart_take_what_suits_volumes():
    assert plan_overlap([0.0] * 50)[0] == 0.2
    assert plan_overlap([])[0] == 0.2


def test_crowded_objects_are_not_taken_for_one():
    overlap, why = plan_overlap(np.linspace(0, 0.5, 101).tolist())
    assert overlap == pytest.approx(0.49, abs=0.006) and "0.49" in why


def test_boxes_drawn_twice_do_not_let_everything_through():
    assert plan_overlap([1.0] * 50)[0] == 0.6
