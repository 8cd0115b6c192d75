from __future__ import annotations

import numpy as np
import pytest

from medseg.geometry.boxes import Boxes
from medseg.metrics import DetectionCase


def test_a_class_keeps_its_best_boxes_in_their_order():
    preds = Boxes(np.tile([0.0, 0, 4, 4], (4, 1)), [0, 1, 1, 1], [0.9, 0.2, 0.5, 0.5])
    case = DetectionCase(preds, Boxes([[0.0, 0, 4, 4]], [1]))
    part = case.of_class(1, limit=2)
    assert part.scores.tolist() == [0.5, 0.5]
    assert len(case.of_class(0).reference) == 0
    assert case.of_class(1, limit=1).scores.tolist() == [0.5]


@pytest.mark.parametrize(
    ("preds", "reference", "options", "says"),
    [
        (Boxes.none(2), Boxes.none(2), {}, "scores"),
        (Boxes([[0, 0, 1, 1]], scores=[np.nan]), Boxes.none(2), {}, "finite"),
        (Boxes([[0, 0, 1, 1]], scores=[1]), Boxes.none(3), {}, "2D against 3D"),
        (Boxes([[0, 0, 1, 1]], scores=[1]), Boxes.none(2), {"ignored": [True]}, "ignored"),
        (Boxes([[0, 0, 1, 1]], scores=[1]), Boxes.none(2), {"spacing": (1, 1, 1)}, "spacing"),
    ],
)
def test_what_does_not_fit_is_refused(preds, reference, options, says):
    with pytest.raises(ValueError, match=says):
        DetectionCase(preds, reference, **options)


def test_crowds_are_ignored_and_a_voxel_is_a_millimetre_unless_said():
    boxes = Boxes([[0, 0, 1, 1], [0, 0, 2, 2]])
    case = DetectionCase(Boxes([[0, 0, 1, 1]], scores=[1]), boxes, crowd=[False, True])
    assert case.ignored.tolist() == [False, True]
    assert case.spacing == (1, 1)
    assert case.reference_diameters.tolist() == [1, 2]
