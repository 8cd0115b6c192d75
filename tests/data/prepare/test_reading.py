from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from medseg.data.case import Case
from medseg.data.prepare import raw
from medseg.data.prepare.raw import companions
from medseg.data.prepare.reading import read_image, read_label
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.labels import LabelScheme

AFFINE = np.array([[-0.8, 0.1, 0, 40], [0.1, 0.8, 0, -20], [0, 0, 2.5, 7], [0, 0, 0, 1.0]])
ORGAN = LabelScheme({"background": 0, "organ": 1})


def values(shape=(4, 5, 6), kind="int16") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape).astype(kind)


def nifti(path: Path, data: np.ndarray, affine=AFFINE, kind=nib.Nifti1Image, **header) -> Path:
    image = kind(data, affine)
    for key, value in header.items():
        image.header[key] = value
    nib.save(image, path)
    return path


def refusal(call, *arguments, **options) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    return str(caught.value)


# --- NIfTI ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["uint8", ">i2", "int32", "float32", ">f8", "uint64"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_every_number_type_reads_as_native_float32(tmp_path, kind, suffix):
    data = values()
    image = nib.Nifti1Image(data.astype(np.dtype(kind)), AFFINE, dtype=np.dtype(kind))
    image.header.set_data_dtype(np.dtype(kind))
    nib.save(image, tmp_path / f"a{suffix}")
    volume = read_image(tmp_path / f"a{suffix}")
    assert volume.data.dtype == np.dtype("=f4")
    assert np.array_equal(volume.data[0], data)
    assert volume.grid.affine == pytest.approx(AFFINE)
    assert volume.header.dtype == np.dtype(kind).newbyteorder("=").name


