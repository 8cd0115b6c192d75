"""EchoNet-Dynamic's tables: which videos there are, and what is traced in them."""

from __future__ import annotations

import pytest

from medseg.data import formats
from medseg.data.formats.echonet import videos
from medseg.errors import InputError


def test_it_is_recognised_by_its_tables(echonet_data):
    assert formats.recognise(echonet_data.write()).format == "echonet"


def test_each_video_has_its_split_and_its_two_traced_frames(echonet_data):
    found, notes = videos(echonet_data.write())
    assert [v.name for v in found] == ["0XA1", "0XB2", "0XC3", "0XD4"]
    assert [v.split for v in found] == ["train", "train", "val", "test"]
    assert all(list(v.tracings) == [2, 5] for v in found)
    assert len(found[0].tracings[2]) == 21
    assert notes == ()


def test_a_video_without_tracings_is_left_out_and_noted(echonet_data):
    echonet_data.traced = ["0XA1", "0XC3", "0XD4"]
    found, notes = videos(echonet_data.write())
    assert [v.name for v in found] == ["0XA1", "0XC3", "0XD4"]
    assert notes == ("1 video without tracings, left out: 0XB2",)


def test_a_data_set_without_any_tracing_of_its_videos_is_refused(echonet_data):
    root = echonet_data.write()
    (root / "Videos/0XEE.avi").touch()
    (root / "VolumeTracings.csv").write_text("FileName,X1,Y1,X2,Y2,Frame\n0XEE.avi,1,2,3,4,0\n")
    with pytest.raises(InputError, match=r"no video of FileList\.csv has tracings"):
        videos(root)


def test_tracings_without_a_video_are_refused(echonet_data):
    echonet_data.traced.append("0XFF")
    with pytest.raises(InputError, match="1 video that cannot be found") as error:
        videos(echonet_data.write())
    assert error.value.file.name == "VolumeTracings.csv"
    assert "0XFF.avi" in error.value.found


def test_a_listed_video_that_is_missing_is_refused(echonet_data):
    root = echonet_data.write()
    (root / "Videos/0XC3.avi").unlink()
    with pytest.raises(InputError, match="1 video that cannot be found") as error:
        videos(root)
    assert error.value.file.name == "FileList.csv"


@pytest.mark.parametrize(
    ("table", "text", "words"),
    [
        ("FileList.csv", "FileName,Fold\na,1\n", "lacks the column Split"),
        ("FileList.csv", "FileName,Split\na,HOLDOUT\n", "line 2 does not give a video"),
        ("FileList.csv", "FileName,Split\na/../b,VAL\n", "line 2 does not give a video"),
        ("FileList.csv", "FileName,Split\na,VAL\na,VAL\n", "lists a twice"),
        ("FileList.csv", "FileName,Split\n", "lists nothing"),
        ("VolumeTracings.csv", "FileName,X1,Y1,X2,Y2,Frame\na,1,x,3,4,0\n", "no number"),
        ("VolumeTracings.csv", "FileName,X1,Y1,X2,Y2,Frame\na,1,2,3,4,0.5\n", "whole number"),
    ],
)
def test_a_damaged_table_says_what_is_wrong(echonet_data, table, text, words):
    root = echonet_data.write()
    (root / table).write_text(text)
    with pytest.raises(InputError, match=words) as error:
        videos(root)
    assert error.value.file == root / table


def test_reading_it_as_pictures_says_how_to_get_there(echonet_data):
    with pytest.raises(InputError, match="must be cut out") as error:
        formats.read(echonet_data.write())
    assert "data.format: echonet" in error.value.remedy
