from __future__ import annotations

import json
from pathlib import Path

import pytest

from medseg.data import formats
from medseg.errors import InputError


def make(root: Path, ids=("a", "b"), *, numbers=(0, 1), ending=".nii.gz", **changes) -> Path:
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in ids:
        (root / "labelsTr" / f"{name}{ending}").touch()
        for number in numbers:
            (root / "imagesTr" / f"{name}_{number:04d}{ending}").touch()
    state = {
        "channel_names": {"0": "T1", "1": "FLAIR"},
        "labels": {"background": 0, "x": 1, "y": 2},
        "file_ending": ending,
        "numTraining": len(ids),
    } | changes
    (root / "dataset.json").write_text(
        json.dumps({k: v for k, v in state.items() if v is not None})
    )
    return root


def test_version_two_is_recognised_and_read(tmp_path):
    assert formats.recognise(make(tmp_path)).format == "nnunet"
    found = formats.read(tmp_path)
    assert [c.id for c in found.cases] == ["a", "b"]
    assert [p.name for p in found.cases[0].images] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert found.channels == ("T1", "FLAIR")
    assert dict(found.labels.values) == {"background": 0, "x": 1, "y": 2}
    assert found.notes == ()


def test_version_one_is_told_from_the_decathlon(tmp_path):
    make(
        tmp_path,
        channel_names=None,
        file_ending=None,
        modality={"0": "T1", "1": "FLAIR"},
        labels={"0": "background", "1": "x"},
        training=[
            {"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in "ab"
        ],
    )
    found = formats.read(tmp_path)
    assert found.format == "nnunet"
    assert found.channels == ("T1", "FLAIR")
    assert dict(found.labels.values) == {"background": 0, "x": 1}


def test_an_id_may_end_in_digits(tmp_path):
    found = formats.read(make(tmp_path, ids=("case_0007",)))
    assert found.cases[0].id == "case_0007"
    assert found.cases[0].label == tmp_path / "labelsTr/case_0007.nii.gz"


def test_channels_select_and_reorder(tmp_path):
    found = formats.read(make(tmp_path), channels=["FLAIR"])
    assert [p.name for p in found.cases[0].images] == ["a_0001.nii.gz"]


def test_regions_come_with_their_order(tmp_path):
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "active": 3}
    found = formats.read(make(tmp_path, labels=labels, regions_class_order=[1, 2, 3]))
    assert dict(found.labels.regions) == {"whole": (1, 2, 3), "core": (2, 3), "active": (3,)}
    assert found.labels.order == (1, 2, 3)
    assert dict(found.labels.values) == {"background": 0, "label_1": 1, "label_2": 2, "active": 3}
    assert not formats.read(tmp_path, regions=False).labels.regions


def test_regions_without_an_order_are_refused(tmp_path):
    make(tmp_path, labels={"background": 0, "whole": [1, 2], "core": [2]})
    with pytest.raises(InputError, match="regions_class_order"):
        formats.read(tmp_path)


def test_the_ignore_label_is_no_class(tmp_path):
    found = formats.read(make(tmp_path, labels={"background": 0, "x": 1, "ignore": 2}))
    assert dict(found.labels.values) == {"background": 0, "x": 1}
    assert found.labels.ignore == 2
    labels = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
    found = formats.read(make(tmp_path, labels=labels, regions_class_order=[1, 2]))
    assert dict(found.labels.regions) == {"whole": (1, 2), "core": (2,)}
    assert dict(found.labels.values) == {"background": 0, "label_1": 1, "core": 2}
    assert found.labels.ignore == 3


def test_an_ignore_label_that_is_mapped_is_gone(tmp_path):
    make(tmp_path, labels={"background": 0, "x": 1, "ignore": 2})
    found = formats.read(tmp_path, options={"value_map": {2: 0}})
    assert dict(found.labels.values) == {"background": 0, "x": 1}
    assert found.labels.ignore is None
    assert found.value_map == {2: 0}


def test_labels_of_the_recipe_may_ignore_a_value(tmp_path):
    found = formats.read(make(tmp_path), labels={"x": 1, "ignore": 2})
    assert (dict(found.labels.values), found.labels.ignore) == ({"background": 0, "x": 1}, 2)
    with pytest.raises(InputError, match="cannot be a class too"):
        formats.read(tmp_path, labels={"x": 1, "y": 2, "ignore": 2})


def test_missing_channels_are_named(tmp_path):
    make(tmp_path)
    (tmp_path / "imagesTr/b_0001.nii.gz").unlink()
    with pytest.raises(InputError, match="b lacks _0001"):
        formats.read(tmp_path)


def test_a_label_without_an_image_is_refused(tmp_path):
    make(tmp_path)
    (tmp_path / "labelsTr/z.nii.gz").touch()
    with pytest.raises(InputError, match="1 label without an image") as error:
        formats.read(tmp_path)
    assert "z.nii.gz" in error.value.found


def test_an_image_without_a_label_is_noted(tmp_path):
    make(tmp_path)
    (tmp_path / "labelsTr/b.nii.gz").unlink()
    found = formats.read(tmp_path)
    assert [c.id for c in found.unlabelled] == ["b"]
    assert "b" in found.notes[0]


def test_an_explicit_listing_is_followed_and_stays_in_the_folder(tmp_path):
    listing = {"q": {"images": ["imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz"],
                     "label": "labelsTr/a.nii.gz"}}  # fmt: skip
    found = formats.read(make(tmp_path, dataset=listing, numTraining=1))
    assert [c.id for c in found.cases] == ["q"]
    listing["q"]["label"] = "../a.nii.gz"
    with pytest.raises(InputError, match="leaves the data set's folder"):
        formats.read(make(tmp_path, dataset=listing))


def test_a_colour_picture_is_one_file(tmp_path):
    names = {"0": "R", "1": "G", "2": "B"}
    make(tmp_path, numbers=(0,), ending=".png", channel_names=names)
    found = formats.read(tmp_path)
    assert found.channels == ("R", "G", "B")
    assert [p.name for p in found.cases[0].images] == ["a_0000.png"]


def test_channels_of_one_name_are_told_apart(tmp_path):
    found = formats.read(make(tmp_path, channel_names={"0": "noNorm", "1": "noNorm"}))
    assert found.channels == ("noNorm_0", "noNorm_1")


def test_unfit_numbering_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="must number its channels"):
        formats.read(make(tmp_path / "x", channel_names={"1": "T1"}))
    with pytest.raises(InputError, match="holds no image"):
        formats.read(make(tmp_path / "y", ids=()))


def test_files_are_grouped_by_their_number(tmp_path):
    make(tmp_path)
    cases = formats.group([tmp_path / "imagesTr"], format="nnunet", channels=["T1", "FLAIR"])
    assert [c.id for c in cases] == ["a", "b"]
    assert [p.name for p in cases[1].images] == ["b_0000.nii.gz", "b_0001.nii.gz"]
    with pytest.raises(InputError, match="a lacks _0001") as error:
        formats.group([tmp_path / "imagesTr/a_0000.nii.gz"], format="nnunet", channels=["T1", "F"])
    assert "T1, F" in error.value.expected
    with pytest.raises(InputError, match="which channel"):
        formats.group([tmp_path / "labelsTr/a.nii.gz"], format="nnunet", channels=["T1"])
