"""Box lists: a row for each object."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from medseg.data import formats
from medseg.errors import InputError
from medseg.objects import ObjectRule


@pytest.fixture
def boxlist(tmp_path):
    def write(*rows, images=("scans/a.nii.gz", "scans/b.nii.gz"), name="boxes.csv"):
        for image in images:
            path = tmp_path / image
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        (tmp_path / name).write_text("\n".join(rows) + "\n")
        return tmp_path

    return write


CORNERS = "image,class,xmin,ymin,zmin,xmax,ymax,zmax"
ROW = "scans/a.nii.gz,nodule,1,2,3,4,6,8"


def only(found):
    return found.cases[0].annotation


def test_it_is_recognised_in_its_folder_and_as_a_file(boxlist):
    root = boxlist(CORNERS, ROW)
    assert formats.recognise(root).format == "boxlist"
    assert formats.recognise(root / "boxes.csv").format == "boxlist"
    assert formats.read(root / "boxes.csv").objects == ObjectRule("boxes")


def test_corners_in_voxels(boxlist):
    found = formats.read(boxlist(CORNERS, ROW))
    assert only(found).frame == "voxels" and only(found).objects == ((1, 2, 3, 4, 6, 8),)
    assert found.labels.foreground == ("nodule",)


@pytest.mark.parametrize(
    ("header", "row", "corners"),
    [
        ("image,x,y,z,width,height,depth", "scans/a.nii.gz,1,2,3,10,20,5", (1, 2, 3, 11, 22, 8)),
        ("image,x,y,width,height,slice", "scans/a.nii.gz,1,2,10,20,7", (1, 2, 7, 11, 22, 8)),
        ("image;X1;Y1;X2;Y2;Slice", "scans/a.nii.gz;1;2;10;20;7", (1, 2, 7, 10, 20, 8)),
        ("id,x_min,y_min,x_max,y_max,z_min,z_max", "a,1,2,10,20,7,9", (1, 2, 7, 10, 20, 9)),
    ],
)
def test_columns_are_known_by_their_usual_names(boxlist, header, row, corners):
    assert only(formats.read(boxlist(header, row))).objects == (corners,)


def test_x_is_a_pictures_column(boxlist, tmp_path):
    root = boxlist("image,x,y,width,height", "a.png,1,2,10,5", images=())
    Image.new("RGB", (20, 12)).save(root / "a.png")
    found = formats.read(root)
    assert only(found).objects == ((2, 1, 7, 11),)
    assert found.channels == ("red", "green", "blue")


@pytest.mark.parametrize(
    ("header", "sphere"),
    [
        ("seriesuid,coordX,coordY,coordZ,diameter_mm", (-10.5, 20, 3, 6)),
        ("case,x_ras,y_ras,z_ras,diameter", (10.5, -20, 3, 6)),
    ],
)
def test_points_in_mm_are_turned_to_ras(boxlist, header, sphere):
    found = formats.read(boxlist(header, "a,10.5,-20,3,6", name="points.csv"))
    assert only(found).frame == "spheres" and only(found).objects == (sphere,)


def test_rows_of_one_object_are_its_slices(boxlist):
    rows = [
        "a,7,1,2,5,5,10",
        "a,7,0,3,5,5,11",
        "a,8,1,2,5,5,10",
        "a,,30,30,5,5,1",
        "a,,30,30,5,5,2",
    ]
    found = formats.read(boxlist("id,nodule_id,x,y,width,height,slice", *rows))
    assert only(found).objects == (
        (0, 2, 10, 6, 8, 12),
        (1, 2, 10, 6, 7, 11),
        (30, 30, 1, 35, 35, 2),
        (30, 30, 2, 35, 35, 3),
    )


def test_an_empty_row_says_that_there_is_nothing(boxlist):
    root = boxlist(CORNERS, ROW, "scans/b.nii.gz,,,,,,,")
    found = formats.read(root)
    assert [len(c.annotation.objects) for c in found.cases] == [1, 0]
    assert found.notes == ("1 image without any object: b",)
    with pytest.raises(InputError, match="1 image without any object"):
        formats.read(root, objects={"empty": "error"})


def test_groups_and_splits(boxlist):
    header = CORNERS + ",group,split"
    rows = [
        f"scans/{n}.nii.gz,nodule,1,2,3,4,6,8,g{n},{s}"
        for n, s in zip("abc", ("train", "val", "test"), strict=True)
    ]
    found = formats.read(boxlist(header, *rows, images=[f"scans/{n}.nii.gz" for n in "abc"]))
    assert found.splits == ({"train": ["a"], "val": ["b"]},)
    assert [c.group for c in found.cases] == ["ga", "gb"]
    assert [c.id for c in found.unlabelled] == ["c"]


def test_a_series_is_found_by_its_number(boxlist, write_series):
    root = boxlist("series_uid,x,y,z,width,height,depth", "1.5.5,1,1,0,2,2,1", images=())
    write_series(root / "deep/er", np.zeros((4, 4, 2)), series="1.5.5")
    (case,) = formats.read(root).cases
    assert case.id == "1.5.5" and case.images == (root / "deep/er",)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("scans/a.nii.gz,nodule,4,2,3,1,6,8", "line 3 has a negative size"),
        ("scans/a.nii.gz,nodule,1,2,3,1,6,8", "line 3 has no size"),
        ("scans/a.nii.gz,nodule,1,2,x,4,6,8", "line 3: zmin is no number"),
        ("scans/a.nii.gz,nodule,,2,3,4,6,8", "line 3: xmin is no number"),
        (ROW, "line 3 is the same as line 2"),
        (",nodule,1,2,3,4,6,8", "line 3: image is empty"),
        ("scans/a.nii.gz,nodule,1,2,3", "line 3 has another number of cells"),
        ("scans/gone.nii.gz,nodule,1,2,3,4,6,8", "1 image that cannot be found"),
        ("a" * 5000 + ",nodule,1,2,3,4,6,8", "1 image that cannot be found"),
        ("~nobody/a.nii.gz,nodule,1,2,3,4,6,8", "1 image that cannot be found"),
        ("scans/../scans/a.nii.gz,nodule,1,2,3,4,6,8", "names one image in two ways"),
        ("scans/a.nii.gz,,11,12,13,14,16,18", "line 3: class is empty"),
    ],
)
def test_a_wrong_row_is_refused_by_its_line(boxlist, row, words):
    with pytest.raises(InputError, match=words) as error:
        formats.read(boxlist(CORNERS, ROW, row))
    assert error.value.file.name == "boxes.csv"


def test_a_decimal_comma_is_named(boxlist):
    header, row = (text.replace(",", ";") for text in (CORNERS, ROW))
    with pytest.raises(InputError, match="line 2: xmin is no number") as error:
        formats.read(boxlist(header, row.replace(";1;", ";1,5;")))
    assert error.value.expected == "a number with a decimal point"


def test_without_any_class_all_are_of_one(boxlist):
    found = formats.read(boxlist(CORNERS, ROW.replace("nodule", "")))
    assert found.labels.foreground == ("object",)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_any_system_ends_them(boxlist, end):
    root = boxlist(CORNERS, ROW)
    (root / "boxes.csv").write_bytes(end.join([CORNERS, ROW, ""]).encode("utf-8-sig"))
    assert formats.read(root).cases[0].annotation.objects == ((1, 2, 3, 4, 6, 8),)


def test_a_column_that_is_there_twice_is_refused(boxlist):
    with pytest.raises(InputError, match="has the column 'class' twice"):
        formats.read(boxlist(CORNERS + ",class", ROW + ",other"))


def test_images_of_one_name_in_two_folders_are_told_apart(boxlist):
    images = ("p1/ct.nii.gz", "p2/ct.nii.gz")
    rows = [f"{image},nodule,1,2,3,4,6,8" for image in images]
    found = formats.read(boxlist(CORNERS, *rows, images=images))
    assert [(case.id, case.images[0].parent.name) for case in found.cases] == [
        ("p1_ct", "p1"),
        ("p2_ct", "p2"),
    ]


def test_rows_that_contradict_each_other_are_refused(boxlist):
    header = CORNERS + ",group"
    with pytest.raises(InputError, match="line 3: group"):
        formats.read(boxlist(header, ROW + ",p1", "scans/a.nii.gz,nodule,9,9,9,10,10,10,p2"))


def test_a_name_of_several_images_wants_a_path(boxlist):
    root = boxlist("id,x,y,z,width,height,depth", "a,1,1,0,2,2,1", images=("p/a.nii", "q/a.nii"))
    with pytest.raises(InputError, match="of which there are several"):
        formats.read(root)


def test_a_table_that_is_none_says_what_is_wanted(boxlist):
    root = boxlist("image,label", "scans/a.nii.gz,scans/b.nii.gz")
    assert formats.recognise(root).format == "datalist"
    with pytest.raises(InputError, match="no box list"):
        formats.read(root, format="boxlist")


def test_it_is_not_taken_for_a_datalist(boxlist):
    assert formats.FORMATS["datalist"].recognise(boxlist(CORNERS, ROW)) is None


def test_text_in_another_encoding_is_said(boxlist):
    root = boxlist(CORNERS, ROW)
    (root / "boxes.csv").write_bytes(b"image,x,y,width,height\n\xff\xfe,1,1,1,1\n")
    with pytest.raises(InputError, match="UTF-8"):
        formats.read(root)