def test_a_big_endian_header_reads(tmp_path):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.dtype(">i2"))
    nib.save(nib.Nifti1Image(values(), AFFINE, header), tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes()[:4] == b"\0\0\x01\x5c"
    assert np.array_equal(read_image(tmp_path / "a.nii").data[0], values())


def test_nifti_2_and_pairs_read(tmp_path):
    nifti(tmp_path / "two.nii.gz", values(), kind=nib.Nifti2Image)
    nifti(tmp_path / "pair.img", values(), kind=nib.Nifti1Pair)
    for name in ("two.nii.gz", "pair.img", "pair.hdr"):
        volume = read_image(tmp_path / name)
        assert np.array_equal(volume.data[0], values())
        assert volume.grid.affine == pytest.approx(AFFINE)


def test_half_a_pair_names_the_missing_half(tmp_path):
    nifti(tmp_path / "pair.img", values(), kind=nib.Nifti1Pair)
    (tmp_path / "pair.img").unlink()
    assert "pair.img beside it" in refusal(read_image, tmp_path / "pair.hdr")


def test_scaling_in_the_header_is_applied(tmp_path):
    image = nib.Nifti1Image(values(), AFFINE)
    image.header.set_slope_inter(0.5, -10)
    raw = nib.Nifti1Image(image.dataobj, AFFINE, image.header)
    nib.save(raw, tmp_path / "a.nii")
    contents = bytearray((tmp_path / "a.nii").read_bytes())
    contents[112:120] = np.array([0.5, -10], "<f4").tobytes()
    contents[352:] = values().tobytes(order="F")
    (tmp_path / "a.nii").write_bytes(contents)
    assert np.array_equal(read_image(tmp_path / "a.nii").data[0], values() * 0.5 - 10)


@pytest.mark.parametrize("slope", [0.0, np.nan, np.inf])
def test_a_senseless_slope_means_no_scaling(tmp_path, slope):
    nifti(tmp_path / "a.nii", values())
    contents = bytearray((tmp_path / "a.nii").read_bytes())
    contents[112:116] = np.array([slope], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(contents)
    assert np.array_equal(read_image(tmp_path / "a.nii").data[0], values())


def test_four_channels_in_one_file_come_first(tmp_path):
    data = values((4, 5, 6, 3))
    volume = read_image(nifti(tmp_path / "a.nii.gz", data), channels=3)
    assert np.array_equal(volume.data, np.moveaxis(data, -1, 0))


def test_a_vector_nifti_gives_channels_and_a_series_is_refused(tmp_path):
    vector = nifti(tmp_path / "v.nii", values((4, 5, 6, 1, 3)))
    assert read_image(vector, channels=3).data.shape == (3, 4, 5, 6)
    series = nifti(tmp_path / "s.nii", values((4, 5, 6, 2, 3)))
    text = refusal(read_image, series)
    assert "5 dimensions" in text
    assert "(4, 5, 6, 2, 3)" in text


def test_trailing_axes_of_length_one_fall_away(tmp_path):
    assert read_image(nifti(tmp_path / "a.nii", values((4, 5, 6, 1, 1)))).data.shape == (1, 4, 5, 6)


def test_a_flat_nifti_is_a_picture_with_its_spacing(tmp_path):
    volume = read_image(nifti(tmp_path / "a.nii", values((4, 5))))
    assert volume.data.shape == (1, 4, 5)
    assert volume.grid.spacing == pytest.approx(np.linalg.norm(AFFINE[:3, :2], axis=0))


def test_colours_and_complex_numbers_are_refused(tmp_path):
    rgb = np.zeros((4, 5, 6), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    assert "RGB colours" in refusal(read_image, nifti(tmp_path / "rgb.nii", rgb))
    assert "complex" in refusal(
        read_image, nifti(tmp_path / "c.nii", values().astype(np.complex64))
    )


def test_voxels_that_are_not_finite_are_counted(tmp_path):
    data = values(kind="float32")
    data[0, 0, :2] = np.nan
    data[1, 1, 1] = -np.inf
    text = refusal(read_image, nifti(tmp_path / "a.nii.gz", data))
    assert "2 NaN and 1 infinite of 120 voxels" in text
    assert "a.nii.gz" in text


def test_values_that_float32_cannot_hold_are_infinite(tmp_path):
    data = values(kind="float64")
    data[0, 0, 0] = 1e300
    assert "1 infinite" in refusal(read_image, nifti(tmp_path / "a.nii", data))


def test_large_finite_values_are_not_mistaken_for_infinite(tmp_path):
    data = np.full((4, 5, 6), 3e38, np.float32)
    assert read_image(nifti(tmp_path / "a.nii", data)).data.max() == np.float32(3e38)


@pytest.mark.parametrize("keep", [0, 1, 10, 200, 348, 352, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_file_cut_anywhere_is_refused_by_name(tmp_path, keep, suffix):
    noise = np.random.default_rng(0).integers(0, 60000, (20, 20, 20)).astype(np.uint16)
    path = nifti(tmp_path / f"cut{suffix}", noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(len(whole) * keep)])
    text = refusal(read_image, path)
    assert str(path) in text
    assert "cut short" in text


def test_a_header_that_asks_for_the_moon_is_refused_without_fetching_it(tmp_path):
    path = nifti(tmp_path / "a.nii", values())
    contents = bytearray(path.read_bytes())
    contents[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
    path.write_bytes(contents)
    assert "cut short" in refusal(read_image, path)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(contents))
    assert "cut short" in refusal(read_image, tmp_path / "a.nii.gz")


@pytest.mark.parametrize("seed", range(150))
def test_a_damaged_header_gives_a_volume_or_an_input_error(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = nifti(tmp_path / "a.nii", values())
    contents = np.frombuffer(path.read_bytes(), np.uint8).copy()
    where = rng.integers(0, 352, rng.integers(1, 12))
    contents[where] = rng.integers(0, 256, len(where))
    path.write_bytes(contents.tobytes())
    try:
        volume = read_image(path)
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert np.isfinite(volume.data).all()
        assert np.isfinite(volume.grid.affine).all()


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"hello" * 200))
    assert "cannot be read" in refusal(read_image, tmp_path / "a.nii.gz")
    (tmp_path / "b.nii.gz").write_text("<html>not found</html>")
    assert "cannot be read" in refusal(read_image, tmp_path / "b.nii.gz")


def test_missing_files_folders_and_unknown_formats_are_told_apart(tmp_path):
    assert "no such file" in refusal(read_image, tmp_path / "absent.nii")
    assert "a folder" in refusal(read_image, tmp_path)
    (tmp_path / "a.dcm").write_bytes(b"")
    assert "dcm2niix" in refusal(read_image, tmp_path / "a.dcm")


def test_a_singular_affine_is_refused(tmp_path):
    path = nifti(tmp_path / "a.nii", values())
    contents = bytearray(path.read_bytes())
    contents[280:328] = np.diag([1.0, 0.0, 1.0, 1.0]).astype("<f4")[:3].tobytes()  # srow_x, y, z
    path.write_bytes(contents)
    assert "where the voxels lie" in refusal(read_image, path)


def test_a_file_without_qform_and_sform_is_read_with_a_note(tmp_path):
    path = nifti(tmp_path / "a.nii", values(), None, sform_code=0, qform_code=0)
    assert "neither qform nor sform" in read_image(path).header.notes[0]


def test_qform_and_sform_that_disagree_are_noted_and_the_sform_wins(tmp_path):
    image = nib.Nifti1Image(values(), AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(np.eye(4), 1)
    nib.save(image, tmp_path / "a.nii")
    volume = read_image(tmp_path / "a.nii")
    assert "disagree" in volume.header.notes[0]
    assert volume.grid.affine == pytest.approx(AFFINE)


def test_microns_become_millimetres_as_in_simpleitk(tmp_path):
    image = nib.Nifti1Image(values(), AFFINE)
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "a.nii")
    volume = read_image(tmp_path / "a.nii")
    expected = sitk.ReadImage(str(tmp_path / "a.nii")).GetSpacing()
    assert volume.grid.spacing == pytest.approx(expected, rel=1e-4)
    assert "micron" in volume.header.notes[0]


def test_sheared_axes_are_noted(tmp_path):
    affine = AFFINE.copy()
    affine[1, 2] = 0.8
    assert "right angles" in read_image(nifti(tmp_path / "a.nii", values(), affine)).header.notes[0]


# --- NRRD, MetaImage -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
def test_nrrd_and_metaimage_lie_where_the_nifti_lies(tmp_path, suffix):
    affine = AFFINE.copy()  # as SimpleITK wants it: orthogonal
    affine[:3, :3] = np.linalg.qr(AFFINE[:3, :3])[0] @ np.diag([0.8, 0.9, 2.5])
    path = nifti(tmp_path / "a.nii.gz", values(), affine)
    sitk.WriteImage(sitk.ReadImage(str(path)), str(tmp_path / f"b{suffix}"))
    ours, other = read_image(path), read_image(tmp_path / f"b{suffix}")
    assert np.array_equal(ours.data, other.data)
    assert ours.grid.mismatch(other.grid, tolerance=1e-3) is None
    parts = companions(tmp_path / f"b{suffix}")
    assert len(parts) == (2 if suffix in (".nhdr", ".mhd") else 1)


def test_vector_components_and_a_fourth_axis_become_channels(tmp_path):
    data = values((4, 5, 6, 3))
    sitk.WriteImage(
        sitk.GetImageFromArray(data.transpose(2, 1, 0, 3), isVector=True), str(tmp_path / "v.nrrd")
    )
    sitk.WriteImage(
        sitk.GetImageFromArray(data.transpose(3, 2, 1, 0), isVector=False), str(tmp_path / "t.mha")
    )
    for name in ("v.nrrd", "t.mha"):
        assert np.array_equal(
            read_image(tmp_path / name, channels=3).data, np.moveaxis(data, -1, 0)
        )


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_cut_nrrd_or_metaimage_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(values((30, 30, 30))), str(path))
    path.write_bytes(path.read_bytes()[:2000])
    assert str(path) in refusal(read_image, path)


# --- pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".png", "uint8"), (".png", "uint16"), (".tif", "float32")]
)
def test_rows_come_before_columns(tmp_path, suffix, kind):
    data = values((7, 9), kind)
    Image.fromarray(data).save(tmp_path / f"a{suffix}")
    volume = read_image(tmp_path / f"a{suffix}")
    assert volume.data.shape == (1, 7, 9)
    assert np.array_equal(volume.data[0], data)
    assert np.array_equal(volume.grid.affine, np.eye(3))


def test_colours_are_channels_where_three_are_declared(tmp_path):
    data = values((7, 9, 3), "uint8")
    Image.fromarray(data).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png", channels=3).data, np.moveaxis(data, -1, 0))
    text = refusal(read_image, tmp_path / "a.png", channels=1)
    assert "3 colours, where one is wanted" in text


def test_grey_stored_as_colours_counts_as_grey(tmp_path):
    grey = values((7, 9), "uint8")
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "a.png")
    volume = read_image(tmp_path / "a.png", channels=1)
    assert np.array_equal(volume.data[0], grey)
    assert "grey stored as colours" in volume.header.notes


