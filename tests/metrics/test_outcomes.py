from __future__ import annotations

import json

import numpy as np
import pytest

from medseg.geometry.boxes import Boxes
from medseg.metrics import CentreHit, DetectionCase, IouHit
from medseg.metrics.average_precision import average_precision_of
from medseg.metrics.froc import froc_of
from medseg.metrics.outcomes import outcomes, tally_of
from medseg.metrics.tally import tally

RULES = {"hit": CentreHit(), "0.3": IouHit(0.3)}


@pytest.mark.parametrize("name", RULES)
def test_what_is_written_gives_the_scores_of_the_boxes_again(random_cases, name):
    cases = random_cases(3, n_cases=30, crowd=0.2)
    for label in (0, 1):
        told = json.loads(json.dumps([outcomes(case, RULES, label=label) for case in cases]))
        whole = tally(cases, RULES[name], label=label)
        again = tally_of(told, name, whole.references.tolist())
        for key in ("scores", "hits", "cases", "references"):
            assert np.array_equal(getattr(whole, key), getattr(again, key)), key
        assert average_precision_of(again) == average_precision_of(whole)
        assert froc_of(again).sensitivities == froc_of(whole).sensitivities


def test_each_box_has_a_sign():
    objects = Boxes([[0, 0, 10, 10], [4, 0, 14, 10], [50, 50, 60, 60]])
    found = Boxes(
        [[2, 0, 12, 10], [30, 30, 40, 40], [50, 50, 60, 60], [3, 0, 11, 10]],
        scores=[0.5, 0.9, 0.7, 0.4],
    )
    case = DetectionCase(found, objects, ignored=[False, False, True])
    told = outcomes(case, {"hit": CentreHit()}, label=0)
    # A false alarm; in an ignored object; in two objects at once; in objects that are found.
    assert told == {"scores": "0.9 0.7 0.5 0.4", "hits": {"hit": "0-2-"}}


def test_a_case_without_boxes_is_ordinary():
    told = outcomes(
        DetectionCase(Boxes(np.zeros((0, 6)), scores=[]), Boxes.none(3)), RULES, label=0
    )
    assert told == {"scores": "", "hits": {"hit": "", "0.3": ""}}
    assert len(tally_of([told], "hit", [0]).scores) == 0


@pytest.mark.parametrize("scores", ["0.5", "0.5 nan", "0.5 x", "0.5 0.4 0.3"])
def test_what_does_not_go_together_is_an_error(scores):
    with pytest.raises(ValueError):
        tally_of([{"scores": scores, "hits": {"hit": "10"}}], "hit", [1])
