from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from medseg.data.prepare.frames import each_frame
from medseg.data.prepare.pictures import has_pages
from medseg.data.prepare.reading import read_image
from medseg.data.prepare.video import frames, grey_frames
from medseg.errors import InputError

RNG = np.random.default_rng(0)
LOSSLESS = {"codec": "rawvideo", "pix_fmt": "bgr24"}


def noise(count: int, shape=(48, 64)) -> np.ndarray:
    return RNG.integers(0, 256, (count, *shape, 3)).astype(np.uint8)


def stack(path, pages, **how):
    first, *others = pages
    first.save(path, save_all=True, append_images=others, **how)
    return path


def test_colours_come_frame_by_frame_as_they_were_recorded(video):
    recorded = noise(5)
    found = list(each_frame(video(recorded, **LOSSLESS), channels=3))
    assert len(found) == 5
    for frame, wanted in zip(found, recorded, strict=True):
        assert frame.data.dtype == np.float32 and frame.grid.spacing == (1.0, 1.0)
        assert np.array_equal(frame.data, np.moveaxis(wanted, -1, 0))


def test_grey_frames_are_those_that_a_training_sees(video):
    path = video(noise(6))
    trained_on = grey_frames(path, range(6))
    found = list(each_frame(path, channels=1))
    assert len(found) == 6
    for number, frame in enumerate(found):
        assert np.array_equal(frame.data[0], trained_on[number])


def test_frames_are_decoded_when_they_are_asked_for(video):
    path = video(noise(60))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert next(frames(path)).shape == (48, 64)


def between_frames(whole: bytes, number: int) -> int:
    """Find where a frame's chunk begins in an AVI."""
    at = whole.index(b"movi")
    for _ in range(number + 1):
        at = whole.index(b"00dc", at + 4)
    return at


def test_a_video_that_ends_between_two_frames_is_cut_short(video):
    path = video(noise(60))
    whole = path.read_bytes()
    path.write_bytes(whole[: between_frames(whole, 40)])
    with pytest.raises(InputError, match="cut short") as error:
        list(each_frame(path, channels=1))
    assert (error.value.expected, error.value.found) == ("60 frames", "40")
    path.write_bytes(whole[: between_frames(whole, 0)])
    with pytest.raises(InputError, match="holds no frame"):
        list(each_frame(path, channels=1))


def test_a_codec_that_nobody_knows_is_named_so(video):
    path = video(noise(2))
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"ZZZZ"))
    with pytest.raises(InputError, match="codec is not known") as error:
        list(each_frame(path, channels=1))
    assert error.value.file == path and "export" in error.value.remedy


def test_a_file_of_sound_alone_is_refused(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        for packet in (*stream.encode(sound), *stream.encode()):
            file.mux(packet)
    with pytest.raises(InputError, match="no pictures"):
        list(each_frame(path, channels=1))


def test_a_network_of_two_channels_takes_no_video(video):
    with pytest.raises(InputError, match="one channel") as error:
        list(each_frame(video(noise(2)), channels=2))
    assert "2 channels" in error.value.expected


@pytest.mark.parametrize(("channels", "shape"), [(1, (4, 9, 7)), (3, (4, 9, 7, 3))])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_page_is_read_as_a_picture_file_is(tmp_path, channels, shape, kind):
    tifffile = pytest.importorskip("tifffile")
    colours = "rgb" if channels == 3 else "minisblack"
    pages = RNG.integers(0, np.iinfo(kind).max, shape).astype(kind)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pages, photometric=colours)
    assert has_pages(path)
    found = list(each_frame(path, channels=channels))
    assert len(found) == 4
    for page, wanted in zip(found, pages, strict=True):
        one = tmp_path / "one.tif"
        tifffile.imwrite(one, wanted, photometric=colours)
        assert np.array_equal(page.data, read_image(one, channels=channels).data)
        assert page.data.max() > 255 or kind == np.uint8


def test_each_page_has_its_own_palette(tmp_path):
    pages = []
    for colour in ((255, 0, 0), (0, 255, 0)):
        page = Image.fromarray(np.ones((4, 5), dtype=np.uint8), mode="P")
        page.putpalette([0, 0, 0, *colour])
        pages.append(page)
    found = list(each_frame(stack(tmp_path / "a.tif", pages), channels=3))
    assert [tuple(page.data[:, 0, 0]) for page in found] == [(255, 0, 0), (0, 255, 0)]


def test_pages_of_two_sizes_are_no_stack(tmp_path):
    pages = [Image.new("L", (8, 8)), Image.new("L", (8, 6))]
    with pytest.raises(InputError, match="differ in size") as error:
        list(each_frame(stack(tmp_path / "a.tif", pages), channels=1))
    assert error.value.found == "6 x 8"


def test_a_stack_of_two_channels_is_no_stack_of_pages(tmp_path):
    path = stack(tmp_path / "a.tif", [Image.new("L", (8, 8))] * 2)
    with pytest.raises(InputError, match="another number of channels"):
        list(each_frame(path, channels=2))


def test_a_damaged_stack_is_refused(tmp_path):
    noisy = [Image.fromarray(page[..., 0]) for page in noise(9)]
    path = stack(tmp_path / "a.tif", noisy, compression="tiff_adobe_deflate")
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(InputError, match="cannot be read"):
        has_pages(path) and list(each_frame(path, channels=1))


def test_a_picture_has_no_pages(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.tif")
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    assert not has_pages(tmp_path / "a.tif") and not has_pages(tmp_path / "a.png")
