from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.inference.detection.choosing import choose
from medseg.inference.detection.keeping import KeepRule
from medseg.metrics import DetectionCase, mean_average_precision
from medseg.metrics.froc import froc

CLASSES = ("nodule",)
OBJECTS = np.array([[10, 10, 10, 20, 20, 20], [40, 40, 40, 50, 50, 50]], dtype=float)


def case(boxes, scores, *, objects=OBJECTS, classes=None, spacing=(1, 1, 1)) -> DetectionCase:
    boxes = np.array(boxes, dtype=float).reshape(-1, 6)
    return DetectionCase(
        Boxes(boxes, classes, np.array(scores, dtype=float)), Boxes(objects), spacing=spacing
    )


def shifted(boxes, by: float) -> np.ndarray:
    return np.add(boxes, [0, 0, by, 0, 0, by])


def steps(choice, step: str) -> list[float]:
    return [trial.value for trial in choice.kept if trial.step == step]


def test_a_second_box_on_each_object_is_dropped():
    # 4 of 10 voxels aside: an IoU of 6 / 14 = 0.43 with the first, and surer than the other object.
    boxes = [*OBJECTS[:1], *shifted(OBJECTS[:1], 4), *OBJECTS[1:], *shifted(OBJECTS[1:], 4)]
    cases = [case(boxes, [0.9, 0.8, 0.7, 0.6])] * 3
    found = choose(cases, CLASSES)
    assert found.rule.nms == 0.4
    # What it brings is the difference of the scores with and without, measured anew.
    (trial,) = [one for one in found.kept if one.step == "nms"]
    cleaned = [replace(c, preds=found.rule.clean(c.preds, CLASSES, c.spacing)) for c in cases]
    assert trial.before == pytest.approx(mean_average_precision(cases, classes=1))
    assert trial.after == pytest.approx(mean_average_precision(cleaned, classes=1)) == 1


def test_objects_that_overlap_are_not_dropped():
    near = np.vstack([OBJECTS[:1], shifted(OBJECTS[:1], 4)])
    cases = [case(near, [0.9, 0.8], objects=near)] * 3
    found = choose(cases, CLASSES)
    assert found.rule.nms is None and found.rule == KeepRule()
    assert all(not trial.kept for trial in found.trials)


def test_small_false_alarms_are_dropped_by_their_size_in_mm():
    dust = [[30, 30, 30, 34, 34, 34]]
    cases = [case([*dust, *OBJECTS], [0.95, 0.9, 0.8], spacing=(1, 1, 2))] * 3
    found = choose(cases, CLASSES)
    # 4 voxels at 1 x 1 x 2 mm against 10: of the sizes that drop the dust the smallest.
    dust_mm, object_mm = 4 * 2 ** (1 / 3), 10 * 2 ** (1 / 3)
    tried = [trial.value for trial in found.trials if trial.step == "min_size"]
    assert found.rule.min_size["nodule"] == min(size for size in tried if size > dust_mm)
    assert found.rule.min_size["nodule"] < object_mm and max(tried) > object_mm


def test_small_objects_are_not_dropped():
    objects = np.vstack([OBJECTS, [[30, 30, 30, 34, 34, 34]]])
    found = choose([case(objects, [0.9, 0.8, 0.7], objects=objects)] * 3, CLASSES)
    assert found.rule.min_size == {}


def test_the_score_parts_what_is_found_from_what_is_not():
    alarms = [[70 + 20 * k, 5, 5, 80 + 20 * k, 15, 15] for k in range(3)]
    cases = [case([*OBJECTS, *alarms], [0.9, 0.7, 0.4, 0.3, 0.2])] * 4
    found = choose(cases, CLASSES)
    assert 0.4 < found.rule.score["nodule"] <= 0.7
    assert found.operating["nodule"][1:] == (1, 0, 1)
    (trial,) = [one for one in found.kept if one.step == "score"]
    assert (trial.before, trial.after) == (pytest.approx(2 * 2 / (2 + 5)), 1)


