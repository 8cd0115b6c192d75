"""What is an object, and of which class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medseg.data import formats
from medseg.data.formats.targets import rule_of
from medseg.errors import InputError
from medseg.objects import ObjectRule


def rule(own, asked):
    return rule_of(own, asked, source=Path("root"))


BOXES = ObjectRule("boxes")


def test_masks_are_segmented_unless_objects_are_asked_for():
    assert rule(None, None) is None
    assert rule(None, "instances") == ObjectRule("instances")
    assert rule(None, {"source": "components", "smallest": 5}).smallest == 5
    assert rule(None, ObjectRule(connectivity=1)) == ObjectRule(connectivity=1)


def test_a_format_of_objects_keeps_its_source_and_takes_the_rest():
    assert rule(BOXES, None) == BOXES
    assert rule(BOXES, {"empty": "error"}) == ObjectRule("boxes", empty="error")
    assert rule(BOXES, {"source": None, "smallest": 1}) == BOXES
    assert rule(ObjectRule("instances"), {"source": None, "smallest": 3}).smallest == 3


@pytest.mark.parametrize(
    ("own", "asked", "words"),
    [
        (None, "boxes", "has masks, no boxes"),
        (BOXES, "components", "tells of its objects by boxes"),
        (BOXES, {"sorce": "boxes"}, "did you mean 'source'"),
        (BOXES, {"empty": "maybe"}, "cannot be 'maybe'"),
        (None, "blobs", "cannot be 'blobs'"),
        (None, {"source": "components", "smallest": 0}, "1 at least"),
        (None, {"source": "components", "connectivity": "x"}, "whole number"),
        (BOXES, {"smallest": 3}, "smallest has no meaning where objects are boxes"),
        (None, {"source": "instances", "connectivity": 1}, "connectivity has no meaning"),
    ],
)
def test_what_cannot_be_is_refused(own, asked, words):
    with pytest.raises(InputError, match=words):
        rule(own, asked)


@pytest.fixture
def folders(tmp_path):
    import nibabel as nib

    for name, kind in (("images", np.float32), ("labels", np.uint8)):
        (tmp_path / name).mkdir()
        data = np.zeros((6, 6, 6), dtype=kind)
        data[1:3, 1:3, 1:3] = 7
        data[4, 4, 4] = 300 % 256
        nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / name / "a.nii.gz")
    return tmp_path


def test_masks_become_components_of_their_own_classes(folders):
    found = formats.read(folders, labels={"lesion": 7, "other": 44}, objects="components")
    assert found.objects == ObjectRule("components")
    assert found.labels.foreground == ("lesion", "other")


def test_regions_of_masks_may_be_the_classes(folders):
    regions = {"both": [7, 44], "inner": [44]}
    found = formats.read(folders, labels={"a": 7, "b": 44}, regions=regions, objects="components")
    assert found.labels.foreground == ("both", "inner")


def test_instance_maps_have_one_class_and_are_not_opened(folders):
    (folders / "labels/a.nii.gz").write_bytes(b"never opened")
    found = formats.read(folders, objects="instances")
    assert dict(found.labels.values) == {"background": 0, "object": 1}
    assert found.cases[0].instances is None and found.objects == ObjectRule("instances")
    assert formats.read(folders, labels={"cell": 1}, objects="instances").labels.foreground == (
        "cell",
    )


def test_instances_of_several_classes_need_a_table(folders):
    with pytest.raises(InputError, match="which instance is of which class") as error:
        formats.read(folders, labels={"cell": 1, "nucleus": 2}, objects="instances")
    assert "one class" in error.value.remedy


def test_a_value_map_is_for_masks(folders):
    with pytest.raises(InputError, match="value_map has no meaning where objects are instances"):
        formats.read(folders, objects="instances", options={"value_map": {7: 0}})
    assert formats.read(folders, objects="components", options={"value_map": {7: 1, 44: 1}})


@pytest.fixture
def listed(tmp_path):
    """Give a function that reads a box list of these classes."""

    def read(*classes, **how):
        (tmp_path / "a.nii.gz").touch()
        rows = [f"a.nii.gz,{name},{n},{n},2,2" for n, name in enumerate(classes)]
        (tmp_path / "boxes.csv").write_text("\n".join(["image,class,x,y,width,height", *rows]))
        return formats.read(tmp_path, **how)

    return read


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("background", "'background', which is where no object is"),
        ("Background", "'Background', which is where no object is"),
        ("-1", "'-1', which is a number below 0"),
        ("nod\0ule", "signs that cannot be shown"),
        ("a\u200bb", "signs that cannot be shown"),
    ],
)
def test_what_is_no_name_of_a_class_is_refused_by_its_file(listed, name, words):
    with pytest.raises(InputError, match=words) as error:
        listed("cell", name)
    assert error.value.file.name == "boxes.csv" and error.value.remedy


def test_names_in_any_language_and_numbers_are_names(listed):
    found = listed("Zelle (groß)", "細胞", "2")
    assert set(found.labels.foreground) == {"Zelle (groß)", "細胞", "2"}


def test_classes_that_differ_in_case_only_are_noted(listed):
    assert (
        "classes that differ in their letters' case only: Cell and cell"
        in listed("cell", "Cell").notes
    )
    assert listed("cell", "cells").notes == ()


def test_a_class_below_0_is_refused(listed):
    with pytest.raises(InputError, match="below 0"):
        listed("cell", labels={"cell": -1})


def test_presets_and_regions_are_of_masks(folders):
    with pytest.raises(InputError, match="neither presets nor regions"):
        formats.read(folders, labels="brats2021", objects="instances")
    with pytest.raises(InputError, match="neither presets nor regions"):
        formats.read(folders, regions={"x": [1]}, objects="instances")


def test_a_class_that_nobody_has_is_noted(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "boxes.csv").write_text("image,class,x,y,width,height\na.nii.gz,b,1,1,2,2\n")
    found = formats.read(tmp_path, labels={"b": 1, "c": 2})
    assert found.notes == ("no object is of class c",)


def test_without_any_object_the_classes_must_be_named(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "boxes.csv").write_text("image,class,x,y,width,height\na.nii.gz,,,,,\n")
    with pytest.raises(InputError, match="no image has an object") as error:
        formats.read(tmp_path)
    assert "data.labels" in error.value.remedy
    assert formats.read(tmp_path, labels={"b": 1}).labels.foreground == ("b",)
