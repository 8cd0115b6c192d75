from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from medseg import atomic
from medseg.data.prepare.raw import load
from medseg.data.prepare.writing import mask_suffix, write_label
from medseg.errors import InputError
from medseg.geometry import Grid

TILT = nib.affines.from_matvec(
    np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, -1]]) @ np.diag([0.7, 0.8, 2.5]),
    (-31.2, 44.4, 9.1),
)


def mask(shape=(6, 7, 8), top=3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, top, shape)


def source(path: Path, kind=nib.Nifti1Image, data=None, **codes) -> Path:
    image = kind(np.zeros((6, 7, 8), np.float32) if data is None else data, TILT)
    image.set_qform(TILT, codes.get("qform", 1))
    image.set_sform(TILT, codes.get("sform", 2))
    image.header.set_xyzt_units("mm", "sec")
    image.header["cal_max"] = 900
    image.header["descrip"] = b"scanner 7"
    nib.save(image, path)
    return path


@pytest.mark.parametrize(("qform", "sform"), [(1, 2), (1, 0), (0, 4), (0, 0), (3, 3)])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_nifti_mask_keeps_shape_affine_codes_and_units(tmp_path, qform, sform, kind):
    path = source(tmp_path / "image.nii.gz", kind, qform=qform, sform=sform)
    out = write_label(tmp_path / "mask.nii.gz", mask(), path)
    before, after = nib.load(path), nib.load(out)
    assert type(after) is kind
    assert np.array_equal(before.affine, after.affine)
    for field in ("qform_code", "sform_code", "pixdim", "xyzt_units", "descrip", "quatern_b"):
        assert np.array_equal(before.header[field], after.header[field]), field
    for field in ("srow_x", "srow_y", "srow_z", "qoffset_x"):
        assert np.array_equal(before.header[field], after.header[field]), field
    assert after.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(after.dataobj), mask())
    assert after.header["cal_max"] == 0


def test_simpleitk_sees_image_and_mask_on_one_grid(tmp_path):
    path = source(tmp_path / "image.nii.gz")
    image = sitk.ReadImage(str(path))
    after = sitk.ReadImage(str(write_label(tmp_path / "mask.nii.gz", mask(), path)))
    assert after.GetSize() == image.GetSize()
    assert after.GetSpacing() == image.GetSpacing()
    assert after.GetOrigin() == image.GetOrigin()
    assert after.GetDirection() == image.GetDirection()
    assert np.array_equal(sitk.GetArrayFromImage(after).T, mask())


def test_the_sources_scaling_and_byte_order_do_not_touch_the_mask(tmp_path):
    image = nib.Nifti1Image(np.zeros((6, 7, 8), np.uint8), TILT, nib.Nifti1Header(endianness=">"))
    nib.save(image, tmp_path / "image.nii")
    contents = bytearray((tmp_path / "image.nii").read_bytes())
    contents[112:120] = np.array([0.003, -7], ">f4").tobytes()
    (tmp_path / "image.nii").write_bytes(contents)
    out = write_label(tmp_path / "mask.nii.gz", mask(), tmp_path / "image.nii")
    assert np.array_equal(nib.load(out).get_fdata(), mask())


def test_the_mask_of_a_four_channel_image_has_three_axes(tmp_path):
    path = source(tmp_path / "image.nii.gz", data=np.zeros((6, 7, 8, 4), np.float32))
    out = nib.load(write_label(tmp_path / "mask.nii.gz", mask(), path))
    assert out.shape == (6, 7, 8)
    assert np.array_equal(out.affine, nib.load(path).affine)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_nrrd_and_metaimage_keep_their_information(tmp_path, suffix):
    image = sitk.GetImageFromArray(np.zeros((8, 7, 6), np.int16))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((1.5, -2.5, 3.25))
    image.SetDirection((0.96, -0.28, 0, 0.28, 0.96, 0, 0, 0, -1))
    sitk.WriteImage(image, str(tmp_path / f"image{suffix}"))
    stored = sitk.ReadImage(str(tmp_path / f"image{suffix}"))
    out = write_label(tmp_path / f"mask{suffix}", mask(), tmp_path / f"image{suffix}")
    after = sitk.ReadImage(str(out))
    for name in ("GetSpacing", "GetOrigin", "GetDirection", "GetSize"):
        assert getattr(after, name)() == getattr(stored, name)()
    assert np.array_equal(sitk.GetArrayFromImage(after).T, mask())


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha", ".mgz"])
def test_any_format_holds_any_grid(tmp_path, suffix):
    path = source(tmp_path / "image.nii.gz")
    for number, frame in enumerate((path, load(path).grid)):
        out = load(write_label(tmp_path / f"{number}{suffix}", mask(), frame))
        assert np.array_equal(out.data[0], mask())
        assert load(path).grid.mismatch(out.grid, tolerance=1e-3) is None


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_a_picture_keeps_rows_and_columns(tmp_path, suffix):
    Image.fromarray(np.zeros((5, 9, 3), np.uint8)).save(tmp_path / "photo.jpg")
    out = write_label(tmp_path / f"mask{suffix}", mask((5, 9)) * 100, tmp_path / "photo.jpg")
    assert np.array_equal(np.asarray(Image.open(out)), mask((5, 9)) * 100)


