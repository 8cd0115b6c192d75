from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from medseg.data import formats
from medseg.errors import InputError

LABELS = {"x": 1}


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def csv(root: Path, text: str, name="list.csv") -> Path:
    (root / name).write_text(text, encoding="utf-8")
    return root / name


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_gives_cases_with_groups(tmp_path, delimiter):
    touch(tmp_path, "a.nii.gz", "b.nii.gz", "m/a.nii.gz", "m/b.nii.gz")
    text = "ID, image,label,group\np1,a.nii.gz,m/a.nii.gz,f1\n\np2,b.nii.gz,m/b.nii.gz,f1\n"
    csv(tmp_path, text.replace(",", delimiter))
    assert formats.recognise(tmp_path).format == "datalist"
    found = formats.read(tmp_path, labels=LABELS)
    assert [(c.id, c.group) for c in found.cases] == [("p1", "f1"), ("p2", "f1")]
    assert found.cases[0].images == (tmp_path / "a.nii.gz",)
    assert formats.read(tmp_path / "list.csv", labels=LABELS).cases == found.cases


def test_channels_are_columns(tmp_path):
    touch(tmp_path, "a1.nii", "a2.nii", "m.nii")
    path = csv(tmp_path, "id,image_T1,image_T2w,label\na,a1.nii,a2.nii,m.nii\n")
    found = formats.read(path, labels=LABELS)
    assert found.channels == ("T1", "T2w")
    chosen = formats.read(path, labels=LABELS, channels=["T2w"])
    assert [p.name for p in chosen.cases[0].images] == ["a2.nii"]


def test_the_id_is_the_file_name_where_none_is_given(tmp_path):
    touch(tmp_path, "a.nii.gz", "m.nii.gz")
    path = csv(tmp_path, "image,label\na.nii.gz,m.nii.gz\n")
    assert formats.read(path, labels=LABELS).cases[0].id == "a"


def test_absolute_paths_are_the_users_own_choice(tmp_path):
    touch(tmp_path, "far/a.nii.gz", "far/m.nii.gz")
    (tmp_path / "near").mkdir()
    path = csv(tmp_path / "near", f"image,label\n{tmp_path}/far/a.nii.gz,../far/m.nii.gz\n")
    assert len(formats.read(path, labels=LABELS).cases) == 1


def test_a_fold_column_becomes_splits(tmp_path):
    touch(tmp_path, *(f"{n}.nii" for n in "abcm"))
    path = csv(tmp_path, "image,label,fold\na.nii,m.nii,1\nb.nii,m.nii,0\nc.nii,m.nii,1\n")
    assert formats.read(path, labels=LABELS).splits == (
        {"train": ["a", "c"], "val": ["b"]},
        {"train": ["b"], "val": ["a", "c"]},
    )


def test_a_split_column_holds_the_test_cases_back(tmp_path):
    touch(tmp_path, *(f"{n}.nii" for n in "abcm"))
    path = csv(
        tmp_path, "image,label,split\na.nii,m.nii,train\nb.nii,m.nii,val\nc.nii,m.nii,test\n"
    )
    found = formats.read(path, labels=LABELS)
    assert found.splits == ({"train": ["a"], "val": ["b"]},)
    assert [(c.id, c.label) for c in found.unlabelled] == [("c", None)]


def test_a_monai_datalist_is_read(tmp_path):
    touch(tmp_path, "a1.nii", "a2.nii", "b1.nii", "b2.nii", "m.nii", "t1.nii", "t2.nii")
    state = {
        "training": [
            {"image": ["a1.nii", "a2.nii"], "label": "m.nii", "fold": 0},
            {"image": ["b1.nii", "b2.nii"], "label": ["m.nii"], "fold": 1},
        ],
        "testing": [{"image": ["t1.nii", "t2.nii"]}],
    }
    (tmp_path / "datalist.json").write_text(json.dumps(state))
    found = formats.read(tmp_path, labels=LABELS, channels=["T1", "T2"])
    assert found.format == "datalist"
    assert found.channels == ("T1", "T2")
    assert [c.id for c in found.cases] == ["a1", "b1"]
    assert [c.id for c in found.unlabelled] == ["t1"]
    assert len(found.splits) == 2


