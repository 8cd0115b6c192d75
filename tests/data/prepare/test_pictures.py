"""What picture files hold: stacks, deep colours, palettes, rotations, inks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from medseg.data.prepare.raw import load
from medseg.data.prepare.reading import read_image, read_label
from medseg.data.prepare.writing import mask_suffix, write_label
from medseg.errors import InputError
from medseg.labels import LabelScheme

ORGAN = LabelScheme({"organ": 1})


def noise(*shape: int, kind: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape).astype(kind)


def stack(path: Path, pages: np.ndarray, **options) -> Path:
    """Write ``(K, I, J)`` or ``(K, I, J, 3)`` as the pages of a file."""
    first, *others = [Image.fromarray(page) for page in pages]
    first.save(path, save_all=True, append_images=others, **options)
    return path


# --- stacks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_the_pages_of_a_tiff_are_the_slices_of_a_volume(tmp_path, kind):
    pages = noise(4, 7, 9, kind=kind)
    volume = read_image(stack(tmp_path / "a.tif", pages))
    assert volume.data.shape == (1, 7, 9, 4)
    assert np.array_equal(volume.data[0], pages.transpose(1, 2, 0))
    assert volume.grid.spacing == (1.0, 1.0, 1.0)


def test_a_stack_in_colour_has_three_channels(tmp_path):
    pages = noise(4, 7, 9, 3)
    volume = read_image(stack(tmp_path / "a.tif", pages), channels=3)
    assert np.array_equal(volume.data, pages.transpose(3, 1, 2, 0))


def test_pages_lie_as_far_apart_as_imagej_says_in_pixels(tmp_path):
    # 4 nm pixels (250 to the micron), sections of 50 nm.
    words = "ImageJ=1.53t\nimages=4\nslices=4\nunit=micron\nspacing=0.05\n"
    tags = {270: words, 282: 250.0, 283: 250.0}
    volume = read_image(stack(tmp_path / "a.tif", noise(4, 7, 9), tiffinfo=tags))
    assert volume.grid.spacing == pytest.approx((1.0, 1.0, 12.5))


def test_the_mask_of_a_stack_is_a_stack(tmp_path):
    path = stack(tmp_path / "a.tif", noise(4, 7, 9))
    mask = noise(7, 9, 4) % 2
    out = write_label(tmp_path / f"mask{mask_suffix(path)}", mask, path)
    assert np.array_equal(read_label(out, ORGAN, like=read_image(path)).data, mask)
    assert sitk.ReadImage(str(out)).GetSize() == (9, 7, 4)


def test_pages_of_several_sizes_are_no_stack(tmp_path):
    pages = [Image.fromarray(noise(*shape)) for shape in ((8, 8), (4, 4))]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match="pages of this file differ") as error:
        load(tmp_path / "a.tif")
    assert error.value.found == "(8, 8) uint8, (4, 4) uint8"


def test_an_animation_is_no_stack(tmp_path):
    path = stack(tmp_path / "a.gif", noise(3, 7, 9))
    with pytest.raises(InputError, match="several pictures") as error:
        load(path)
    assert error.value.found == "3 frames"


# --- colours -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_of_16_bits_keep_all_of_them(tmp_path, suffix):
    data = noise(7, 9, 3, kind="uint16")
    image = sitk.GetImageFromArray(data, isVector=True)
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    volume = read_image(tmp_path / f"a{suffix}", channels=3)
    assert np.array_equal(volume.data, data.transpose(2, 0, 1))
    assert volume.header.dtype == "uint16"


def test_inks_are_refused(tmp_path):
    Image.fromarray(noise(7, 9, 3)).convert("CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="CMYK, made for printing") as error:
        read_image(tmp_path / "a.jpg")
    assert "convert the picture to RGB" in error.value.remedy


def test_an_alpha_channel_that_hides_something_is_said(tmp_path):
    data = noise(7, 9, 4)
    Image.fromarray(data).save(tmp_path / "a.png")
    assert "what it hides" in load(tmp_path / "a.png").notes[0]
    data[..., 3] = 255
    Image.fromarray(data).save(tmp_path / "b.png")
    assert load(tmp_path / "b.png").notes == ("its alpha channel is ignored",)


def test_the_palette_of_an_image_is_looked_up(tmp_path):
    colours = noise(7, 9, 3) // 64 * 64
    picture = Image.fromarray(colours).quantize(256)
    picture.save(tmp_path / "a.png")
    volume = read_image(tmp_path / "a.png", channels=3)
    assert np.array_equal(volume.data, np.asarray(picture.convert("RGB")).transpose(2, 0, 1))


def test_a_grey_palette_is_one_channel(tmp_path):
    picture = Image.fromarray(np.arange(8, dtype=np.uint8).reshape(2, 4), mode="P")
    picture.putpalette([level for i in range(8) for level in (7 * i, 7 * i, 7 * i)])
    picture.save(tmp_path / "a.png")
    volume = read_image(tmp_path / "a.png", channels=1)
    assert np.array_equal(volume.data[0], 7 * np.arange(8).reshape(2, 4))


# --- rotations -----------------------------------------------------------------------------------

# EXIF: what a viewer does to the stored rows and columns.
TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_exif_rotation_is_applied_and_said(tmp_path, orientation, suffix):
    data = noise(7, 9)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(data).save(tmp_path / f"a{suffix}", exif=exif)
    volume = read_image(tmp_path / f"a{suffix}")
    assert np.array_equal(volume.data[0], TURNS[orientation](data))
    assert bool(volume.header.notes) == (orientation != 1)


def test_a_mask_that_was_drawn_before_the_rotation_is_explained(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(8, 16, 3)).save(tmp_path / "a.jpg", exif=exif)
    Image.fromarray(noise(8, 16) % 2).save(tmp_path / "mask.png")
    volume = read_image(tmp_path / "a.jpg")
    assert volume.data.shape == (3, 16, 8)
    assert "EXIF orientation 6" in volume.header.notes[0]
    with pytest.raises(InputError, match="same grid") as error:
        read_label(tmp_path / "mask.png", ORGAN, like=volume)
    assert "EXIF rotation" in error.value.remedy


def test_a_gif_is_read_and_its_mask_a_png(tmp_path):
    mask = noise(7, 9) % 2
    Image.fromarray(mask * 255).save(tmp_path / "a.gif")
    assert np.array_equal(read_label(tmp_path / "a.gif", ORGAN, value_map={255: 1}).data, mask)
    assert mask_suffix(tmp_path / "a.gif") == ".png"