def test_with_false_positives_allowed_the_score_is_lower():
    alarms = [[70 + 20 * k, 5, 5, 80 + 20 * k, 15, 15] for k in range(3)]
    cases = [case([*OBJECTS, *alarms], [0.9, 0.25, 0.4, 0.3, 0.2])] * 4
    strict, loose = choose(cases, CLASSES, operate=1), choose(cases, CLASSES, operate=2)
    assert 0.3 < strict.rule.score["nodule"] <= 0.4 and strict.operating["nodule"].fps == 1
    assert 0.2 < loose.rule.score["nodule"] <= 0.25
    assert loose.operating["nodule"].sensitivity == 1


def test_each_step_stands_on_those_before_it():
    dust = np.array([[30, 30, 30, 34, 34, 34]])
    boxes = [*dust, *OBJECTS[:1], *shifted(OBJECTS[:1], 4), *OBJECTS[1:]]
    found = choose([case(boxes, [0.95, 0.9, 0.8, 0.7])] * 3, CLASSES)
    nms, size = (trial for trial in found.kept if trial.step != "score")
    assert (nms.step, size.step) == ("nms", "min_size")
    assert nms.before < nms.after == size.before < size.after == 1


def test_the_competition_measure_can_choose_too():
    dust = [[30, 30, 30, 34, 34, 34]]
    cases = [case([*dust, *OBJECTS], [0.95, 0.9, 0.8])] * 3
    found = choose(cases, CLASSES, criterion="cpm")
    (trial,) = [one for one in found.kept if one.step == "min_size"]
    assert (trial.measure, trial.before, trial.after) == ("CPM", froc(cases).cpm, 1)


def test_a_class_without_objects_is_given_nothing():
    boxes = np.vstack([OBJECTS, OBJECTS + 100])
    cases = [case(boxes, [0.9, 0.8, 0.7, 0.6], classes=[0, 0, 1, 1])] * 3
    found = choose(cases, ("nodule", "mass"))
    assert set(found.operating) == {"nodule"}
    assert {trial.of for trial in found.trials} <= {"", "nodule"}


def test_ignored_objects_choose_nothing():
    tiny = Boxes([[30, 30, 30, 32, 32, 32], *OBJECTS], [0, 0, 0])
    preds = Boxes(OBJECTS, scores=[0.9, 0.8])
    counts = DetectionCase(preds, tiny)
    excluded = DetectionCase(preds, tiny, ignored=[True, False, False])

    def tried(case: DetectionCase) -> list[float]:
        found = choose([case] * 3, CLASSES)
        return [trial.value for trial in found.trials if trial.step == "min_size"]

    assert tried(excluded) == [4, 6, 8, 10, 12] and max(tried(counts)) < 4
    all_excluded = DetectionCase(preds, tiny, ignored=[True] * 3)
    with pytest.raises(InputError, match="no held-out case has an object"):
        choose([all_excluded], CLASSES)


def test_classes_are_judged_each_by_itself():
    dust = np.array([[30, 30, 30, 34, 34, 34]])
    objects = np.vstack([OBJECTS, dust])
    truth = Boxes(objects, [0, 0, 1])
    preds = Boxes(np.vstack([objects, dust + 30]), [0, 0, 1, 0], [0.8, 0.7, 0.9, 0.95])
    found = choose([DetectionCase(preds, truth)] * 3, ("nodule", "dust"))
    assert set(found.rule.min_size) == {"nodule"}


def test_cases_without_boxes_or_objects_are_ordinary():
    none = case([], [], objects=np.zeros((0, 6)))
    alarm = case([[70, 5, 5, 80, 15, 15]], [0.85], objects=np.zeros((0, 6)))
    missed = case([], [])
    found = choose([case(OBJECTS, [0.9, 0.8]), none, alarm, missed], CLASSES)
    assert found.operating["nodule"] == (None, 2 / 4, 1 / 4, pytest.approx(4 / 7))


def test_without_any_object_nothing_can_be_chosen():
    with pytest.raises(InputError, match="no held-out case has an object"):
        choose([case([], [], objects=np.zeros((0, 6)))], CLASSES)


@pytest.mark.parametrize("operate", [-1, float("nan"), "best"])
def test_a_point_that_is_none_is_refused(operate):
    with pytest.raises(InputError, match="no point to work at"):
        choose([case(OBJECTS, [0.9, 0.8])], CLASSES, operate=operate)
