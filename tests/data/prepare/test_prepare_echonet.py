"""Frames and masks of a synthetic EchoNet-Dynamic."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from medseg.data import formats
from medseg.data.formats.echonet import LABELS
from medseg.data.prepare.echonet import extract, inside_polygon, state_of, ventricle
from medseg.data.prepare.reading import read_image, read_label
from medseg.data.prepare.video import grey_frames
from medseg.errors import InputError


def circle(count: int, radius: float, centre: float) -> tuple[np.ndarray, np.ndarray]:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return centre + radius * np.sin(angles), centre + radius * np.cos(angles)


def test_a_polygon_holds_what_skimage_says():
    draw = pytest.importorskip("skimage.draw")
    rng = np.random.default_rng(0)
    for corners in (3, 5, 12, 40, 40, 40):
        # A star around the middle, partly beyond the picture, its corners on whole pixels.
        angles, radii = np.sort(rng.uniform(0, 2 * np.pi, corners)), rng.uniform(3, 16, corners)
        rows = np.rint(10 + radii * np.sin(angles))
        columns = np.rint(12 + radii * np.cos(angles))
        wanted = np.zeros((20, 24), dtype=bool)
        wanted[draw.polygon(rows, columns, wanted.shape)] = True
        assert np.array_equal(inside_polygon(rows, columns, wanted.shape), wanted)


def test_the_area_of_a_round_polygon_is_that_of_a_circle():
    mask = inside_polygon(*circle(200, 20.0, 32.0), (64, 64))
    assert mask.sum() == pytest.approx(np.pi * 20**2, rel=0.01)


def test_the_long_axis_takes_no_part_in_the_outline():
    across = [(10.0, y, 20.0, y) for y in (5.0, 8.0, 11.0)]
    mask = ventricle([(0.0, 0.0, 30.0, 30.0), *across], (32, 32))
    wanted = np.zeros((32, 32), dtype=np.uint8)
    wanted[5:12, 10:21] = 1
    assert np.array_equal(mask, wanted)


def test_frames_and_masks_are_a_datalist_with_the_authors_splits(echonet_data, tmp_path):
    notes = extract(echonet_data.write(), tmp_path / "out")
    assert notes == ()
    found = formats.read(tmp_path / "out", labels=LABELS)
    assert [c.id for c in found.cases] == [
        f"{name}_{frame:03d}" for name in ("0XA1", "0XB2", "0XC3") for frame in (2, 5)
    ]
    assert [c.id for c in found.unlabelled] == ["0XD4_002", "0XD4_005"]
    assert found.splits == (
        {
            "train": ["0XA1_002", "0XA1_005", "0XB2_002", "0XB2_005"],
            "val": ["0XC3_002", "0XC3_005"],
        },
    )
    assert {c.group for c in found.cases} == {"0XA1", "0XB2", "0XC3"}


def test_the_frame_is_the_traced_one_and_the_mask_its_ellipse(echonet_data, tmp_path):
    extract(echonet_data.write(), tmp_path)
    found = formats.read(tmp_path, labels=LABELS)
    for case, frame, (a, b) in zip(found.cases, (2, 5), ((12, 18), (8, 13)), strict=False):
        image = read_image(case)
        assert image.data.shape == (1, 48, 64)
        assert image.data.mean() == pytest.approx(20 + 30 * frame, abs=3)
        mask = read_label(case.label, found.labels, like=image).data
        i, j = np.mgrid[:48, :64]
        ellipse = ((j - 32) / a) ** 2 + ((i - 24) / b) ** 2 <= 1
        dice = 2 * (mask & ellipse).sum() / (mask.sum() + ellipse.sum())
        assert dice > 0.95


def test_what_is_there_is_not_written_again(echonet_data, tmp_path):
    root, calls = echonet_data.write(), []
    extract(root, tmp_path / "out", progress=lambda *done: calls.append(done))
    assert calls[-1] == (4, 4)
    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.png")}
    assert len(written) == 16
    extract(root, tmp_path / "out")
    assert written == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.png")}


def test_other_tracings_have_another_state(echonet_data):
    root = echonet_data.write()
    before = state_of(root)
    assert state_of(root) == before
    with (root / "VolumeTracings.csv").open("a") as table:
        table.write("0XA1.avi,1,2,3,4,6\n")
    assert state_of(root) != before


def test_a_tracing_beyond_the_video_is_refused(echonet_data, tmp_path):
    echonet_data.frames = 4
    with pytest.raises(InputError, match="the video has no frame 5") as error:
        extract(echonet_data.write(), tmp_path / "out")
    assert error.value.found == "4 frames"
    assert not (tmp_path / "out/frames.csv").exists()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("0XA1.avi,1,2,3,4,2\n", "too few chords"),
        ("0XA1.avi,900,900,950,950,2\n" * 21, "outside the frame"),
        ("0XA1.avi,nan,nan,nan,nan,2\n" * 21, "outside the frame"),
    ],
)
def test_a_tracing_that_is_none_is_refused(echonet_data, tmp_path, rows, words):
    root = echonet_data.write()
    (root / "VolumeTracings.csv").write_text("FileName,X1,Y1,X2,Y2,Frame\n" + rows)
    with pytest.raises(InputError, match=words):
        extract(root, tmp_path / "out")


def test_a_file_that_is_no_video_is_refused(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "a.avi").write_bytes(b"RIFF but nothing else")
    with pytest.raises(InputError, match="the file cannot be read"):
        grey_frames(tmp_path / "a.avi", [0])


def test_without_pyav_the_message_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="needs PyAV") as error:
        grey_frames(tmp_path / "a.avi", [0])
    assert "medseg[video]" in error.value.remedy


def test_a_folder_without_the_tables_is_refused(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="not EchoNet-Dynamic's folder"):
        state_of(tmp_path)


def test_a_few_videos_stand_for_all(echonet_data, tmp_path):
    root = echonet_data.write()
    extract(root, tmp_path / "all")
    extract(root, tmp_path / "few", few=1)
    every, few = (formats.read(tmp_path / name, labels=LABELS) for name in ("all", "few"))
    assert len(list((tmp_path / "few" / "frames").iterdir())) == 2
    assert few.splits == every.splits
    assert [(c.id, c.group) for c in few.cases] == [(c.id, c.group) for c in every.cases]
    assert {c.images[0].name for c in few.cases} == {"0XA1_002.png", "0XA1_005.png"}
