from __future__ import annotations

import json

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes
from medseg.inference.detection.found_file import is_boxes, read_boxes
from medseg.inference.detection.result import Detections
from medseg.inference.detection.slicer import save_markups

CLASSES = ("nodule", "mass")


@pytest.fixture
def file(tmp_path):
    boxes = Boxes([[1, 2, 3, 4, 5, 6], [0, 0, 0, 9, 9, 9]], [1, 0], [0.75, 0.5])
    found = Detections(boxes, Grid.from_spacing((10, 10, 10), 2.0), CLASSES)
    found.save(tmp_path / "case.json")
    save_markups(found, tmp_path / "case.mrk.json")
    return tmp_path / "case.json"


def change(file, act):
    content = json.loads(file.read_text())
    act(content)
    file.write_text(json.dumps(content))


def test_what_was_written_is_read_in_the_order_of_classes_that_is_wanted(file):
    found = read_boxes(file)
    assert found.classes == CLASSES and found.boxes.classes.tolist() == [1, 0]
    turned = read_boxes(file, classes=("mass", "cell", "nodule"))
    assert turned.names == ["mass", "nodule"] and turned.boxes.classes.tolist() == [0, 2]
    assert np.array_equal(turned.boxes.corners, found.boxes.corners)
    assert turned.grid.spacing == (2, 2, 2) and turned.scores.tolist() == [0.75, 0.5]


def test_an_image_without_objects_is_ordinary(file):
    change(file, lambda content: content["objects"].clear())
    assert len(read_boxes(file, classes=CLASSES)) == 0


def test_boxes_are_told_from_other_json(file):
    assert is_boxes(file) and not is_boxes(file.with_name("case.mrk.json"))
    (file.parent / "metrics.json").write_text('{"cases": {}}')
    (file.parent / "labels.json").write_text("{")
    (file.parent / "broken.json").write_text("{")
    assert not is_boxes(file.parent / "metrics.json") and not is_boxes(file.parent / "labels.json")
    assert is_boxes(file.parent / "broken.json")  # it is refused with its name, not passed over


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"objects": []}', '{"objects": 3}', "\0"])
def test_what_is_no_such_file_is_refused(file, text):
    file.write_text(text)
    with pytest.raises(InputError, match="these are no boxes") as error:
        read_boxes(file)
    assert error.value.file == file


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_boxes(tmp_path / "absent.json")


def lose_a_number(content):
    content["objects"][0]["voxels"]["lower"].pop()


def lose_a_score(content):
    del content["objects"][0]["score"]


@pytest.mark.parametrize("spoil", [lose_a_number, lose_a_score])
def test_an_object_that_lacks_something_is_refused(file, spoil):
    change(file, spoil)
    with pytest.raises(InputError, match="these are no boxes"):
        read_boxes(file)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda one: one.update(score=float("nan")), "score is no finite number"),
        (lambda one: one.update(score=1.5), "beyond 0 and 1"),
        (lambda one: one.update(score=-0.1), "beyond 0 and 1"),
        (
            lambda one: one["voxels"].update(lower=[1, float("inf"), 3]),
            "coordinate that is no finite number",
        ),
        (lambda one: one["voxels"].update(lower=[5, 2, 3]), "corners swapped"),
    ],
)
def test_a_wrong_number_is_refused_with_its_object(file, spoil, message):
    change(file, lambda content: spoil(content["objects"][0]))
    with pytest.raises(InputError, match=message) as error:
        read_boxes(file)
    assert error.value.file == file and "object 1, mass" in error.value.found


def test_a_class_that_nobody_knows_is_refused(file):
    with pytest.raises(InputError, match="no class 'nodule'"):
        read_boxes(file, classes=("nodul", "mass"))
    change(file, lambda content: content["objects"][1].update({"class": "nodul"}))
    with pytest.raises(InputError, match="no class 'nodul'") as error:
        read_boxes(file)
    assert "nodule" in error.value.remedy