def test_an_alpha_channel_is_dropped_with_a_note(tmp_path):
    data = values((7, 9, 4), "uint8")
    Image.fromarray(data).save(tmp_path / "a.png")
    volume = read_image(tmp_path / "a.png")
    assert np.array_equal(volume.data, np.moveaxis(data[..., :3], -1, 0))
    assert "alpha" in volume.header.notes[0]


def test_a_palette_picture_is_a_mask_of_its_indices(tmp_path):
    mask = values((7, 9), "uint8") % 2
    picture = Image.fromarray(mask).convert("P")
    picture.putdata(mask.ravel().tolist())
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.save(tmp_path / "a.png")
    assert np.array_equal(read_label(tmp_path / "a.png", ORGAN).data, mask)


def test_a_one_bit_picture_is_a_mask(tmp_path):
    mask = values((7, 9)) % 2
    Image.fromarray(mask.astype(bool)).save(tmp_path / "a.png")
    assert np.array_equal(read_label(tmp_path / "a.png", ORGAN).data, mask)


def test_a_cut_picture_is_refused(tmp_path):
    Image.fromarray(values((200, 90), "uint8")).save(tmp_path / "a.png")
    contents = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(contents[: len(contents) // 2])
    assert "cannot be read" in refusal(read_image, tmp_path / "a.png")


# --- several files -------------------------------------------------------------------------------


def test_one_file_per_channel_keeps_the_order(tmp_path):
    paths = tuple(nifti(tmp_path / f"{i}.nii", np.full((4, 5, 6), i, "uint8")) for i in (3, 1, 2))
    volume = read_image(Case("x", paths), channels=3)
    assert volume.data[:, 0, 0, 0].tolist() == [3, 1, 2]
    assert volume.header.files == paths


def test_channels_on_other_grids_are_refused_with_both_described(tmp_path):
    moved = AFFINE.copy()
    moved[0, 3] += 1
    paths = [nifti(tmp_path / "a.nii", values()), nifti(tmp_path / "b.nii", values(), moved)]
    text = refusal(read_image, paths)
    assert "1 mm apart (tolerance 0.0403 mm)" in text
    assert "a.nii" in text
    assert "b.nii" in text
    assert text.count("affine [") == 2


def test_a_missing_channel_is_counted(tmp_path):
    paths = [nifti(tmp_path / f"{i}.nii", values()) for i in range(2)]
    text = refusal(read_image, paths, channels=4)
    assert "4 channels" in text
    assert "2 in 2 files" in text


def test_files_of_different_types_say_so(tmp_path):
    paths = [
        nifti(tmp_path / "a.nii", values(kind="int16")),
        nifti(tmp_path / "b.nii", values(kind="uint8")),
    ]
    assert read_image(paths).header.dtype == "int16+uint8"


# --- labels --------------------------------------------------------------------------------------


def test_a_label_maps_values_then_checks_them(tmp_path):
    mask = (values() % 2 * 255).astype(np.uint8)
    path = nifti(tmp_path / "m.nii.gz", mask)
    label = read_label(path, ORGAN, value_map={255: 1}, like=Grid(mask.shape, AFFINE))
    assert label.data.dtype == np.uint8
    assert np.array_equal(label.data, mask > 0)
    text = refusal(read_label, path, ORGAN)
    assert str(path) in text
    assert "255" in text
    assert "value_map" in text


def test_a_map_may_swap_values_and_leave_the_files_type(tmp_path):
    mask = values(kind="uint8") % 3
    path = nifti(tmp_path / "m.nii", mask)
    scheme = LabelScheme({"background": 0, "a": 300, "b": 1})
    label = read_label(path, scheme, value_map={1: 300, 2: 1})
    assert np.array_equal(scheme.to_value(label.data), np.array([0, 300, 1])[mask])


@pytest.mark.parametrize("kind", ["float32", "float64", "int32"])
def test_a_label_stored_as_other_numbers_reads_the_same(tmp_path, kind):
    mask = values() % 2
    path = nifti(tmp_path / "m.nii", mask.astype(kind))
    assert np.array_equal(read_label(path, ORGAN).data, mask)


def test_a_label_of_fractions_or_nan_is_refused(tmp_path):
    soft = values(kind="float32") / 400
    assert "whole numbers" in refusal(read_label, nifti(tmp_path / "a.nii", soft), ORGAN)
    soft[:] = 0
    soft[0, 0, 0] = np.nan
    assert "1 NaN" in refusal(read_label, nifti(tmp_path / "b.nii", soft), ORGAN)


def test_a_label_of_another_shape_or_place_is_refused_naming_both_files(tmp_path):
    image = read_image(nifti(tmp_path / "image.nii", values()))
    small = nifti(tmp_path / "small.nii", np.zeros((4, 5, 5), np.uint8))
    text = refusal(read_label, small, ORGAN, like=image)
    assert "shape (4, 5, 6) against (4, 5, 5)" in text
    assert "image.nii" in text
    assert "small.nii" in text
    elsewhere = nifti(tmp_path / "else.nii", np.zeros((4, 5, 6), np.uint8), np.eye(4))
    assert "tolerance" in refusal(read_label, elsewhere, ORGAN, like=image)


def test_a_label_with_several_channels_is_refused(tmp_path):
    path = nifti(tmp_path / "m.nii", values((4, 5, 6, 2)) % 2)
    assert "2 channels, where one is wanted" in refusal(read_label, path, ORGAN)


def test_a_file_without_permission_is_not_called_damaged(tmp_path, monkeypatch):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"")
    monkeypatch.setattr(raw.os, "access", lambda *_: False)
    with pytest.raises(InputError, match="may not read") as error, raw.damage_told(path):
        raise PermissionError
    assert error.value.file == path and "chmod" in error.value.remedy
