"""What a data set is said to be: the hash by which a run knows that its data are the same."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from medseg.data.annotation import Annotation
from medseg.data.case import Case, Dataset
from medseg.labels import LabelScheme
from medseg.objects import ObjectRule
from medseg.stages.job import Job

LABELS = LabelScheme({"background": 0, "nodule": 1, "mass": 2})


def state(case: Case, rule: ObjectRule) -> str:
    data = Dataset("any", Path("data"), (case,), ("CT",), LABELS, objects=rule)
    recipe = SimpleNamespace(data=SimpleNamespace(empty_labels=False))
    job = SimpleNamespace(dataset=data, recipe=recipe, data_files={})
    return Job.data_state.func(job)


NUMBERED = Case("a", (Path("a.nii.gz"),), Path("map.nii.gz"), instances=((1, 0),))
DRAWN = Case("a", (Path("a.nii.gz"),), annotation=Annotation("voxels", ((1, 1, 3, 4),), (0,)))


@pytest.mark.parametrize(
    ("case", "other"),
    [
        (NUMBERED, replace(NUMBERED, instances=((1, 1),))),
        (DRAWN, replace(DRAWN, annotation=Annotation("voxels", ((1, 1, 3, 5),), (0,)))),
        (DRAWN, replace(DRAWN, annotation=Annotation("voxels", ((1, 1, 3, 4),), (1,)))),
    ],
    ids=["class of an instance", "box", "class of a box"],
)
def test_objects_are_part_of_the_data(case, other):
    rule = ObjectRule("boxes" if case is DRAWN else "instances")
    assert state(case, rule) == state(replace(case), rule) != state(other, rule)


def test_what_an_object_is_is_part_of_the_data():
    assert state(NUMBERED, ObjectRule("instances")) != state(
        NUMBERED, ObjectRule("instances", smallest=5)
    )
