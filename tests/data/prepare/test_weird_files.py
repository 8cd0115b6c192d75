"""Every odd file that scanners and other tools wrote gives a volume or names itself."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medseg.data.prepare.reading import read_image, read_label
from medseg.errors import InputError
from medseg.labels import LabelScheme


def test_every_weird_file_gives_a_volume_or_an_input_error(real_data):
    read, refused = [], []
    for path in sorted(p for p in real_data("formats").rglob("*") if p.is_file()):
        try:
            volume = read_image(path)
        except InputError as error:
            assert str(path) in str(error)
            refused.append(path.name)
        else:
            assert np.isfinite(volume.data).all()
            assert volume.data.shape[1:] == volume.grid.shape
            assert min(volume.grid.spacing) > 0
            read.append(path.name)
    assert {"anatomical.nii", "example_nifti2.nii.gz", "5D_small.nii", "brain1_image.nrrd"} <= set(
        read
    )
    assert {"not-nifti.nii", "analyze.hdr", "resampled_anat_moved.nii"} <= set(refused)


@pytest.mark.parametrize("folder", ["formats", "brats", "ct", "mr"])
def test_nifti_files_lie_where_nibabel_says(real_data, folder):
    for path in sorted(real_data(folder).rglob("*.nii.gz"))[:4]:
        try:
            volume = read_image(path)
        except InputError:
            continue
        image = nib.load(path)
        assert volume.grid.shape == image.shape[:3]
        if len(image.shape) > 2:
            assert volume.grid.affine == pytest.approx(image.affine)
        first = volume.data[0] if image.ndim > 3 else volume.data[0].reshape(image.shape)
        expected = image.get_fdata(dtype=np.float32)
        while expected.ndim > 3:
            expected = expected[..., 0]
        assert np.array_equal(first, expected)


def test_nrrd_files_lie_where_simpleitk_says(real_data):
    for path in sorted(real_data("formats/nrrd_pairs").glob("*.nrrd")):
        volume, image = read_image(path), sitk.ReadImage(str(path))
        last = tuple(n - 1 for n in image.GetSize())
        ours = volume.grid.affine @ [*last, 1]
        assert ours[:3] * [-1, -1, 1] == pytest.approx(image.TransformIndexToPhysicalPoint(last))
        assert volume.data[(0, *last)] == image[last]


def test_big_and_little_endian_twins_read_alike(real_data):
    root = real_data("formats/weird_nifti_reader_js")
    big, little = read_image(root / "big.nii.gz"), read_image(root / "little.nii.gz")
    assert np.array_equal(big.data, little.data)
    assert big.grid.mismatch(little.grid) is None


def test_a_mask_stored_as_0_99999997_keeps_its_voxels(real_data):
    root = real_data("brats/BraTS2015_deepmedic_2mod/brats_2013_pat0005_1")
    mask = read_label(root / "brainmask.nii.gz", LabelScheme({"brain": 1}))
    assert np.array_equal(mask.data, np.rint(nib.load(root / "brainmask.nii.gz").get_fdata()))
    assert mask.data.mean() > 0.05


def test_a_segmentation_stored_as_float32_reads(real_data):
    root = real_data("brats/BraTS-GLI-00000-000")
    image = read_image(root / "BraTS-GLI-00000-000-t1c.nii.gz")
    scheme = LabelScheme({"NCR": 1, "ED": 2, "ET": 3})
    label = read_label(root / "BraTS-GLI-00000-000-seg.nii.gz", scheme, like=image)
    assert np.unique(label.data).tolist() == [0, 1, 2, 3]


def test_a_mask_whose_affine_was_lost_is_refused(real_data):
    root = real_data("brats/BraTS-GLI-00001-000_nolabel")
    image = read_image(root / "BraTS-GLI-00001-000-t1c.nii.gz")
    scheme = LabelScheme({"NCR": 1, "ED": 2, "ET": 3})
    with pytest.raises(InputError, match="same grid") as caught:
        read_label(root / "seg-BraTS23_1_mapped.nii.gz", scheme, like=image)
    assert "mm apart (tolerance 0.05 mm)" in str(caught.value)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9, 0.999])
def test_a_real_file_cut_short_is_refused(real_data, tmp_path: Path, fraction):
    source = real_data("Task04_Hippocampus/imagesTr/hippocampus_001.nii.gz").read_bytes()
    path = tmp_path / "cut.nii.gz"
    path.write_bytes(source[: int(len(source) * fraction)])
    with pytest.raises(InputError, match=r"cut\.nii\.gz"):
        read_image(path)


def test_fundus_photographs_are_rgb_and_their_masks_are_not(real_data):
    root = real_data("images2d/chase_db1")
    photo = sorted(p for p in root.rglob("*.jpg"))[0]
    assert read_image(photo, channels=3).data.shape == (3, 960, 999)
    with pytest.raises(InputError, match="3 colours"):
        read_image(photo, channels=1)


def test_gzip_of_nothing_is_refused(tmp_path: Path):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(InputError):
        read_image(tmp_path / "a.nii.gz")
