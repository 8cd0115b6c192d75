"""Masks drawn in colours, and colours that nobody declared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg.data.prepare.reading import read_label
from medseg.errors import InputError
from medseg.labels import LabelScheme

SCHEME = LabelScheme({"nucleus": 1, "gland": 2})
INDEX = np.array([[0, 1, 1], [2, 2, 2], [0, 0, 0]], dtype=np.uint8)
PALETTE = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
BY_COLOUR = {0xFF0000: 1, 0x00FF00: 2}


def indexed(path: Path, index: np.ndarray) -> Path:
    picture = Image.fromarray(index, mode="P")
    picture.putpalette(PALETTE.ravel().tolist())
    picture.save(path)
    return path


def coloured(path: Path, index: np.ndarray) -> Path:
    Image.fromarray(PALETTE[index]).save(path)
    return path


def refusal(path: Path, **options) -> InputError:
    with pytest.raises(InputError) as caught:
        read_label(path, SCHEME, **options)
    assert caught.value.file == path
    return caught.value


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_declared_colour_map_reads_colour_masks(tmp_path, mode):
    path = tmp_path / "a.png"
    Image.fromarray(PALETTE[INDEX]).convert(mode).save(path)
    assert np.array_equal(read_label(path, SCHEME, value_map=BY_COLOUR).data, INDEX)


def test_a_palette_mask_reads_by_index_and_by_colour(tmp_path):
    path = indexed(tmp_path / "a.png", INDEX)
    assert np.array_equal(read_label(path, SCHEME).data, INDEX)
    turned = {0xFF0000: 2, 0x00FF00: 1}
    swapped = np.array([0, 2, 1])[INDEX]
    assert np.array_equal(read_label(path, SCHEME, value_map=turned).data, swapped)


def test_an_undeclared_colour_of_a_palette_is_named_and_counted(tmp_path):
    odd = INDEX.copy()
    odd[2, :2] = 3
    error = refusal(indexed(tmp_path / "a.png", odd))
    assert error.found == "also index 3 (colour 0x0000ff) in 2 pixels"
    assert "data.value_map={3: 0}" in error.remedy


def test_an_undeclared_colour_of_a_colour_mask_is_named_and_counted(tmp_path):
    odd = INDEX.copy()
    odd[2] = 3
    error = refusal(coloured(tmp_path / "a.png", odd), value_map=BY_COLOUR)
    assert error.found == "also colour 0x0000ff in 3 pixels"
    assert "data.value_map={0x0000ff: 1}" in error.remedy


def test_colours_without_a_map_suggest_one_by_frequency(tmp_path):
    error = refusal(coloured(tmp_path / "a.png", INDEX))
    assert error.found == "also colour 0x00ff00 in 3 pixels, colour 0xff0000 in 2 pixels"
    assert "data.value_map={0x00ff00: 1, 0xff0000: 2}" in error.remedy


def test_blurred_edges_are_recognised(tmp_path):
    picture = Image.fromarray(PALETTE[INDEX]).resize((30, 30), Image.Resampling.BICUBIC)
    picture.save(tmp_path / "a.png")
    assert "without smoothing" in refusal(tmp_path / "a.png", value_map=BY_COLOUR).remedy


def test_white_is_255_unless_the_map_speaks_of_colours(tmp_path):
    mask = np.zeros((4, 4, 3), dtype=np.uint8)
    mask[0] = 255
    Image.fromarray(mask).save(tmp_path / "a.png")
    wanted = mask[..., 0] // 255
    for value_map in ({255: 1}, {0xFFFFFF: 1, 0xFF0000: 2}):
        found = read_label(tmp_path / "a.png", SCHEME, value_map=value_map)
        assert np.array_equal(found.data, wanted)


def test_a_mask_of_16_bits_keeps_values_beyond_a_byte(tmp_path):
    values = INDEX.astype(np.uint16) * 300
    Image.fromarray(values).save(tmp_path / "a.png")
    scheme = LabelScheme({"one": 300, "two": 600})
    assert np.array_equal(read_label(tmp_path / "a.png", scheme).data, INDEX)


def test_a_mask_of_another_size_is_refused_with_both(tmp_path):
    from medseg.data.prepare.reading import read_image

    Image.fromarray(np.zeros((5, 3), np.uint8)).save(tmp_path / "image.png")
    path = indexed(tmp_path / "a.png", INDEX)
    error = refusal(path, like=read_image(tmp_path / "image.png"))
    assert "(5, 3)" in error.expected
    assert "(3, 3)" in error.found
