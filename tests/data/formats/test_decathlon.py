from __future__ import annotations

import json
from pathlib import Path

import pytest

from medseg.data import formats
from medseg.errors import InputError


def make(root: Path, ids=("a", "b", "c"), **changes) -> Path:
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in ids:
            (root / folder / f"{name}.nii.gz").touch()
    state = {
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "front", "2": "back"},
        "numTraining": len(ids),
        "training": [
            {"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in ids
        ],
        "test": [],
    } | changes
    (root / "dataset.json").write_text(json.dumps(state))
    return root


def test_it_is_recognised_with_its_reason(tmp_path):
    found = formats.recognise(make(tmp_path))
    assert found.format == "decathlon"
    assert "dataset.json" in found.reason


def test_cases_channels_and_labels_are_read(tmp_path):
    found = formats.read(make(tmp_path))
    assert [c.id for c in found.cases] == ["a", "b", "c"]
    assert found.cases[0].images == (tmp_path / "imagesTr/a.nii.gz",)
    assert found.cases[0].label == tmp_path / "labelsTr/a.nii.gz"
    assert found.channels == ("MRI",)
    assert dict(found.labels.values) == {"background": 0, "front": 1, "back": 2}
    assert found.notes == ()


def test_dataset_json_itself_may_be_the_root(tmp_path):
    assert len(formats.read(make(tmp_path) / "dataset.json").cases) == 3


def test_entries_may_be_strings(tmp_path):
    make(tmp_path, training=["./imagesTr/a.nii.gz", "imagesTr/b.nii.gz"], numTraining=2)
    found = formats.read(tmp_path)
    assert [c.label.name for c in found.cases] == ["a.nii.gz", "b.nii.gz"]


def test_modalities_of_a_4d_file_come_in_the_order_of_their_numbers(tmp_path):
    modality = {"10": "k", "2": "c", "0": "a", "1": "b"}
    found = formats.read(make(tmp_path, modality=modality))
    assert found.channels == ("a", "b", "c", "k")
    assert len(found.cases[0].images) == 1


def test_channels_of_a_4d_file_can_be_renamed_but_not_reordered(tmp_path):
    make(tmp_path, modality={"0": "T2", "1": "ADC"})
    assert formats.read(tmp_path, channels=["t2w", "adc map"]).channels == ("t2w", "adc map")
    with pytest.raises(InputError, match="another order"):
        formats.read(tmp_path, channels=["ADC", "T2"])
    with pytest.raises(InputError, match="every channel"):
        formats.read(tmp_path, channels=["T2"])


def test_macos_companions_are_ignored(tmp_path):
    make(tmp_path)
    (tmp_path / "imagesTr/._a.nii.gz").touch()
    state = json.loads((tmp_path / "dataset.json").read_text())
    state["training"].append({"image": "./imagesTr/._a.nii.gz", "label": "./labelsTr/._a.nii.gz"})
    (tmp_path / "dataset.json").write_text(json.dumps(state))
    found = formats.read(tmp_path)
    assert len(found.cases) == 3
    assert found.notes == ()


@pytest.mark.parametrize(
    "path", ["../x.nii.gz", "/etc/passwd", "imagesTr/../../x.nii.gz", "C:\\x.nii.gz", "..\\x.nii"]
)
def test_paths_that_leave_the_folder_are_refused(tmp_path, path):
    make(tmp_path, training=[{"image": path, "label": "./labelsTr/a.nii.gz"}])
    with pytest.raises(InputError, match="leaves the data set's folder"):
        formats.read(tmp_path)


@pytest.mark.parametrize("path", [None, 3, "", "a\0b", {}, []])
def test_an_entry_that_is_no_path_is_refused(tmp_path, path):
    make(tmp_path, training=[{"image": path}])
    with pytest.raises(InputError, match="not a path"):
        formats.read(tmp_path, format="decathlon")


