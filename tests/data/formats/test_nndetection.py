"""nnDetection's tasks: instance maps and the classes of their instances."""

from __future__ import annotations

import json

import pytest

from medseg.data import formats
from medseg.errors import InputError
from medseg.objects import ObjectRule

STATE = {
    "task": "Task000_Example",
    "dim": 3,
    "labels": {"0": "square", "1": "hole"},
    "modalities": {"0": "CT", "1": "PET"},
}
YAML = 'task: T\nlabels: {"0": square, "1": hole}\nmodalities:\n  0: CT\n  1: PET\n'


@pytest.fixture
def task(tmp_path):
    def write(tables, inner="raw_splitted", name="dataset.json", text=None):
        (tmp_path / name).write_text(text or json.dumps(STATE))
        for folder in ("imagesTr", "labelsTr", "imagesTs"):
            (tmp_path / inner / folder).mkdir(parents=True, exist_ok=True)
        for case, state in tables.items():
            for channel in range(2):
                (tmp_path / inner / f"imagesTr/{case}_{channel:04d}.nii.gz").touch()
            (tmp_path / inner / f"labelsTr/{case}.nii.gz").touch()
            if state is not None:
                text_of = state if isinstance(state, str) else json.dumps(state)
                (tmp_path / inner / f"labelsTr/{case}.json").write_text(text_of)
        return tmp_path

    return write


TWO = {"a": {"instances": {"1": 0, "2": 1}}, "b": {"instances": {}}}


@pytest.mark.parametrize("inner", [".", "raw_splitted", "raw_splitted_data"])
def test_it_is_recognised_and_read(task, inner):
    root = task(TWO, inner)
    (root / inner / "imagesTs/t_0000.nii.gz").touch()
    (root / inner / "imagesTs/t_0001.nii.gz").touch()
    assert formats.recognise(root).format == "nndetection"
    found = formats.read(root)
    assert found.objects == ObjectRule("instances")
    assert dict(found.labels.values) == {"background": 0, "square": 1, "hole": 2}
    assert [c.instances for c in found.cases] == [((1, 0), (2, 1)), ()]
    assert [c.label.name for c in found.cases] == ["a.nii.gz", "b.nii.gz"]
    assert [len(c.images) for c in found.cases] == [2, 2]
    assert found.channels == ("CT", "PET") and [c.id for c in found.unlabelled] == ["t"]


def test_a_description_in_yaml_works_too(task):
    root = task(TWO, name="dataset.yaml", text=YAML)
    assert formats.recognise(root).format == "nndetection"
    assert formats.read(root).labels.foreground == ("square", "hole")


def test_yaml_cannot_run_code(task):
    root = task(TWO, name="dataset.yaml", text="!!python/object/apply:os.system ['true']\n")
    with pytest.raises(InputError, match="not YAML"):
        formats.read(root, format="nndetection")


def test_channels_are_chosen_by_name(task):
    found = formats.read(task(TWO), channels=["PET"])
    assert [p.name for p in found.cases[0].images] == ["a_0001.nii.gz"]


def test_classes_are_ordered_as_the_recipe_asks(task):
    found = formats.read(task(TWO), labels={"hole": 1, "square": 2})
    assert found.cases[0].instances == ((1, 1), (2, 0))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"instances": {"1": 2}}, "instance 1 is of an unknown class"),
        ({"instances": {"1": -1}}, "instance 1 is of an unknown class"),
        ({"instances": {"0": 0}}, "count from 1"),
        ({"instances": {"x": 0}}, "must be a whole number"),
        ({"instances": [0]}, "must be an object"),
        ({"Instances": {}}, "has no 'instances'"),
        ('{"instances": {', "not JSON"),
        ({"instances": {"1": 0, "01": 0}}, "instance 1 is listed twice"),
    ],
)
def test_a_table_that_cannot_be_is_refused_by_its_file(task, state, words):
    with pytest.raises(InputError, match=words) as error:
        formats.read(task({**TWO, "c": state}))
    assert error.value.file.name == "c.json"


def test_a_map_without_a_table_is_refused(task):
    with pytest.raises(InputError, match="no file that gives") as error:
        formats.read(task({**TWO, "c": None}))
    assert error.value.file.name == "c.nii.gz" and "c.json" in error.value.expected


def test_a_table_without_a_map_is_refused(task):
    root = task(TWO)
    (root / "raw_splitted/labelsTr/gone.json").write_text('{"instances": {}}')
    with pytest.raises(InputError, match="1 table of instances without a map") as error:
        formats.read(root)
    assert error.value.found == "gone.json"


def test_an_empty_table_stays_one(task):
    found = formats.read(task({**TWO, "c": {"instances": {}}}))
    assert [case.instances for case in found.cases if case.id == "c"] == [()]


def test_two_maps_of_one_case_are_refused(task):
    root = task(TWO)
    (root / "raw_splitted/labelsTr/b.nii").write_bytes(b"")
    with pytest.raises(InputError, match="two files are of case b"):
        formats.read(root)


@pytest.mark.parametrize("name", [None, "", ["square"]])
def test_a_class_without_a_name_is_refused(task, name):
    state = {**STATE, "labels": {"0": "square", "1": name}}
    with pytest.raises(InputError, match="must name what has number 1"):
        formats.read(task(TWO, text=json.dumps(state)))


def test_a_map_without_an_image_is_refused(task):
    root = task(TWO)
    for channel in range(2):
        (root / f"raw_splitted/imagesTr/b_{channel:04d}.nii.gz").unlink()
    with pytest.raises(InputError, match="1 label without an image"):
        formats.read(root)


def test_numbers_must_count_from_0(task):
    state = {**STATE, "labels": {"1": "square"}}
    with pytest.raises(InputError, match="must number its labels 0, 1"):
        formats.read(task(TWO, text=json.dumps(state)))


def test_nnunet_does_not_take_it_for_its_own(task):
    assert formats.FORMATS["nnunet"].recognise(task(TWO)) is None
