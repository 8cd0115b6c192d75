from __future__ import annotations

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.inference.detection.keeping import KeepRule, suppressed

CLASSES = ("nodule", "mass")
# Two of a class that overlap by 6 / 10, one of the other in the same place, one small and apart.
BOXES = Boxes(
    [[0, 0, 8, 10], [2, 0, 10, 10], [0, 0, 8, 10], [30, 30, 32, 32]],
    [0, 0, 1, 0],
    [0.4, 0.9, 0.3, 0.2],
)


def test_a_box_beside_a_surer_one_of_its_class_goes():
    assert suppressed(BOXES, 0.5).scores.tolist() == [0.9, 0.3, 0.2]
    assert suppressed(BOXES, 0.7).scores.tolist() == BOXES.scores.tolist()


def test_small_boxes_go_by_millimetres_and_class():
    rule = KeepRule(min_size={"nodule": 5})
    assert rule.clean(BOXES, CLASSES, (1, 1)).scores.tolist() == [0.4, 0.9, 0.3]
    assert len(rule.clean(BOXES, CLASSES, (2.5, 2.5))) == 4
    other = KeepRule(min_size={"mass": 9})
    assert other.clean(BOXES, CLASSES, (1, 1)).scores.tolist() == [0.4, 0.9, 0.2]


def test_a_score_is_for_its_class():
    rule = KeepRule(score={"nodule": 0.4})
    assert rule.sure(BOXES, CLASSES).scores.tolist() == [0.4, 0.9, 0.3]
    assert len(rule.clean(BOXES, CLASSES, (1, 1))) == 4


def test_no_rule_keeps_all_and_no_boxes_stay_none():
    assert KeepRule().clean(BOXES, CLASSES, (1, 1)) is BOXES
    assert len(KeepRule().sure(BOXES, CLASSES)) == 4
    rule = KeepRule(nms=0.3, min_size={"nodule": 3}, score={"mass": 0.5})
    nothing = BOXES[:0]
    assert len(rule.sure(rule.clean(nothing, CLASSES, (1, 1)), CLASSES)) == 0


def test_a_rule_survives_its_plain_form():
    rule = KeepRule(0.3, {"nodule": 3}, {"mass": 0.5})
    assert KeepRule.from_dict(rule.to_dict()) == rule
    assert KeepRule.from_dict({"min_size": None}) == KeepRule()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"nms": 1.5}, "nms is an IoU"),
        ({"nms": "high"}, "nms must be a number"),
        ({"nms": True}, "nms must be a number"),
        ({"score": 0.5}, "score has a number for each class"),
        ({"score": {"nodule": -1}}, "score must not be negative"),
        ({"score": {"nodule": 2}}, "so high a score"),
        ({"min_size": {"nodule": -4}}, "min_size must not be negative"),
        ({"min_size": {"nodule": float("nan")}}, "min_size must be a number"),
        ({"mni_size": {}}, "nothing about boxes has this name"),
        ([], "does not say which boxes are kept"),
    ],
)
def test_what_is_no_rule_is_refused(state, said):
    with pytest.raises(InputError, match=said):
        KeepRule.from_dict(state)


def test_suppression_keeps_the_order():
    order = np.argsort(-suppressed(BOXES, 0.5).corners[:, 0], kind="stable")
    assert order.tolist() == [2, 0, 1]
