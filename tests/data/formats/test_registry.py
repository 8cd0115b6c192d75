from __future__ import annotations

import subprocess
import sys

import pytest

from medseg.data import formats
from medseg.errors import InputError


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_a_missing_folder_says_what_exists(tmp_path):
    with pytest.raises(InputError, match="does not exist") as error:
        formats.read(tmp_path / "gone" / "deeper")
    assert str(tmp_path) in error.value.found


def test_an_empty_folder_is_said(tmp_path):
    (tmp_path / ".DS_Store").touch()
    with pytest.raises(InputError, match="is empty"):
        formats.read(tmp_path)


def test_an_unknown_layout_lists_what_was_looked_for_and_found(tmp_path):
    touch(tmp_path / "notes.txt")
    with pytest.raises(InputError) as error:
        formats.recognise(tmp_path)
    text = str(error.value)
    assert str(tmp_path) in text
    for name in formats.FORMATS:
        assert name in text
    assert "notes.txt" in text


def test_an_ambiguous_folder_wants_a_choice(tmp_path):
    for name in ("images/a.nii.gz", "labels/a.nii.gz"):
        touch(tmp_path / name)
    (tmp_path / "list.csv").write_text("image,label\nimages/a.nii.gz,labels/a.nii.gz\n")
    with pytest.raises(InputError, match="several data formats") as error:
        formats.read(tmp_path)
    assert "folders" in error.value.found
    assert "datalist" in error.value.found
    found = formats.read(tmp_path, format="folders", labels={"x": 1})
    assert len(found.cases) == 1


def test_a_file_of_another_kind_is_no_data_set(tmp_path):
    touch(tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="not a folder"):
        formats.read(tmp_path / "a.nii.gz")


def test_an_unknown_format_gets_a_suggestion(tmp_path):
    touch(tmp_path / "x")
    with pytest.raises(InputError, match="did you mean 'decathlon'"):
        formats.read(tmp_path, format="decatlon")


def test_an_unknown_option_gets_a_suggestion(tmp_path):
    with pytest.raises(InputError, match="did you mean 'image_pattern'"):
        formats.read(tmp_path, options={"image_patern": "x"})


@pytest.mark.parametrize(
    "options",
    [
        {"value_map": [255]},
        {"value_map": {"a": 1}},
        {"value_map": {1.5: 1}},
        {"images_folder": 3},
        {"region_order": "12"},
    ],
)
def test_an_option_of_the_wrong_type_is_refused(tmp_path, options):
    with pytest.raises(InputError):
        formats.read(tmp_path, options=options)


def test_a_data_set_without_any_label_is_refused(tmp_path):
    touch(tmp_path / "imagesTr/a.nii.gz")
    (tmp_path / "dataset.json").write_text('{"training": [{"image": "imagesTr/a.nii.gz"}]}')
    with pytest.raises(InputError, match="no case with a label"):
        formats.read(tmp_path)


@pytest.mark.parametrize(
    "bad", [{"labels": 3}, {"labels": {"x": "one"}}, {"labels": {"x": [1, 2]}}, {"regions": "WT"}]
)
def test_labels_and_regions_of_the_wrong_type_are_refused(tmp_path, bad):
    for name in ("images/a.nii.gz", "labels/a.nii.gz"):
        touch(tmp_path / name)
    with pytest.raises(InputError):
        formats.read(tmp_path, **({"labels": {"x": 1}} | bad))


def test_regions_of_the_users_own_with_their_order(tmp_path):
    for name in ("images/a.nii.gz", "labels/a.nii.gz"):
        touch(tmp_path / name)
    labels = {"a": 1, "b": 2, "c": 3}
    regions = {"all": [1, 2, 3], "inner": [3]}
    scheme = formats.read(
        tmp_path, labels=labels, regions=regions, options={"region_order": [1, 3]}
    ).labels
    assert scheme.order == (1, 3)
    with pytest.raises(InputError, match="not declared labels"):
        formats.read(tmp_path, labels=labels, regions=regions, options={"region_order": [1, 7]})
    with pytest.raises(InputError, match="preset that has regions"):
        formats.read(tmp_path, labels=labels, regions=True)


def test_a_group_pattern_must_fit_every_id(tmp_path):
    for name in ("p1_a", "p1_b", "odd"):
        touch(tmp_path / f"images/{name}.nii.gz")
        touch(tmp_path / f"labels/{name}.nii.gz")
    with pytest.raises(InputError, match="group_pattern") as error:
        formats.read(tmp_path, labels={"x": 1}, options={"group_pattern": "{group}_?"})
    assert error.value.found == "odd" and error.value.file == tmp_path
    with pytest.raises(InputError, match="group_pattern") as error:
        formats.read(tmp_path, labels={"x": 1}, options={"group_pattern": "scan{group}"})
    assert error.value.found == "none fits: odd, p1_a, p1_b" and error.value.remedy


@pytest.mark.parametrize("format", ["decathlon", "folders", "brats", "nnunet", "datalist"])
def test_dicom_is_told_to_be_converted(tmp_path, format):
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "CT.1.3.12").write_bytes(bytes(128) + b"DICM")
    for act in (
        lambda: formats.group([tmp_path / "series"], format=format, channels=["T1"]),
        lambda: formats.recognise(tmp_path / "series"),
    ):
        with pytest.raises(InputError) as error:
            act()
        assert "DICOM" in error.value.remedy and "CT.1.3.12" in error.value.found
    with pytest.raises(InputError, match="holds no image") as error:
        formats.group([tmp_path / "series"], format=format, channels=["T1"])
    assert ".nii.gz" in error.value.expected and "images/" not in error.value.expected


def test_an_unrecognised_folder_says_how_init_is_told_its_layout(tmp_path):
    touch(tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="fits no known") as error:
        formats.recognise(tmp_path)
    assert "medseg init FOLDER data.format=folders" in error.value.remedy


def test_importing_the_formats_loads_nothing_heavy():
    heavy = ["torch", "monai", "SimpleITK", "nibabel", "PIL", "scipy", "pytorch_lightning"]
    code = f"import sys, medseg.data.formats; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
