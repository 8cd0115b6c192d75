"""Pascal VOC folders."""

from __future__ import annotations

import pytest
from PIL import Image

from medseg.data import formats
from medseg.errors import InputError
from medseg.objects import ObjectRule

BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"


def an_object(name="RBC", box=(3, 5, 10, 8), extra=""):
    return f"<object><name>{name}</name>{extra}{BOX.format(*box)}</object>"


@pytest.fixture
def voc(tmp_path):
    """Give a function that writes pictures of 20 x 12 (columns x rows) and their objects."""

    def write(objects, **lists):
        for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name, listed in objects.items():
            Image.new("RGB", (20, 12)).save(tmp_path / f"JPEGImages/{name}.jpg")
            if listed is not None:
                text = f"<annotation><filename>x</filename>{''.join(listed)}</annotation>"
                (tmp_path / f"Annotations/{name}.xml").write_text(text)
        for part, names in lists.items():
            (tmp_path / f"ImageSets/Main/{part}.txt").write_text("\n".join(names))
        return tmp_path

    return write


def test_it_is_recognised_and_says_what_is_an_object(voc):
    root = voc({"a": [an_object()]})
    assert formats.recognise(root).format == "voc"
    found = formats.read(root)
    assert found.format == "voc" and found.objects == ObjectRule("boxes")
    assert found.channels == ("red", "green", "blue")


def test_pixels_count_from_1_and_rows_come_first(voc):
    found = formats.read(voc({"a": [an_object(box=(3, 5, 10, 8))]}))
    # Columns 3 to 10 and rows 5 to 8 of VOC are columns [2, 10) and rows [4, 8).
    assert found.cases[0].annotation.objects == ((4, 2, 8, 10),)
    assert found.cases[0].annotation.file.name == "a.xml"


def test_classes_are_numbered_by_name_from_1(voc):
    root = voc({"a": [an_object("WBC")], "b": [an_object("RBC"), an_object("WBC")]})
    found = formats.read(root)
    assert dict(found.labels.values) == {"background": 0, "RBC": 1, "WBC": 2}
    assert [c.annotation.classes for c in found.cases] == [(1,), (0, 1)]


def test_the_recipe_may_name_and_order_the_classes(voc):
    root = voc({"a": [an_object("WBC"), an_object("RBC")]})
    found = formats.read(root, labels={"WBC": 1, "RBC": 2})
    assert found.labels.foreground == ("WBC", "RBC")
    assert found.cases[0].annotation.classes == (0, 1)


def test_a_class_that_the_recipe_lacks_is_refused_by_its_file(voc):
    root = voc({"a": [an_object("WBC")], "b": [an_object("wbc")]})
    with pytest.raises(InputError, match="unknown class") as error:
        formats.read(root, labels={"WBC": 1})
    assert error.value.file.name == "b.xml" and error.value.found == "wbc"
    assert "data.labels" in error.value.remedy


def test_a_picture_without_objects_is_a_negative_and_noted(voc):
    found = formats.read(voc({"a": [an_object()], "b": [], "c": None}))
    assert [len(c.annotation.objects) for c in found.cases] == [1, 0, 0]
    assert found.notes == ("2 pictures without any object: b, c",)


def test_a_picture_without_objects_was_forgotten_where_the_rule_says_so(voc):
    root = voc({"a": [an_object()], "b": [], "c": None})
    with pytest.raises(InputError, match="2 images without any object") as error:
        formats.read(root, objects={"empty": "error"})
    assert error.value.found == "b, c" and "empty: negative" in error.value.remedy


def test_train_and_val_are_the_fold_and_test_is_kept_out(voc):
    every = {name: [an_object()] for name in "abcde"}
    root = voc(every, train=["a", "b"], val=["c"], trainval=["a", "b", "c"], test=["d"])
    found = formats.read(root)
    assert found.splits == ({"train": ["a", "b"], "val": ["c"]},)
    assert [c.id for c in found.cases] == ["a", "b", "c"]
    assert [c.id for c in found.unlabelled] == ["d"]
    assert found.notes == ("1 picture that no list names, left out: e",)


def test_one_list_alone_makes_no_fold(voc):
    assert formats.read(voc({"a": [an_object()]}, trainval=["a"])).splits == ()


def test_difficult_objects_count_in_no_score(voc):
    hard = an_object(box=(1, 1, 4, 4), extra="<difficult>1</difficult>")
    found = formats.read(voc({"a": [an_object(), hard]}))
    assert found.cases[0].annotation.ignored == ((0, 0, 4, 4),)
    assert len(found.cases[0].annotation.objects) == 1
    assert "1 difficult object" in found.notes[0]


def test_clicks_and_counting_from_0_are_noted(voc):
    found = formats.read(
        voc({"a": [an_object(box=(4, 4, 4, 4))], "b": [an_object(box=(0, 3, 5, 5))]})
    )
    assert "single pixel" in found.notes[0] and "a" in found.notes[0]
    assert "pixel 0" in found.notes[1] and "b" in found.notes[1]


