from __future__ import annotations

from pathlib import Path

import pytest

from medseg.data import formats
from medseg.data.formats.brats import patient_of
from medseg.errors import InputError

OLD = ("_flair", "_t1", "_t1ce", "_t2", "_seg")
NEW = ("-t2f", "-t1n", "-t1c", "-t2w", "-seg")


def make(root: Path, *cases: str, endings=NEW, suffix=".nii.gz") -> Path:
    for case in cases:
        (root / case).mkdir(parents=True)
        for end in endings:
            (root / case / f"{Path(case).name}{end}{suffix}").touch()
    return root


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("endings", "enhancing"), [(OLD, 4), (NEW, 3)])
def test_the_naming_decides_files_and_labels(tmp_path, endings, enhancing, suffix):
    found = formats.read(make(tmp_path, "p1", "p2", endings=endings, suffix=suffix), regions=True)
    assert found.format == "brats"
    assert found.channels == ("FLAIR", "T1", "T1ce", "T2")
    assert [p.name for p in found.cases[0].images] == [f"p1{e}{suffix}" for e in endings[:4]]
    assert found.cases[0].label == tmp_path / "p1" / f"p1{endings[4]}{suffix}"
    assert dict(found.labels.values) == {"background": 0, "NCR": 1, "ED": 2, "ET": enhancing}
    assert dict(found.labels.regions) == {
        "WT": (1, 2, enhancing),
        "TC": (1, enhancing),
        "ET": (enhancing,),
    }
    assert found.labels.order == (2, 1, enhancing)


def test_without_regions_the_classes_exclude_each_other(tmp_path):
    assert not formats.read(make(tmp_path, "p1")).labels.regions


def test_cases_in_subfolders_of_grade_are_found(tmp_path):
    make(tmp_path, "HGG/p1", "LGG/p2", endings=OLD)
    assert [c.id for c in formats.read(tmp_path).cases] == ["p1", "p2"]


def test_a_case_folder_may_be_the_root(tmp_path):
    assert [c.id for c in formats.read(make(tmp_path, "p1") / "p1").cases] == ["p1"]


def test_one_id_in_two_folders_is_refused(tmp_path):
    make(tmp_path, "HGG/p1", "LGG/p1", endings=OLD)
    with pytest.raises(InputError, match="more than once"):
        formats.read(tmp_path)


def test_time_points_of_one_patient_form_a_group(tmp_path):
    make(tmp_path, "BraTS-GLI-00000-000", "BraTS-GLI-00000-001", "BraTS-GLI-00001-000")
    groups = [c.group for c in formats.read(tmp_path).cases]
    assert groups == ["BraTS-GLI-00000", "BraTS-GLI-00000", "BraTS-GLI-00001"]


@pytest.mark.parametrize(
    ("case", "patient"),
    [
        ("BraTS-MEN-RT-0012-1", None),
        ("BraTS-MEN-RT-0012-001", "BraTS-MEN-RT-0012"),
        ("BraTS2021_00000", None),
        ("BraTS-PED-00010-000", "BraTS-PED-00010"),
    ],
)
def test_the_patient_is_what_stands_before_the_time_point(case, patient):
    assert patient_of(case) == patient


def test_incomplete_cases_are_named_with_what_they_lack(tmp_path):
    make(tmp_path, "p1", "p2", "p3")
    (tmp_path / "p2/p2-t2f.nii.gz").unlink()
    (tmp_path / "p3/p3-t1c.nii.gz").unlink()
    with pytest.raises(InputError) as error:
        formats.read(tmp_path)
    assert "2 cases without all modalities" in str(error.value)
    assert "p2 lacks -t2f" in str(error.value)
    assert "p3 lacks -t1c" in str(error.value)


def test_channels_take_a_part_in_the_order_asked_for(tmp_path):
    make(tmp_path, "p1")
    (tmp_path / "p1/p1-t2w.nii.gz").unlink()
    found = formats.read(tmp_path, channels=["t1c", "FLAIR"])
    assert found.channels == ("t1c", "FLAIR")
    assert [p.name for p in found.cases[0].images] == ["p1-t1c.nii.gz", "p1-t2f.nii.gz"]