@pytest.mark.parametrize("name", ["pair.img", "pair.hdr", "old.img", "surfer.mgz"])
def test_pairs_analyze_and_mgh_give_their_place_to_a_nifti(tmp_path, name):
    data = np.zeros((6, 7, 8), np.int16)
    kinds = {"pair": nib.Nifti1Pair, "old": nib.Spm2AnalyzeImage, "surfer": nib.MGHImage}
    affine = TILT if name[:3] != "old" else np.diag([-1.0, 2.0, 3.0, 1.0])
    stem = name.split(".")[0]
    nib.save(kinds[stem](data, affine), tmp_path / name.replace(".hdr", ".img"))
    out = write_label(tmp_path / "mask.nii.gz", mask(), tmp_path / name)
    assert np.array_equal(nib.load(out).get_fdata(), mask())
    assert load(tmp_path / name).grid.mismatch(load(out).grid, tolerance=1e-3) is None


def test_values_beyond_a_byte_take_a_wider_type(tmp_path):
    path = source(tmp_path / "image.nii.gz")
    for top, kind in ((256, "uint8"), (300, "int16"), (70_000, "int32")):
        data = mask(top=2) * (top - 1)
        out = nib.load(write_label(tmp_path / f"{top}.nii.gz", data, path))
        assert out.get_data_dtype() == kind
        assert np.array_equal(np.asarray(out.dataobj), data)


def test_whole_floats_are_written_as_integers_and_fractions_refused(tmp_path):
    path = source(tmp_path / "image.nii.gz")
    out = write_label(tmp_path / "a.nii.gz", mask().astype(np.float32), path)
    assert nib.load(out).get_data_dtype() == np.uint8
    with pytest.raises(InputError, match="whole numbers"):
        write_label(tmp_path / "b.nii.gz", mask() + 0.5, path)
    assert not (tmp_path / "b.nii.gz").exists()


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path):
    path = source(tmp_path / "image.nii.gz")
    out = write_label(tmp_path / "mask.nii.gz", mask(), path)
    before = out.read_bytes()
    with pytest.raises(InputError, match="exists"):
        write_label(out, 1 - mask(top=2), path)
    assert out.read_bytes() == before
    write_label(out, 1 - mask(top=2), path, overwrite=True)
    assert np.array_equal(nib.load(out).get_fdata(), 1 - mask(top=2))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".png"])
def test_a_mask_of_another_shape_is_refused_and_nothing_is_left(tmp_path, suffix):
    path = source(tmp_path / "image.nii.gz")
    with pytest.raises(InputError, match="another shape"):
        write_label(tmp_path / f"mask{suffix}", mask((6, 7, 9)), path)
    assert [p.name for p in tmp_path.iterdir()] == ["image.nii.gz"]


@pytest.mark.parametrize("name", ["mask.jpg", "mask.txt", "mask"])
def test_lossy_and_unknown_formats_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="not written"):
        write_label(tmp_path / name, mask(), Grid.from_spacing((6, 7, 8)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, suffix):
    path = source(tmp_path / "image.nii.gz")
    out = write_label(tmp_path / f"mask{suffix}", mask(), path)
    before = out.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(InputError, match="no space left"):
        write_label(out, 1 - mask(top=2), path, overwrite=True)
    assert out.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".png"])
def test_a_device_that_is_really_full_is_named(tmp_path, monkeypatch, suffix):
    real = atomic.secrets.token_hex

    def token(size: int) -> str:
        value = real(size)
        name = f".mask{suffix}.{socket.gethostname()}-{os.getpid()}-{value}.tmp{suffix}"
        (tmp_path / name).symlink_to("/dev/full")
        return value

    monkeypatch.setattr(atomic.secrets, "token_hex", token)
    shape = (300, 300) if suffix == ".png" else (60, 70, 80)
    with pytest.raises(InputError):
        write_label(tmp_path / f"mask{suffix}", mask(shape), Grid.from_spacing(shape))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.nii.gz", ".nii.gz"),
        ("a.nii", ".nii"),
        ("a.hdr", ".nii.gz"),
        ("a.img.gz", ".nii.gz"),
        ("a.NRRD", ".nrrd"),
        ("a.mhd", ".mha"),
        ("a.jpeg", ".png"),
        ("a.tif", ".tif"),
    ],
)
def test_a_mask_takes_its_images_file_type(name, suffix):
    assert mask_suffix(name) == suffix


def test_real_headers_survive(real_data, tmp_path):
    names = (
        "anatomical.nii",
        "example_nifti2.nii.gz",
        "standard.nii.gz",
        "reoriented_anat_moved.nii",
    )
    for name in names:
        path = real_data("formats/weird_nibabel/tests/data") / name
        before = nib.load(path)
        data = mask(before.shape[:3])
        after = nib.load(write_label(tmp_path / f"{name}.nii.gz", data, path))
        assert np.array_equal(after.affine, before.affine)
        assert np.array_equal(np.asarray(after.dataobj), data)
        for field in ("qform_code", "sform_code"):
            assert after.header[field] == before.header[field]