def test_a_path_that_goes_up_and_comes_back_is_fine(tmp_path):
    make(
        tmp_path,
        training=[{"image": "labelsTr/../imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}],
    )
    assert formats.read(tmp_path).cases[0].images == (tmp_path / "imagesTr/a.nii.gz",)


def test_missing_files_are_named_ten_at_once_with_their_count(tmp_path):
    ids = [f"case{i:02d}" for i in range(12)]
    make(tmp_path, ids)
    for name in ids:
        (tmp_path / f"labelsTr/{name}.nii.gz").unlink()
    with pytest.raises(InputError) as error:
        formats.read(tmp_path)
    text = str(error.value)
    assert "12 files" in text
    assert "labelsTr/case00.nii.gz" in text
    assert "labelsTr/case09.nii.gz" in text
    assert "case10" not in text
    assert "2 more" in text
    assert error.value.file == tmp_path / "dataset.json"


def test_a_wrong_number_of_cases_is_a_note(tmp_path):
    found = formats.read(make(tmp_path, numTraining=260))
    assert "260" in found.notes[0]
    assert "3 cases" in found.notes[0]


def test_images_that_are_not_listed_are_a_note(tmp_path):
    make(tmp_path)
    (tmp_path / "imagesTr/extra.nii.gz").touch()
    assert "extra.nii.gz" in formats.read(tmp_path).notes[0]


def test_test_images_are_unlabelled_cases_and_absent_ones_a_note(tmp_path):
    make(tmp_path, test=["./imagesTs/d.nii.gz", "./imagesTs/e.nii.gz"])
    (tmp_path / "imagesTs").mkdir()
    (tmp_path / "imagesTs/d.nii.gz").touch()
    found = formats.read(tmp_path)
    assert [c.id for c in found.unlabelled] == ["d"]
    assert "1 test image" in found.notes[0]


def test_a_case_listed_twice_is_refused(tmp_path):
    entry = {"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}
    make(tmp_path, training=[entry, entry])
    with pytest.raises(InputError, match="1 case id more than once") as error:
        formats.read(tmp_path)
    assert "a" in error.value.found


@pytest.mark.parametrize("text", ["{not json", '{"training": [', "\x00", "[" * 100_000])
def test_a_file_that_is_not_json_is_refused(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match="is not JSON"):
        formats.read(tmp_path)


def test_a_json_list_is_no_description(tmp_path):
    (tmp_path / "dataset.json").write_text("[]")
    with pytest.raises(InputError, match="not a data set description"):
        formats.read(tmp_path)


def test_no_training_list_is_refused(tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(InputError, match="no 'training' list"):
        formats.read(tmp_path, format="decathlon")


def test_two_labels_of_one_name_are_kept_apart(tmp_path):
    found = formats.read(make(tmp_path, labels={"0": "background", "1": "x", "2": "x"}))
    assert list(found.labels.values.values()) == [0, 1, 2]


def test_labels_may_be_written_the_other_way_round(tmp_path):
    found = formats.read(make(tmp_path, labels={"background": 0, "x": 1}))
    assert dict(found.labels.values) == {"background": 0, "x": 1}


def task01(root: Path) -> Path:
    return make(
        root,
        modality={"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        labels={
            "0": "background",
            "1": "edema",
            "2": "non-enhancing tumor",
            "3": "enhancing tumour",
        },
    )


def test_task01_is_known_and_gives_its_own_regions(tmp_path):
    scheme = formats.read(task01(tmp_path), regions=True).labels
    assert dict(scheme.regions) == {"WT": (1, 2, 3), "TC": (2, 3), "ET": (3,)}
    assert scheme.order == (1, 2, 3)


@pytest.mark.parametrize("preset", ["brats2021", "brats2023"])
def test_the_labels_of_another_brats_are_refused_for_task01(tmp_path, preset):
    with pytest.raises(InputError, match="contradicts") as error:
        formats.read(task01(tmp_path), labels=preset)
    assert "msd_task01" in error.value.remedy


def test_each_file_or_each_image_of_a_folder_is_a_case(tmp_path):
    make(tmp_path)
    (tmp_path / "imagesTr/._a.nii.gz").touch()
    paths = [tmp_path / "imagesTr", tmp_path / "labelsTr/a.nii.gz"]
    with pytest.raises(InputError, match="more than once"):
        formats.group(paths, format="decathlon", channels=["MRI"])
    cases = formats.group(paths[:1], format="decathlon", channels=["MRI"])
    assert [c.id for c in cases] == ["a", "b", "c"]
    assert all(c.label is None for c in cases)


def test_the_real_hippocampus_folder_is_read(real_data):
    found = formats.read(real_data("Task04_Hippocampus"))
    assert found.format == "decathlon"
    assert len(found.cases) == 208
    assert list(found.labels.values) == ["background", "Anterior", "Posterior"]
    assert found.cases[0].id == "hippocampus_001"
    assert formats.read(found.root, labels="msd_task04").labels == found.labels


def test_labelled_cases_to_validate_are_a_fold_of_their_own(tmp_path):
    make(tmp_path)
    pairs = [
        {"image": f"imagesTr/{n}.nii.gz", "label": f"labelsTr/{n}.nii.gz"} for n in ("a", "b", "c")
    ]
    make(tmp_path, training=pairs[:2], validation=pairs[2:], numTraining=2)
    found = formats.read(tmp_path)
    assert [c.id for c in found.cases] == ["a", "b", "c"]
    assert found.splits == ({"train": ["a", "b"], "val": ["c"]},)
    assert not any("numTraining" in note for note in found.notes)
    # A challenge that runs lists these labels and keeps them.
    (tmp_path / "labelsTr/c.nii.gz").unlink()
    found = formats.read(tmp_path)
    assert [c.id for c in found.cases] == ["a", "b"]
    assert found.splits == ()
