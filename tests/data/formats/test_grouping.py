from __future__ import annotations

import pytest

from medseg.data import formats
from medseg.errors import InputError


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_grouping_names_inputs_that_are_missing(tmp_path):
    with pytest.raises(InputError, match="1 input cannot be found"):
        formats.group([tmp_path / "x.nii.gz"], format="decathlon", channels=["a"])
    with pytest.raises(InputError, match="no input"):
        formats.group([], format="decathlon", channels=["a"])
    with pytest.raises(InputError, match="holds no image"):
        formats.group([tmp_path], format="decathlon", channels=["a"])


@pytest.mark.parametrize("format", ["decathlon", "folders", "nnunet", "luna16", "auto"])
def test_a_dicom_series_is_a_case_by_any_rule_of_one_channel(tmp_path, monkeypatch, format):
    for name in ("p1/ct/0.dcm", "p1/ct/1.dcm", "p2/0.IMA"):
        touch(tmp_path / "scans" / name)
    grouped = formats.group([tmp_path / "scans"], format=format, channels=["CT"])
    assert [(case.id, case.images[0].name) for case in grouped] == [("ct", "ct"), ("p2", "p2")]
    monkeypatch.chdir(tmp_path / "scans" / "p2")
    assert [case.id for case in formats.group(["."], format=format, channels=["CT"])] == ["p2"]


def test_dicom_beside_other_images_is_no_case_of_its_own(tmp_path):
    for name in ("a.nii.gz", "source/0.dcm"):
        touch(tmp_path / name)
    grouped = formats.group([tmp_path], format="decathlon", channels=["CT"])
    assert [case.id for case in grouped] == ["a"]


@pytest.mark.parametrize(
    ("names", "channels", "ids"),
    [
        (["p_0000.nii.gz", "p_0001.nii.gz"], ["a", "b"], ["p"]),
        (["p-t1n.nii.gz", "p-t1c.nii.gz"], ["T1", "T1ce"], ["p"]),
        (["p_t1.nii.gz", "q.nii.gz"], ["T1"], ["p_t1", "q"]),
        (["scan_0007.nii.gz"], ["a"], ["scan_0007"]),
    ],
)
def test_grouping_finds_the_rule_by_the_names(tmp_path, names, channels, ids):
    for name in names:
        touch(tmp_path / name)
    by_file = formats.group([tmp_path / n for n in names], format="auto", channels=channels)
    assert [c.id for c in by_file] == ids
    assert formats.group([tmp_path], format="auto", channels=channels) == by_file


@pytest.mark.parametrize("format", ["auto", *formats.FORMATS])
def test_a_video_is_a_case_by_any_rule(tmp_path, format):
    for name in ("a.avi", "b.MP4", "._a.avi", "notes.txt"):
        (tmp_path / name).touch()
    for inputs in ([tmp_path], [tmp_path / "b.MP4", tmp_path / "a.avi"]):
        cases = formats.group(inputs, format=format, channels=["grey"])
        assert [(c.id, c.images[0].name) for c in cases] == [("a", "a.avi"), ("b", "b.MP4")]


def test_pictures_beside_a_video_are_grouped_by_their_rule(tmp_path):
    for name in ("a.avi", "b_0000.png", "b_0001.png"):
        (tmp_path / name).touch()
    cases = formats.group([tmp_path], format="auto", channels=["x", "y"])
    assert [(c.id, len(c.images)) for c in cases] == [("a", 1), ("b", 2)]
