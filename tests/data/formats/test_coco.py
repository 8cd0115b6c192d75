"""COCO's JSON files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from medseg.data import formats
from medseg.errors import InputError
from medseg.geometry.boxes import from_coco, to_coco
from medseg.objects import ObjectRule


def table(**changes):
    state = {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 20, "height": 12},
            {"id": 8, "file_name": "b.png", "width": 20, "height": 12},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [2, 4, 8, 5.5]},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 20, 12], "iscrowd": 1},
        ],
        "categories": [{"id": 3, "name": "nucleus"}, {"id": 1, "name": "cell"}],
    }
    return {**state, **changes}


@pytest.fixture
def coco(tmp_path):
    def write(state=None, name="annotations/instances_train.json", folder="images"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        state = table() if state is None else state
        path.write_text(state if isinstance(state, str) else json.dumps(state))
        for entry in state["images"] if isinstance(state, dict) else []:
            Image.new("L", (20, 12)).save(tmp_path / folder / entry["file_name"])
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("annotations/instances_train.json", "images"),
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations.json", "."),
        ("train/_annotations.coco.json", "train"),
        ("annotations/train.json", "images/train"),
    ],
)
def test_it_is_recognised_where_its_files_usually_lie(coco, name, folder):
    root = coco(name=name, folder=folder)
    assert formats.recognise(root).format == "coco"
    assert [c.id for c in formats.read(root).cases] == ["a", "b"]


def test_the_file_itself_is_a_data_set(coco):
    root = coco()
    found = formats.read(root / "annotations/instances_train.json", format="auto")
    assert found.format == "coco"


def test_a_box_is_a_corner_and_a_size_x_first(coco):
    found = formats.read(coco())
    assert found.objects == ObjectRule("boxes")
    assert found.cases[0].annotation.objects == ((4, 2, 9.5, 10),)
    assert found.cases[0].annotation.classes == (1,)
    # Categories in the order of their ids.
    assert dict(found.labels.values) == {"background": 0, "cell": 1, "nucleus": 2}


@pytest.mark.parametrize(("width", "shape"), [(20, (12, 20)), (0, None), ("20", None)])
def test_the_size_of_a_picture_is_known_where_it_is_said(coco, width, shape):
    state = table(images=[{"id": 7, "file_name": "a.png", "width": width, "height": 12}])
    assert formats.read(coco(state)).cases[0].annotation.shape == shape


@pytest.mark.parametrize("said", [0, False, None, "0"])
def test_what_is_no_crowd_is_an_object_however_it_is_written(coco, said):
    found = formats.read(coco(table(**box(1, 1, 2, 2, iscrowd=said))))
    assert len(found.cases[0].annotation.objects) == 1


def test_crowds_count_in_no_score(coco):
    found = formats.read(coco())
    assert found.cases[0].annotation.ignored == ((0, 0, 12, 20),)
    assert "1 crowd, which count in no score" in found.notes


def test_a_picture_without_annotations_is_a_negative_unless_it_was_forgotten(coco):
    root = coco()
    found = formats.read(root)
    assert found.cases[1].annotation.objects == ()
    assert "1 picture without any object: b" in found.notes
    with pytest.raises(InputError, match="1 image without any object"):
        formats.read(root, objects={"empty": "error"})


def test_files_of_train_and_val_are_the_fold(coco):
    coco()
    other = table(images=[{"id": 1, "file_name": "c.png"}], annotations=[])
    root = coco(other, "annotations/instances_val.json")
    kept_out = table(images=[{"id": 1, "file_name": "d.png"}], annotations=[])
    coco(kept_out, "annotations/instances_test.json")
    found = formats.read(root)
    assert found.splits == ({"train": ["a", "b"], "val": ["c"]},)
    assert [c.id for c in found.unlabelled] == ["d"]


def test_pictures_of_one_name_in_two_folders_are_told_apart(coco):
    root = coco(table(images=[{"id": 7, "file_name": "a.png"}]), folder="images/left")
    coco(table(images=[{"id": 7, "file_name": "a.png"}]), folder="images/right")
    images = [{"id": 7, "file_name": "left/a.png"}, {"id": 8, "file_name": "right/a.png"}]
    (root / "annotations/instances_train.json").write_text(json.dumps(table(images=images)))
    assert [case.id for case in formats.read(root).cases] == ["images_left_a", "images_right_a"]


def test_a_picture_that_is_listed_twice_is_refused(coco):
    root = coco()
    images = [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "a.png"}]
    (root / "annotations/instances_train.json").write_text(json.dumps(table(images=images)))
    with pytest.raises(InputError, match="has 1 case id more than once"):
        formats.read(root)


def test_several_files_of_one_part_want_a_choice(coco):
    coco()
    root = coco(table(), "annotations/instances_other.json")
    with pytest.raises(InputError, match="several files of annotations") as error:
        formats.read(root)
    assert "data.datalist" in error.value.remedy
    chosen = formats.read(root, options={"datalist": "annotations/instances_other.json"})
    assert len(chosen.cases) == 2


def box(*numbers, **changes):
    entry = {"id": 1, "image_id": 7, "category_id": 3, "bbox": list(numbers)}
    return {"annotations": [{**entry, **changes}]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (box(1, 1, 2, 2, image_id=99), r"annotations\[0\] is of a picture that is not listed"),
        (box(1, 1, 2, 2, category_id=2), r"annotations\[0\] is of an unknown class"),
        (box(1, 1, 0, 2), r"annotations\[0\] has no size"),
        (box(1, 1, 2, -2), r"annotations\[0\] has a negative size"),
        (box(1, 1, 2), "no box"),
        (box(1, 1, "2", 2), "no box"),
        (box(1, 1, True, 2), "no box"),
        (box(10**400, 1, 2, 2), r"annotations\[0\] has a coordinate that is no finite number"),
        (box(1e308, 1, 1e308, 2), r"annotations\[0\] has a coordinate that is no finite number"),
        (box(1, 1, 2, 2, iscrowd="yes"), r"annotations\[0\]: iscrowd must be a whole number"),
        ({"annotations": [{"id": 1}]}, r"annotations\[0\] lacks image_id, category_id, bbox"),
        ({"annotations": [3]}, r"annotations\[0\] lacks"),
        ({"annotations": box(1, 1, 2, 2)["annotations"] * 2}, "the same as"),
        ({"categories": []}, "must have categories"),
        ({"categories": [{"id": 1, "name": None}]}, r"categories\[0\] has no name"),
        ({"categories": [{"id": 1, "name": " "}]}, r"categories\[0\] has no name"),
        ({"categories": [{"id": 1, "name": "x"}, {"id": 3, "name": "x"}]}, "of its own name"),
        ({"categories": [{"id": 1, "name": "x"}, {"id": 1, "name": "y"}]}, "two names"),
    ],
)
def test_a_wrong_entry_is_refused_by_its_place(coco, changes, words):
    with pytest.raises(InputError, match=words) as error:
        formats.read(coco(table(**changes)))
    assert error.value.file.name == "instances_train.json"


def test_a_number_that_json_does_not_know_is_refused(coco):
    text = json.dumps(table()).replace("5.5", "NaN")
    root = coco()
    (root / "annotations/instances_train.json").write_text(text)
    with pytest.raises(InputError, match="no finite number"):
        formats.read(root)


def test_a_picture_that_is_missing_is_refused(coco):
    root = coco()
    (root / "images/b.png").unlink()
    with pytest.raises(InputError, match="lists 1 picture that cannot be found") as error:
        formats.read(root)
    assert error.value.found == "missing: b.png"


def test_a_name_that_is_too_long_for_a_file_is_no_picture(coco):
    root = coco()
    state = table(images=[{"id": 7, "file_name": "a" * 5000 + ".png"}], annotations=[])
    (root / "annotations/instances_train.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match="lists 1 picture that cannot be found"):
        formats.read(root)


def test_a_path_that_leaves_the_folder_is_refused(coco):
    root = coco()
    state = table(images=[{"id": 7, "file_name": "../../secret.png"}], annotations=[])
    (root / "annotations/instances_train.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match="leaves the data set's folder"):
        formats.read(root)


def test_damaged_json_says_where(coco):
    root = coco()
    path = root / "annotations/instances_train.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match="not JSON") as error:
        formats.read(path, format="coco")
    assert "line 1" in error.value.found


def test_a_damaged_file_is_not_left_out_with_what_it_holds(coco):
    root = coco()
    (root / "annotations/instances_val.json").write_text('{"images": [')
    with pytest.raises(InputError, match="not JSON") as error:
        formats.read(root)
    assert error.value.file.name == "instances_val.json"
    assert len(formats.read(root, options={"datalist": "annotations/instances_train.json"}).cases)


def test_real_boxes_come_back_from_a_file_that_pycocotools_reads_as_well(real_data, tmp_path):
    coco_tools = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    smears = formats.read(real_data("detection/bccd"))
    names = smears.labels.foreground
    state = {"images": [], "annotations": []}
    state["categories"] = [{"id": 10 + number, "name": name} for number, name in enumerate(names)]
    (tmp_path / "images").mkdir()
    for number, case in enumerate(smears.cases[:40]):
        (tmp_path / f"images/{case.id}.jpg").symlink_to(case.images[0])
        state["images"].append(
            {"id": number, "file_name": f"{case.id}.jpg", "width": 640, "height": 480}
        )
        listed = case.annotation
        for box, label in zip(to_coco(listed.objects).tolist(), listed.classes, strict=True):
            state["annotations"].append(
                {
                    "id": len(state["annotations"]) + 1,
                    "image_id": number,
                    "category_id": 10 + label,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(state))

    found = formats.read(tmp_path)
    assert found.format == "coco" and found.labels.foreground == names
    for mine, theirs in zip(found.cases, smears.cases[:40], strict=True):
        assert mine.id == theirs.id
        assert mine.annotation.objects == theirs.annotation.objects
        assert mine.annotation.classes == theirs.annotation.classes

    table = coco_tools.COCO(str(path))
    for number, case in enumerate(found.cases):
        boxes = [one["bbox"] for one in table.loadAnns(table.getAnnIds(imgIds=number))]
        assert np.array_equal(from_coco(np.array(boxes)), case.annotation.objects)