def test_an_unknown_channel_is_refused_with_a_suggestion(tmp_path):
    with pytest.raises(InputError, match="did you mean 'FLAIR'"):
        formats.read(make(tmp_path, "p1"), channels=["FLAR", "T1"])


def test_both_namings_at_once_are_refused(tmp_path):
    make(tmp_path, "p1")
    make(tmp_path, "p2", endings=OLD)
    with pytest.raises(InputError, match="mixes"):
        formats.read(tmp_path)


def test_a_mask_without_an_image_is_refused(tmp_path):
    make(tmp_path, "p1")
    make(tmp_path, "p2", endings=("-seg",))
    with pytest.raises(InputError, match="1 label without an image") as error:
        formats.read(tmp_path)
    assert "p2" in error.value.found


def test_cases_without_a_mask_are_unlabelled_and_noted(tmp_path):
    make(tmp_path, "p1")
    make(tmp_path, "p2", endings=NEW[:4])
    found = formats.read(tmp_path)
    assert [c.id for c in found.unlabelled] == ["p2"]
    assert "p2" in found.notes[0]


def test_the_same_modality_packed_and_unpacked_is_refused(tmp_path):
    make(tmp_path, "p1")
    (tmp_path / "p1/p1-t1n.nii").touch()
    with pytest.raises(InputError, match="two files claim T1"):
        formats.read(tmp_path)


def test_a_later_year_must_be_asked_for(tmp_path):
    make(tmp_path, "p1")
    assert any("2024" in note for note in formats.read(tmp_path).notes)
    scheme = formats.read(tmp_path, labels="brats2024_gli", regions=True).labels
    assert list(scheme.regions) == ["WT", "TC", "ET", "RC"]
    assert scheme.order == (2, 1, 3, 4)


def test_names_of_cases_decide_before_endings_do(tmp_path):
    men = formats.read(make(tmp_path / "men", "BraTS-MEN-00004-000"))
    assert men.preset == "brats2023_men" and "NETC" in men.labels.values
    assert men.notes == ()
    ped = formats.read(make(tmp_path / "ped", "BraTS-PED-00002-000"))
    assert ped.preset == "brats2023_ped"
    assert "brats2023_ped or brats2024_ped" in ped.notes[0]
    old = formats.read(make(tmp_path / "old", "HGG/Brats18_2013_10_1", endings=OLD))
    assert old.preset == "brats2018"


def test_loose_files_are_grouped_by_name_and_masks_left_out(tmp_path):
    make(tmp_path, "p1", "p2")
    channels = ["FLAIR", "T1", "T1ce", "T2"]
    loose = [*(tmp_path / "p2").iterdir(), *(tmp_path / "p1").iterdir()]
    cases = formats.group(loose, format="brats", channels=channels)
    assert [c.id for c in cases] == ["p1", "p2"]
    assert [p.name for p in cases[0].images] == [f"p1{e}.nii.gz" for e in NEW[:4]]
    assert cases[0].label is None
    assert formats.group([tmp_path], format="brats", channels=channels) == cases


def test_a_missing_modality_is_explained_when_grouping(tmp_path):
    make(tmp_path, "p1")
    (tmp_path / "p1/p1-t2w.nii.gz").unlink()
    with pytest.raises(InputError, match="p1 lacks -t2w"):
        formats.group([tmp_path / "p1"], format="brats", channels=["FLAIR", "T1", "T1ce", "T2"])


def test_a_name_without_a_modality_is_explained_when_grouping(tmp_path):
    (tmp_path / "x.nii.gz").touch()
    with pytest.raises(InputError, match="which modality"):
        formats.group([tmp_path / "x.nii.gz"], format="brats", channels=["FLAIR"])


def test_a_real_case_is_read_from_its_folder_and_from_the_parent(real_data):
    folder = real_data("brats/BraTS-GLI-00000-000")
    found = formats.read(folder, regions=True)
    assert [c.id for c in found.cases] == ["BraTS-GLI-00000-000"]
    assert found.cases[0].group == "BraTS-GLI-00000"
    assert found.labels.order == (2, 1, 3)
    above = formats.read(folder.parent)
    assert [c.id for c in above.cases] == ["BraTS-GLI-00000-000"]