def test_annotations_of_a_missing_picture_are_refused(voc):
    root = voc({"a": [an_object()], "b": [an_object()]})
    (root / "JPEGImages/b.jpg").unlink()
    with pytest.raises(InputError, match="1 annotation without a picture") as error:
        formats.read(root)
    assert error.value.found == "b.xml"


def test_two_pictures_of_one_name_are_refused(voc):
    root = voc({"a": [an_object()]})
    Image.new("L", (20, 12)).save(root / "JPEGImages/a.PNG")
    with pytest.raises(InputError, match="two files are of case a") as error:
        formats.read(root)
    assert error.value.found == "a.PNG and a.jpg"


def test_the_suffix_of_an_annotation_may_be_in_capitals(voc):
    root = voc({"a": [an_object()], "b": [an_object()]})
    (root / "Annotations/b.xml").rename(root / "Annotations/b.XML")
    assert [len(c.annotation.objects) for c in formats.read(root).cases] == [1, 1]


def test_what_is_another_document_is_no_negative(voc):
    root = voc({"a": [an_object()], "b": []})
    (root / "Annotations/b.xml").write_text("<html><body/></html>")
    with pytest.raises(InputError, match="no annotation of Pascal VOC") as error:
        formats.read(root)
    assert error.value.file.name == "b.xml" and error.value.found == "<html>"


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ("<size><width>20</width><height>12</height><depth>3</depth></size>", (12, 20)),
        ("<size><width>0</width><height>0</height></size>", None),
        ("<size><width>20</width></size>", None),
        ("", None),
    ],
)
def test_the_size_of_the_picture_is_known_where_it_is_said(voc, size, shape):
    found = formats.read(voc({"a": [size, an_object()]}))
    assert found.cases[0].annotation.shape == shape


def test_a_list_with_a_missing_picture_is_refused(voc):
    with pytest.raises(InputError, match="lists 1 picture") as error:
        formats.read(voc({"a": [an_object()]}, train=["a", "x"]))
    assert error.value.file.name == "train.txt" and error.value.found == "x"


def test_a_picture_in_both_parts_is_refused(voc):
    with pytest.raises(InputError, match=r"both in train\.txt and in val\.txt"):
        formats.read(voc({"a": [an_object()]}, train=["a"], val=["a"]))


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([an_object(box=(10, 5, 3, 8))], "object 1 has a negative size: its corners are swapped"),
        ([an_object(box=(4, 5, 3, 8))], "object 1 has no size"),
        ([an_object(), an_object()], "object 2 is the same as object 1"),
        ([an_object(box=("x", 5, 10, 8))], "object 1: <bndbox/xmin> is no number"),
        ([an_object(box=("nan", 5, 10, 8))], "object 1 has a coordinate that is no finite number"),
        (["<object><name>RBC</name></object>"], "object 1 has no <bndbox/xmin>"),
        (["<object></object>"], "object 1 has no <name>"),
        (["<object>"], "well-formed"),
    ],
)
def test_what_is_no_box_is_refused_by_its_file(voc, listed, words):
    root = voc({"a": [an_object()], "b": listed})
    with pytest.raises(InputError, match=words) as error:
        formats.read(root)
    assert error.value.file.name == "b.xml" and error.value.found is not None


def test_an_xml_bomb_is_refused(voc):
    root = voc({"a": [an_object()]})
    (root / "Annotations/a.xml").write_text(
        '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'
    )
    with pytest.raises(InputError, match="document type"):
        formats.read(root)


def test_masks_are_not_there_to_take_components_of(voc):
    with pytest.raises(InputError, match="tells of its objects by boxes"):
        formats.read(voc({"a": [an_object()]}), objects="components")


def test_bccd_is_read_as_its_authors_describe_it(real_data):
    root = real_data("detection/bccd")
    assert formats.recognise(root).format == "voc"
    found = formats.read(root)
    assert len(found.cases) == 292 and found.unlabelled == ()
    assert found.labels.foreground == ("Platelets", "RBC", "WBC")
    classes = [number for case in found.cases for number in case.annotation.classes]
    assert [classes.count(number) for number in range(3)] == [292, 3350, 301]
    assert [len(part) for part in found.splits[0].values()] == [205, 87]
    # <xmin>260</xmin> <ymin>177</ymin> <xmax>491</xmax> <ymax>376</ymax>, a white cell
    assert found.cases[0].annotation.objects[0] == (176, 259, 376, 491)
    # The one thing that is odd: two red cells are boxes from (504, 337) to (504, 337) and the like.
    (note,) = found.notes
    assert note.startswith("objects of a single pixel")
    assert note.endswith(": BloodImage_00338, BloodImage_00343")


def test_every_box_of_bccd_lies_within_its_picture(real_data):
    from medseg.data.prepare.object_checks import check_boxes
    from medseg.data.prepare.raw import load

    found = formats.read(real_data("detection/bccd"))
    for case in found.cases[::20]:
        grid = load(case.images[0]).grid
        boxes = case.annotation.boxes(grid)
        checked = check_boxes(boxes, grid, case.annotation.file, classes=found.labels.foreground)
        assert checked.notes == () and len(checked.boxes) == len(case.annotation.objects)
