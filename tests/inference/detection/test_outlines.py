from __future__ import annotations

import json

import numpy as np
import pytest
from torch import nn

from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes
from medseg.inference.detection.keeping import KeepRule
from medseg.inference.detection.outlines import outlined, require_outlines
from medseg.inference.detection.result import Detections
from medseg.labels import LabelScheme

LABELS = LabelScheme({"background": 0, "cell": 10, "nucleus": 20})
NAMES = LABELS.foreground


def mask() -> np.ndarray:
    drawn = np.zeros((20, 30), np.uint8)
    drawn[2:8, 3:9] = 1
    drawn[2:8, 20:26] = 2
    return drawn


def found(*scores: float) -> Detections:
    boxes = [[2, 3, 8, 9], [2, 6, 8, 9], [2, 20, 8, 26], [12, 12, 18, 18]]
    classes = [0, 0, 1, 0]
    return Detections(Boxes(boxes, classes, [*scores]), Grid.from_spacing((20, 30)), NAMES)


def test_each_object_says_its_value_its_box_its_class_and_its_score(tmp_path):
    made = outlined(found(0.9, 0.3, 0.8, 0.7), mask(), LABELS)
    made.save(tmp_path / "a.json")
    state = json.loads((tmp_path / "a.json").read_text())
    said = [(one["value"], one["box"], one["class"], one["score"]) for one in state["instances"]]
    assert said == [(1, 1, "cell", 0.9), (2, 3, "nucleus", 0.8)]
    assert (made.map == mask()).all()
    # The box around the outline, not the one that found it.
    assert state["instances"][1]["voxels"] == {"lower": [2, 20], "upper": [8, 26]}


def test_a_doubtful_box_has_no_share_in_a_sure_ones_mask_unless_the_rule_counts_it():
    unsure = found(0.9, 0.3, 0.8, 0.7)
    assert outlined(unsure, mask(), LABELS).sources.tolist() == [0, 2]
    rule = KeepRule(score={"cell": 0.2})
    assert outlined(unsure, mask(), LABELS, keep=rule).sources.tolist() == [0, 1, 2]
    strict = KeepRule(score={"cell": 0.95, "nucleus": 0.1})
    assert outlined(unsure, mask(), LABELS, keep=strict).sources.tolist() == [2]


def test_a_box_without_mask_goes_or_is_an_ellipsoid():
    sure = found(0.9, 0.3, 0.8, 0.7)
    drawn = outlined(sure, mask(), LABELS, without_mask="ellipsoid")
    assert drawn.sources.tolist() == [0, 2, 3] and drawn.map[15, 15] == 3


def test_nothing_found_is_an_empty_map():
    none = Detections(Boxes.none(2), Grid.from_spacing((20, 30)), NAMES)
    made = outlined(none, mask(), LABELS)
    assert not made.map.any() and made.to_dict()["instances"] == []


def test_regions_that_overlap_are_refused_before_anything_is_computed():
    network = nn.Module()
    network.segmenter = nn.Identity()
    apart = LabelScheme({"background": 0, "a": 1, "b": 2}, {"A": (1,), "B": (2,)})
    require_outlines([network], apart)
    nested = LabelScheme({"background": 0, "a": 1, "b": 2}, {"whole": (1, 2), "core": (2,)})
    with pytest.raises(InputError, match="overlap"):
        require_outlines([network], nested)
    with pytest.raises(InputError, match="boxes only"):
        require_outlines([network, nn.Module()], apart)