def test_a_bare_json_list_is_read(tmp_path):
    touch(tmp_path, "a.nii", "m.nii")
    (tmp_path / "x.json").write_text('[{"image": "a.nii", "label": "m.nii"}]')
    assert len(formats.read(tmp_path, labels=LABELS).cases) == 1


def test_several_lists_want_a_name(tmp_path):
    touch(tmp_path, "a.nii", "m.nii")
    csv(tmp_path, "image,label\na.nii,m.nii\n", "one.csv")
    csv(tmp_path, "image,label\na.nii,m.nii\n", "two.csv")
    with pytest.raises(InputError, match="several datalists") as error:
        formats.read(tmp_path, labels=LABELS)
    assert "data.datalist" in error.value.remedy
    found = formats.read(
        tmp_path, format="datalist", labels=LABELS, options={"datalist": "two.csv"}
    )
    assert len(found.cases) == 1


def test_files_that_are_not_there_are_named(tmp_path):
    path = csv(tmp_path, "image,label\na.nii,m.nii\n")
    with pytest.raises(InputError, match="2 files that cannot be found") as error:
        formats.read(path, labels=LABELS)
    assert "a.nii, m.nii" in error.value.found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs one column"),
        ("picture,label\na,b\n", "needs one column"),
        ("image,image_T1\na,b\n", "needs one column"),
        ("image,label,label\na,b,c\n", "twice"),
        ("image,label\n,b\n", "line 2 has no image"),
        ("image,label\na,b,c\n", "line 2 has more cells"),
        ("image,label,fold\na,b,first\n", "line 2: fold"),
        ("image,label,split\na,b,holdout\n", "unknown split"),
        ("image,label\n", "lists no case"),
    ],
)
def test_a_damaged_csv_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        formats.read(csv(tmp_path, text), labels=LABELS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("3", "no list 'training'"),
        ('{"training": {}}', "must be a list"),
        ('{"training": [{}]}', r"training\[0\] has no image"),
        ('{"training": [{"image": 3}]}', r"training\[0\] has no image"),
        ('{"training": [{"image": "a", "label": {}}]}', "not one path"),
        ('{"training": [{"image": "a"}, {"image": ["a", "b"]}]}', "different numbers"),
    ],
)
def test_a_damaged_json_is_refused_with_its_entry(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=message):
        formats.read(tmp_path / "x.json", labels=LABELS)


def test_a_binary_file_is_no_csv(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00image")
    with pytest.raises(InputError, match="not a CSV"):
        formats.read(tmp_path / "x.csv")


def test_an_id_must_name_a_file(tmp_path):
    touch(tmp_path, "a.nii", "m.nii")
    path = csv(tmp_path, "id,image,label\n../../x,a.nii,m.nii\n")
    with pytest.raises(InputError, match="cannot name a file"):
        formats.read(path, labels=LABELS)


def test_one_id_twice_is_refused(tmp_path):
    touch(tmp_path, "p/t1.nii", "q/t1.nii", "m.nii")
    path = csv(tmp_path, "image,label\np/t1.nii,m.nii\nq/t1.nii,m.nii\n")
    with pytest.raises(InputError, match="more than once"):
        formats.read(path, labels=LABELS)


def test_a_datalist_groups_the_files_of_new_cases(tmp_path):
    touch(tmp_path, "a1.nii", "a2.nii")
    path = csv(tmp_path, "id,image_T1,image_T2\na,a1.nii,a2.nii\n")
    cases = formats.group([path], format="datalist", channels=["T1", "T2"])
    assert [(c.id, len(c.images)) for c in cases] == [("a", 2)]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_file_name_that_is_not_text_is_refused(tmp_path):
    name = os.fsdecode(b"\xff.nii")
    touch(tmp_path, name, "m.nii")
    (tmp_path / "x.json").write_text(
        json.dumps({"training": [{"image": name, "label": "m.nii", "id": "a"}]})
    )
    with pytest.raises(InputError, match="name is not text") as error:
        formats.read(tmp_path / "x.json", labels=LABELS)
    assert "rename" in error.value.remedy
