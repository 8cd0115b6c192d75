from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from medseg.data.case import Case, Dataset
from medseg.data.prepare.object_problems import check_objects, object_problems
from medseg.errors import InputError, InputErrors
from medseg.labels import LabelScheme
from medseg.objects import ObjectRule
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint

SCHEME = LabelScheme({"background": 0, "cell": 1, "platelet": 2})
CASE = CaseFingerprint(
    id="a",
    shape=(64, 64),
    spacing=(1.0, 1.0),
    orientation=None,
    cropped_shape=(64, 64),
    image_dtype="uint8",
    label_dtype="boxes",
    foreground=(None,),
    nonzero=(None,),
    label_voxels=(100, 10, 10),
    objects=((0, 10.0, 10.0), (1, 4.0, 5.0)),
)
EMPTY = replace(CASE, id="b", objects=())


def fingerprint(*cases: CaseFingerprint) -> Fingerprint:
    return Fingerprint(("red",), SCHEME.to_dict(), cases, (None,))


def dataset(*ids: str) -> Dataset:
    return Dataset(
        root=Path("data"),
        format="voc",
        channels=("red",),
        labels=SCHEME,
        cases=tuple(Case(i, (Path(f"{i}.png"),)) for i in ids),
        objects=ObjectRule("boxes"),
    )


def test_sound_objects_pass_and_an_empty_image_is_a_negative():
    check_objects(fingerprint(CASE, EMPTY), dataset("a", "b"))


def test_no_object_at_all_is_refused():
    with pytest.raises(InputError, match="no image has an object"):
        check_objects(fingerprint(EMPTY), dataset("b"))


def test_a_class_without_objects_is_refused_by_name():
    cells = replace(CASE, objects=((0, 10.0, 10.0),))
    with pytest.raises(InputErrors, match="'platelet'") as refused:
        check_objects(fingerprint(cells), dataset("a"))
    assert refused.value.problems[0].remedy == 'leave it out: data.labels={"cell": 1}'


def test_what_is_empty_rare_or_tiny_is_said():
    many = [replace(CASE, id=f"c{i}", objects=((0, 10.0, 10.0),)) for i in range(20)]
    tiny = replace(CASE, objects=((1, 2.0, 9.0),))
    said = list(object_problems(fingerprint(*many, tiny, EMPTY)))
    assert "nothing is to be found in b" in said[0]
    assert any("'platelet' are rare: in 1 of 22 images" in line for line in said)
    assert any("'platelet' are tiny: 2 voxels" in line for line in said)
    assert not any("'cell'" in line for line in said)


def test_of_masks_nothing_is_said():
    assert not list(object_problems(fingerprint(replace(CASE, objects=None))))
